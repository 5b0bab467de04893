"""A vector and its nearest neighbours in a gallery: the reference of ``firmware_stubs/linux/embedder.c``, bit for bit.

All arithmetic is in float64, in one order: the output's real values are divided by the square root of their squares'
sum; a cosine is the sum of this vector's products with one of the gallery's, rounded to float32. A label is as near as
its nearest vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.files import plain_files
from edgekit.tasks import fields, gallery
from edgekit.tasks.gallery import MOST_SIZE, MOST_VECTORS, Gallery
from edgekit.tasks.parts import Line, Sample, Source
from edgekit.tasks.real import real
from edgekit.text.printable import name

if TYPE_CHECKING:
    from edgekit.graph import Graph

UNKNOWN, VECTOR = "unknown", "vector"
ALL = -1.0
"""The threshold that no cosine is below."""


@dataclass(frozen=True)
class Neighbour:
    """A label of the gallery, and how near it is; ``known``: not below the threshold."""

    number: int
    label: str
    cosine: float
    known: bool


@dataclass(frozen=True)
class Neighbours:
    """The nearest labels, the nearest first, and the vector at unit length."""

    neighbours: tuple[Neighbour, ...]
    vector: tuple[float, ...]

    @property
    def nearest(self) -> str | None:
        """The label that it is; None: unknown."""
        return self.neighbours[0].label if self.neighbours and self.neighbours[0].known else None

    def json(self) -> dict[str, Any]:
        """Its fields in the JSON of ``run``."""
        return {
            "label": self.nearest, "neighbours": [asdict(one) for one in self.neighbours], "vector": list(self.vector),
        }  # fmt: skip

    def words(self) -> str:
        """What ``run`` prints."""
        listed = ", ".join(f"{name(one.label)} {one.cosine:.3g}" for one in self.neighbours)
        if self.nearest is None:
            return f"{UNKNOWN} (nearest: {listed})" if listed else UNKNOWN
        return listed

    def lines(self) -> list[Line]:
        """What the C runner writes: the neighbours, then the vector."""
        found = [Line(one.number, one.label, (one.cosine, float(one.known))) for one in self.neighbours]
        return found + [Line(number, VECTOR, (value,)) for number, value in enumerate(self.vector)]

    def agrees(self, other: Self) -> bool:
        """True if both are known by the same label, or both are unknown."""
        return self.nearest == other.nearest


@dataclass(frozen=True)
class Embedder:
    """Compares the network's first output, a vector, with those of a gallery.

    :param top: how many labels a decision lists. :param threshold: cosines below it are of something unknown.
    :param folder: of samples that a gallery is yet to be made of; empty: there is none.
    """

    KEYS: ClassVar[frozenset[str]] = frozenset({"gallery", "top", "threshold"})

    top: int = 1
    threshold: float = ALL
    gallery: Gallery = Gallery()
    folder: Path | None = field(default=None, compare=False)

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read its keys of ``task.toml``."""
        top = fields.whole(table.get("top", 1), MOST_VECTORS, "top", 1)
        threshold = _threshold(table.get("threshold", ALL))
        given = table.get("gallery")
        if given is None:
            return cls(top, threshold)
        if not isinstance(given, str) or not given:
            raise ValueError("gallery is the name of a folder or a .csv beside task.toml")
        if given.lower().endswith(".csv"):
            return cls(top, threshold, gallery.of_table(folder, given))
        return cls(top, threshold, folder=_beside(folder, given))

    @classmethod
    def of_manifest(cls, task: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote, and the gallery."""
        top = fields.whole(task["top"], MOST_VECTORS, "top", 1)
        vectors = fields.whole(task["vectors"], MOST_VECTORS, "vectors")
        if vectors and folder is None:
            raise ValueError("its gallery is in the bundle's folder")
        found = Gallery.read(folder) if vectors and folder is not None else Gallery()
        if len(found.numbers) != vectors:
            raise ValueError(f"its gallery has {len(found.numbers)} vectors, not {vectors}")
        return cls(top, _threshold(task["threshold"]), found)

    def json(self) -> dict[str, Any]:
        """Its keys in the manifest's ``task``."""
        return {"top": self.top, "threshold": self.threshold, "vectors": len(self.gallery.numbers)}

    def files(self) -> dict[str, bytes]:
        """The gallery, if there is one."""
        return {gallery.FILE: self.gallery.packed()} if self.gallery.numbers else {}

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        found = [f"{tensor.dtype} {list(tensor.shape)}" for tensor in graph.outputs]
        known = graph.outputs and (graph.outputs[0].dtype == "float32" or graph.outputs[0].has_scale)
        if not known or not 2 <= graph.outputs[0].elements <= MOST_SIZE:
            raise UsageError(
                f"{where}: {kind} needs an output of 2 to {MOST_SIZE} real numbers, but the network's are "
                f"{', '.join(found)}",
                "export the network without its classifier",
            )
        if self.gallery.numbers and self.gallery.size != graph.outputs[0].elements:
            raise UsageError(
                f"{where}: the gallery has vectors of {self.gallery.size} numbers, the network's output has "
                f"{graph.outputs[0].elements}",
                "make the gallery with this network",
            )

    def decide(self, sample: Sample, outputs: Sequence[NDArray[Any]], graph: Graph, source: Source) -> Neighbours:
        """Find the nearest labels."""
        units, directed = gallery.normalized(real(outputs[0].reshape(1, -1), graph.outputs[0]))
        nearest: tuple[Neighbour, ...] = ()
        if self.gallery.numbers:
            near = np.full(len(self.gallery.labels), -np.inf, np.float32)
            np.maximum.at(near, np.array(self.gallery.numbers), gallery.cosines(units[0], self.gallery))
            order = np.argsort(-near, kind="stable")[: self.top].tolist()
            nearest = tuple(self._neighbour(i, float(near[i]), directed=bool(directed[0])) for i in order)
        return Neighbours(nearest, tuple(units[0].astype(np.float32).astype(float).tolist()))

    def _neighbour(self, number: int, cosine: float, *, directed: bool) -> Neighbour:
        return Neighbour(number, self.gallery.labels[number], cosine, directed and cosine >= self.threshold)


def label_of(sample: str) -> str:
    """The label of a sample by its name in a gallery's folder: the subfolder's name, else the file's without ending."""
    path = PurePosixPath(sample)
    return path.parts[0] if len(path.parts) > 1 else path.stem


def _threshold(value: Any) -> float:
    found = fields.number(value, "threshold")
    if not -1 <= found <= 1:
        raise ValueError(f"threshold = {found:g} is no cosine, from -1 to 1")
    return found


def _beside(folder: Path, given: str) -> Path:
    """A folder beside a task, which may be a stranger's: nothing elsewhere becomes part of a bundle."""
    path = PurePosixPath(given)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"gallery: {given!r} leads out of the task's folder")
    found = folder / path
    if not found.is_dir() or found.resolve() != folder.resolve() / path:
        raise ValueError(f"gallery: there is no folder {given!r} beside the task")
    try:
        plain_files.names(found)
    except (OSError, ValueError) as error:
        raise ValueError(f"gallery: {given!r}: {error}") from error
    return found
