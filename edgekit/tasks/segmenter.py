"""A network that tells the class of each pixel: which output holds them, and how."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.tasks import fields, segmentation
from edgekit.tasks import labels as names
from edgekit.tasks.detection import sigmoid
from edgekit.tasks.labels import Scores
from edgekit.tasks.parts import Line, Sample, Source, WithoutFiles
from edgekit.tasks.picture import MOST_SIDE, Picture, layout, place
from edgekit.tasks.real import real
from edgekit.tasks.segmentation import MOST_CLASSES, UNSEEN, Form, Raster
from edgekit.text.printable import name

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

SAME = 0.95
"""The share of equal pixels from which two masks come to the same."""
_KEYS = {"channels", "threshold"}
_KINDS = ("float32", "int8", "uint8", "int16")
_NUMBERS = ("int8", "uint8", "int16", "int32", "int64")


@dataclass(frozen=True)
class Mask:
    """The class of each pixel of a picture.

    :param runs: classes and how many pixels in a row have them, along the rows from the top, int64 ``[n, 2]``.
    :param labels: names of the classes.
    """

    width: int
    height: int
    runs: NDArray[np.int64]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], labels: tuple[str, ...]) -> Self:
        """The mask of classes ``[h, w]``."""
        flat = pixels.reshape(-1)
        begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [len(flat)]])
        runs = np.stack([flat[begins[:-1]].astype(np.int64), np.diff(begins)], axis=1)
        return cls(pixels.shape[1], pixels.shape[0], runs, labels)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """Classes ``[h, w]``, with :data:`UNSEEN` where there is none."""
        flat: NDArray[np.uint8] = np.repeat(self.runs[:, 0], self.runs[:, 1]).astype(np.uint8)
        return flat.reshape(self.height, self.width)

    def counts(self) -> list[tuple[int, int]]:
        """The classes that occur, and the pixels of each."""
        found = np.bincount(self.runs[:, 0], self.runs[:, 1], UNSEEN + 1).astype(np.int64)
        return [(int(number), int(found[number])) for number in np.flatnonzero(found)]

    def label(self, number: int) -> str:
        """The name of a class."""
        return "unseen" if number == UNSEEN else names.label(self.labels, number)

    def json(self) -> dict[str, Any]:
        """Its fields in the JSON of ``run``."""
        classes = [{"number": n, "label": self.label(n), "pixels": count} for n, count in self.counts()]
        mask = {"width": self.width, "height": self.height, "classes": classes, "runs": self.runs.tolist()}
        return {"mask": mask}

    def words(self) -> str:
        """What ``run`` prints."""
        most = sorted(self.counts(), key=lambda one: -one[1])
        return ", ".join(f"{name(self.label(n))} {count / self.width / self.height:.1%}" for n, count in most)

    def lines(self) -> list[Line]:
        """What the C runner writes: the pixels of each class, and a digest of each row."""
        counts = [Line(number, self.label(number), (float(count),)) for number, count in self.counts()]
        return counts + [Line(y, "row", (float(one),)) for y, one in enumerate(segmentation.digests(self.pixels))]

    def agrees(self, other: Self) -> bool:
        """True if nearly all pixels are of the same class."""
        return float(np.mean(self.pixels == other.pixels)) >= SAME


@dataclass(frozen=True)
class Segmenter(WithoutFiles):
    """Tells the class of each pixel by the network's first output.

    :param labels: names of the classes, in the network's order; empty: they have numbers only.
    :param scores: what a score is, where there is one for each pixel.
    """

    KEYS: ClassVar[frozenset[str]] = frozenset({"labels", "scores", "mask"})

    raster: Raster
    labels: tuple[str, ...] = ()
    scores: Scores = Scores.PROBABILITIES

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read its keys of ``task.toml``."""
        labels = names.of_table(table.get("labels", []), folder)
        scores = fields.choice(Scores, table.get("scores", "probabilities"), "scores")
        given = fields.table(table.get("mask", {}), "mask")
        fields.known(given, _KEYS, "mask.")
        channels = given.get("channels", "")
        if channels not in ("", "first", "last"):
            raise ValueError(f'mask.channels = {channels!r}: it is "first" or "last"')
        found = _raster(graph, len(labels), channels)
        if found is None:
            shapes = [list(tensor.shape) for tensor in graph.outputs]
            raise ValueError(
                "segmentation needs an output [1, height, width, classes], [1, classes, height, width] or "
                f"[1, height, width], but the network's are {shapes}"
            )
        return cls(Raster(*found, fields.share(given.get("threshold", 0.5), "mask.threshold")), labels, scores)

    @classmethod
    def of_manifest(cls, task: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote."""
        given = task["mask"]
        height, width = (fields.whole(given[side], MOST_SIDE, f"mask.{side}", 1) for side in ("height", "width"))
        classes = fields.whole(given["classes"], MOST_CLASSES, "mask.classes", 1)
        raster = Raster(Form(given["form"]), height, width, classes, fields.share(given["threshold"], "mask.threshold"))
        return cls(raster, names.checked(task["labels"]), Scores(task["scores"]))

    def json(self) -> dict[str, Any]:
        """Its keys in the manifest's ``task``."""
        return {"labels": list(self.labels), "scores": str(self.scores), "mask": asdict(self.raster)}

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        first = self.raster.form is Form.FIRST
        found = _raster(graph, len(self.labels), "first" if first else "last")
        if found != (self.raster.form, self.raster.height, self.raster.width, self.raster.classes):
            raise UsageError(f"{where}: {kind}: the mask is not that of the network's first output")
        names.check(self.labels, self.raster.classes, where)
        if self.scores is Scores.SOFTMAX:
            raise UsageError(f'{where}: scores = "softmax" is for detection', 'use scores = "logits"')

    def decide(self, sample: Sample, outputs: Sequence[NDArray[Any]], graph: Graph, source: Source) -> Mask:
        """Tell the class of each of the picture's pixels."""
        assert isinstance(source, Picture)
        height, width, _, _ = layout(graph.inputs[0])
        size = sample.size or (width, height)
        classes = segmentation.classified(self.raster, self._values(outputs[0], graph.outputs[0]))
        pixels = segmentation.spread(classes, place(source, size, (width, height)), size, (width, height))
        return Mask.of(pixels, self.labels)

    def _values(self, output: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
        if self.raster.form is Form.NUMBER:
            return output
        values = real(output, tensor)
        return sigmoid(values) if self.raster.form is Form.SCORE and self.scores is Scores.LOGITS else values


def _raster(graph: Graph, labels: int, channels: str) -> tuple[Form, int, int, int] | None:
    """How the first output holds a mask: its form, height, width and classes; None if it holds none.

    :param labels: how many there are, 0: they are not known. :param channels: ``first`` or ``last``; empty: where the
        number of labels is, else where the input has its channels.
    """
    tensor = graph.outputs[0] if graph.outputs else None
    if tensor is None or len(tensor.shape) not in (3, 4) or tensor.shape[0] != 1 or min(tensor.shape) < 1:
        return None
    sides = tensor.shape[1:]
    if len(sides) == 3 and 1 in (sides[0], sides[2]):
        sides = sides[1:] if sides[0] == 1 and sides[2] != 1 else sides[:2]
    if max(sides) > MOST_SIDE:
        return None
    if len(sides) == 2:
        number = tensor.dtype in _NUMBERS and not tensor.has_scale
        if not number and tensor.dtype not in _KINDS:
            return None
        return (Form.NUMBER, *sides, labels or MOST_CLASSES) if number else (Form.SCORE, *sides, 2)
    if tensor.dtype not in _KINDS:
        return None
    if not channels:
        fits = [where for where, count in (("first", sides[0]), ("last", sides[2])) if count == labels]
        first = layout(graph.inputs[0])[3] if graph.inputs else False
        channels = fits[0] if len(fits) == 1 else "first" if first else "last"
    form, height, width, classes = (
        (Form.FIRST, sides[1], sides[2], sides[0]) if channels == "first"
        else (Form.LAST, sides[0], sides[1], sides[2])
    )  # fmt: skip
    return None if classes > MOST_CLASSES or math.prod(sides) > 1 << 28 else (form, height, width, classes)
