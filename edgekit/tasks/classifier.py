"""From scores to the classes with the highest ones: the reference of ``firmware_stubs/linux/classifier.c``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.tasks import fields
from edgekit.tasks import labels as names
from edgekit.tasks.exact import exponential
from edgekit.tasks.labels import MOST_LISTED, Scores
from edgekit.tasks.parts import Line, Sample, Source, WithoutFiles
from edgekit.tasks.real import real
from edgekit.text.printable import name

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor


@dataclass(frozen=True)
class Class:
    """A class that a network chose, and how sure it is."""

    number: int
    label: str
    score: float


@dataclass(frozen=True)
class Classes:
    """The classes with the highest scores, the best first."""

    classes: tuple[Class, ...]

    def json(self) -> dict[str, Any]:
        """Its fields in the JSON of ``run``."""
        return {"classes": [asdict(one) for one in self.classes]}

    def words(self) -> str:
        """What ``run`` prints."""
        return ", ".join(f"{name(one.label)} {one.score:.3g}" for one in self.classes)

    def lines(self) -> list[Line]:
        """What the C runner writes."""
        return [Line(one.number, one.label, (one.score,)) for one in self.classes]

    def agrees(self, other: Self) -> bool:
        """True if the best class is the same."""
        return self.classes[0].number == other.classes[0].number


@dataclass(frozen=True)
class Classifier(WithoutFiles):
    """Chooses classes by the network's first output, which has a number for each.

    :param labels: names of the classes, in the network's order; empty: they have numbers only.
    :param top: how many classes a decision lists.
    """

    KEYS: ClassVar[frozenset[str]] = frozenset({"labels", "scores", "top"})

    labels: tuple[str, ...] = ()
    top: int = 1
    scores: Scores = Scores.PROBABILITIES

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read its keys of ``task.toml``."""
        return cls(
            names.of_table(table.get("labels", []), folder),
            fields.whole(table.get("top", 1), MOST_LISTED, "top", 1),
            fields.choice(Scores, table.get("scores", "probabilities"), "scores"),
        )

    @classmethod
    def of_manifest(cls, task: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote."""
        top = max(1, fields.whole(task["top"], MOST_LISTED, "top"))
        return cls(names.checked(task["labels"]), top, Scores(task["scores"]))

    def json(self) -> dict[str, Any]:
        """Its keys in the manifest's ``task``."""
        return {"labels": list(self.labels), "top": self.top, "scores": str(self.scores)}

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        found = [list(tensor.shape) for tensor in graph.outputs]
        classes = math.prod(found[0]) if found else 0
        if not found or classes != found[0][-1] or classes < 2:
            boxes = any(len(shape) > 2 for shape in found)
            raise UsageError(
                f"{where}: {kind} needs an output [1, classes], but the network's are {found}",
                'outputs like these are of task = "detection"' if boxes
                else "remove task.toml, or export the network with its classifier",
            )  # fmt: skip
        names.check(self.labels, classes, where)
        if self.scores is Scores.SOFTMAX:
            raise UsageError(f'{where}: scores = "softmax" is for detection', 'use scores = "logits"')

    def decide(self, sample: Sample, outputs: Sequence[NDArray[Any]], graph: Graph, source: Source) -> Classes:
        """Choose classes."""
        return self.classes(outputs[0], graph.outputs[0])

    def classes(self, output: NDArray[Any], tensor: Tensor) -> Classes:
        """The classes with the highest scores; of equal ones, that with the lower number.

        :param output: of one sample, in the tensor's dtype.
        """
        values = real(output.reshape(-1), tensor)
        order = np.argsort(-values, kind="stable")[: self.top]
        if self.scores is Scores.LOGITS:
            powers = exponential(values - np.fmax.reduce(values))
            values = powers / np.cumsum(powers)[-1]  # added one after the other, as C does
        return Classes(
            tuple(Class(int(i), names.label(self.labels, int(i)), float(np.float32(values[i]))) for i in order)
        )
