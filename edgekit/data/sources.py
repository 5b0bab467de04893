"""From source material, a picture, sound, a text or a row, to the inputs of a network with a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import dataset
from edgekit.data.wav import Recording
from edgekit.tasks import picture as steps
from edgekit.tasks.features import clip
from edgekit.tasks.picture import Picture
from edgekit.tasks.resample import Unrelated, factors
from edgekit.tasks.row import Cells, Code, Row
from edgekit.tasks.sound import Sound
from edgekit.tasks.text import Text

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.tasks.parts import Source

_LARGEST = 1e30


class Refused(ValueError):
    """The task cannot take the material; the message says why."""


def network_inputs(
    source: Source, thing: NDArray[np.uint8] | Recording | str | Cells, graph: Graph
) -> list[NDArray[Any]]:
    """What the network takes of a picture, a text, a row, or a recording's first clip: ``[*tensor shape]`` each.

    :raises Refused: if the task takes other material, sound that cannot be resampled, shorter words, or other cells.
    """
    if isinstance(thing, tuple):
        if not isinstance(source, Row):
            raise Refused(f"it is a row, the task takes a {source.NAME}")
        return [each[0] for each in dataset.as_network_inputs(dataset.Dataset(_of_row(source, thing, graph)), graph)]
    if isinstance(thing, str):
        if not isinstance(source, Text):
            raise Refused(f"it is a text, the task takes a {source.NAME}")
        return [each[0] for each in dataset.as_network_inputs(dataset.Dataset(_of_text(source, thing, graph)), graph)]
    if isinstance(thing, Recording):
        if not isinstance(source, Sound):
            raise Refused(f"it is a sound, the task takes a {source.NAME}")
        return _of_sound(source, thing, graph)
    if not isinstance(source, Picture):
        raise Refused(f"it is a picture, the task takes a {source.NAME}")
    (tensor,) = graph.inputs
    height, width, _, _ = steps.layout(tensor)
    if steps.too_narrow(source, (thing.shape[1], thing.shape[0]), (width, height)):
        raise Refused("it is too narrow for the network's input")
    pixels = steps.fitted(source, thing, width, height)
    values = steps.values(source, pixels[np.newaxis], tensor)
    return [each[0] for each in dataset.as_network_inputs(dataset.Dataset([values]), graph)]


def _of_sound(source: Sound, recording: Recording, graph: Graph) -> list[NDArray[Any]]:
    (tensor,) = graph.inputs
    try:
        heard = replace(source, step=0).values(clip(recording.samples), tensor, recording.rate)
    except Unrelated as error:
        raise Refused(str(error)) from error
    return [each[0] for each in dataset.as_network_inputs(dataset.Dataset([heard]), graph)]


def _of_text(source: Text, text: str, graph: Graph) -> list[NDArray[Any]]:
    try:
        return source.values([text], graph.inputs)
    except ValueError as error:
        raise Refused(error.args[0]) from error


def _of_row(source: Row, cells: Cells, graph: Graph) -> list[NDArray[Any]]:
    if len(cells) != len(source.columns):
        raise Refused(f"it has {len(cells)} cells for {len(source.columns)} columns")
    for column, cell in zip(source.columns, cells, strict=True):
        if isinstance(cell, str) == (column.code is Code.NUMBER):
            raise Refused(f"column {column.name!r}: {cell!r} is not a {'number' if isinstance(cell, str) else 'text'}")
    named = {column.name: [str(cell)] for column, cell in zip(source.columns, cells, strict=True)}
    try:
        return source.values(named, graph.inputs)
    except ValueError as error:
        raise Refused(error.args[0]) from error


def typed(source: Row, cells: Sequence[str], most: int) -> Cells:
    """The cells of a table's row, numbers as such; texts are cut to ``most`` letters."""
    return tuple(
        float(cell) if column.code is Code.NUMBER else cell.split("\0")[0][:most]
        for column, cell in zip(source.columns, cells, strict=True)
    )


def listed(source: Row, count: int, seed: int) -> list[Cells]:
    """Rows with numbers around the mean, each column's values in turn, and one that is in no list where that may be."""
    made = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        cells: list[float | str] = []
        for place, column in enumerate(source.columns):
            values = [*column.values, *(["\u00e9trange"] if column.other else [])]
            if column.code is Code.NUMBER:
                cells.append(float(np.clip(column.mean + column.std * rng.normal(), -_LARGEST, _LARGEST)))
            else:
                cells.append(values[(number + place) % len(values)])
        made.append(tuple(cells))
    return made


def written(count: int) -> list[str]:
    """Texts of several lengths and scripts."""
    every = (
        "The quick brown fox jumps over the lazy dog, again and again.",
        "na\u00efve \u2014 \ud55c\uad6d\uc5b4! \u6771\u4eac  42\t\u20ac",
        "Turn the LIGHTS on, please; " * 40, "",
    )  # fmt: skip
    return list(every[:count])


def spoken(source: Sound, count: int, most: int, seed: int) -> list[Recording]:
    """Recordings of several lengths with tones that rise, pauses and noise, of at most ``most`` samples.

    The second one has another rate than the task, if it can be resampled.
    """
    made = []
    for number, share in enumerate((1.0, 1.5, 0.6, 0.1)[:count]):
        rng = np.random.default_rng([seed, number])
        rate = _other(source.rate) if number == 1 else source.rate
        samples = max(1, min(most, int(source.length * share * rate / source.rate)))
        t = np.arange(samples) / samples
        sound = np.zeros(samples, np.int64)
        for part in range(4):
            period = int(rng.integers(4, 80)) - (t * rng.integers(0, 3)).astype(np.int64)
            tone = np.arange(samples) % period * 2 - period
            sound += (t > part / 5) * (t < part / 5 + 0.4) * tone * int(rng.integers(5, 120))
        sound += rng.integers(-300, 301, samples)
        made.append(Recording(rate, np.clip(sound, -32768, 32767).astype(np.int16)[:, np.newaxis]))
    return made


def _other(rate: int) -> int:
    """A rate that sound often has, and not this one."""
    other = 44_100 if rate != 44_100 else 48_000
    try:
        factors(other, rate)
    except Unrelated:
        return rate
    return other


def synthesized(graph: Graph, count: int, most: int, seed: int) -> list[NDArray[np.uint8]]:
    """Pictures of several sizes with slopes, edges and noise, ``[h, w, 3]`` each, of at most ``most`` pixels."""
    height, width, _, _ = steps.layout(graph.inputs[0])
    sizes = [(width, height), (width * 3 // 2 + 1, height), (width // 2 + 1, 2 * height - 1), (97, 61)]
    made = []
    for number, (w, h) in enumerate(sizes[:count]):
        larger = max(1.0, (w * h / most) ** 0.5)
        w, h = max(1, int(w / larger)), max(1, int(h / larger))
        rng = np.random.default_rng([seed, number])
        y, x = np.mgrid[0:h, 0:w]
        picture = np.stack([x * 255 // w, y * 255 // h, (x + y) * 255 // (w + h)], axis=-1)
        for _ in range(3):
            left, top = rng.integers(0, w), rng.integers(0, h)
            picture[top : top + h // 3 + 1, left : left + w // 3 + 1] = rng.integers(0, 256, 3)
        picture[: h // 2] += rng.integers(-40, 41, (h // 2, w, 3))
        made.append(np.clip(picture, 0, 255).astype(np.uint8))
    return made
