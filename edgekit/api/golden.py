"""Golden inputs: the samples on which an artifact is proven, and the source material that some are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.bundle import material
from edgekit.bundle.material import Material, Thing
from edgekit.data import dataset, shrunk, sounds
from edgekit.data.sources import listed, network_inputs, spoken, synthesized, typed, written
from edgekit.graph.stats import statistics
from edgekit.tasks.picture import Picture
from edgekit.tasks.row import Row
from edgekit.tasks.sound import Sound
from edgekit.tasks.text import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.data.dataset import Dataset
    from edgekit.graph import Graph
    from edgekit.tasks.task import Task

MOST, LEAST = 16, 2
MACS = 400_000_000
"""MACs that all golden samples together may take, so that proving in an emulator takes seconds."""


def count(graph: Graph) -> int:
    """How many samples suit a network."""
    return max(LEAST, min(MOST, MACS // max(1, statistics(graph).macs)))


def inputs(
    graph: Graph, samples: Dataset | None, seed: int, wanted: int, task: Task | None = None
) -> tuple[list[NDArray[Any]], Material | None]:
    """Golden inputs, ``[n, *tensor shape]`` each, drawn from the samples, and the material of which some are made.

    Where the samples are texts, rows, pictures or recordings, some of these are kept, made smaller if they are large;
    otherwise as many are synthesized, and add to the ``wanted`` samples. Of sound, one that is synthesized is always
    among them, which has another rate than the task.
    """
    chosen = samples.subset(wanted, seed) if samples is not None else dataset.random(graph, seed=seed, samples=wanted)
    found = dataset.as_network_inputs(chosen, graph)
    if task is None or not isinstance(task.source, Picture | Row | Sound | Text):
        return found, None
    kept = min(material.MOST, max(2 if isinstance(task.source, Sound) else 1, len(chosen) // 4))
    things = _of_samples(task.source, chosen, kept)
    added = _added(task.source, graph, kept, seed, of_samples=bool(things))
    found = [np.concatenate([each, np.zeros_like(each, shape=(len(added), *each.shape[1:]))]) for each in found]
    rows = [*range(len(things)), *range(len(chosen), len(chosen) + len(added))]
    return found, _placed(found, rows, (*things, *added), task, graph)


def _of_samples(source: Picture | Row | Sound | Text, samples: Dataset, count: int) -> tuple[Thing, ...]:
    """What the first samples were made of, ``count`` at most; nothing where nobody knows it."""
    if isinstance(source, Picture) and samples.files is not None and samples.sizes is not None:
        return tuple(shrunk.read(samples.files[:count].tolist(), material.MOST_PIXELS))
    if samples.texts is not None:
        return tuple(text[: material.MOST_LETTERS // 4] for text in samples.texts[:count].tolist())
    if samples.cells is not None and isinstance(source, Row):
        return tuple(typed(source, cells, material.MOST_CELL) for cells in samples.cells[:count].tolist())
    if isinstance(source, Sound) and samples.files is not None:
        return tuple(sounds.material(samples.files[: count - 1].tolist(), source, material.MOST_SAMPLES))
    return ()


def _added(
    source: Picture | Row | Sound | Text, graph: Graph, count: int, seed: int, *, of_samples: bool
) -> tuple[Thing, ...]:
    """What is synthesized: all, or of sound the one of another rate, if the rest comes from samples."""
    if not of_samples:
        return _synthesized(source, graph, count, seed)
    return tuple(spoken(source, 2, material.MOST_SAMPLES, seed)[1:]) if isinstance(source, Sound) else ()


def _synthesized(source: Picture | Row | Sound | Text, graph: Graph, count: int, seed: int) -> tuple[Thing, ...]:
    if isinstance(source, Picture):
        return tuple(synthesized(graph, count, material.MOST_PIXELS, seed))
    if isinstance(source, Text):
        return tuple(written(count))
    if isinstance(source, Row):
        return tuple(listed(source, count, seed))
    return tuple(spoken(source, count, material.MOST_SAMPLES, seed))


def _placed(
    found: list[NDArray[Any]], rows: list[int], things: tuple[Thing, ...], task: Task, graph: Graph
) -> Material:
    """Write what the network takes of each thing to its row of the golden inputs."""
    for row, thing in zip(rows, things, strict=True):
        for each, made in zip(found, network_inputs(task.source, thing, graph), strict=True):
            each[row] = made
    return Material(tuple(rows), things)
