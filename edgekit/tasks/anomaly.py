"""How unusual a sample is: the reference of ``firmware_stubs/linux/anomaly.c``, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.tasks import fields
from edgekit.tasks.parts import Line, Sample, Source, WithoutFiles
from edgekit.tasks.real import real

if TYPE_CHECKING:
    from edgekit.graph import Graph


NORMAL, ANOMALOUS = "normal", "anomalous"


class Measure(StrEnum):
    """What the score is."""

    ERROR = "error"
    """The mean squared difference between the network's input and its output, of an auto-encoder."""
    OUTPUT = "output"
    """The network's only output."""


@dataclass(frozen=True)
class Score:
    """How unusual a sample is, and whether that is above the threshold."""

    score: float
    anomalous: bool

    def json(self) -> dict[str, Any]:
        """Its fields in the JSON of ``run``."""
        return {"score": self.score, "anomalous": self.anomalous}

    def words(self) -> str:
        """What ``run`` prints."""
        return f"{self._label()}, score {self.score:.4g}"

    def lines(self) -> list[Line]:
        """What the C runner writes."""
        return [Line(int(self.anomalous), self._label(), (self.score,))]

    def agrees(self, other: Self) -> bool:
        """True if both are anomalous, or none is."""
        return self.anomalous == other.anomalous

    def _label(self) -> str:
        return ANOMALOUS if self.anomalous else NORMAL


@dataclass(frozen=True)
class Anomaly(WithoutFiles):
    """Tells the unusual from the usual.

    :param threshold: scores above it are anomalous, and so is what is no number: such sound is not known to be normal.
    """

    KEYS: ClassVar[frozenset[str]] = frozenset({"score", "threshold"})

    measure: Measure
    threshold: float

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read its keys of ``task.toml``."""
        if "threshold" not in table:
            raise ValueError("threshold is missing: scores above it are anomalous")
        return cls(fields.choice(Measure, table.get("score", "error"), "score"),
                   fields.number(table["threshold"], "threshold"))  # fmt: skip

    @classmethod
    def of_manifest(cls, task: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote."""
        return cls(Measure(task["score"]), fields.number(task["threshold"], "threshold"))

    def json(self) -> dict[str, Any]:
        """Its keys in the manifest's ``task``."""
        return {"score": str(self.measure), "threshold": self.threshold}

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        inputs, outputs = ([math.prod(tensor.shape) for tensor in side] for side in (graph.inputs, graph.outputs))
        wanted = inputs[:1] if self.measure is Measure.ERROR else [1]
        if outputs[:1] != wanted:
            shapes = [list(tensor.shape) for tensor in graph.outputs]
            raise UsageError(
                f"{where}: {kind} with score = \"{self.measure}\" needs an output of {wanted[0]} numbers, but the "
                f"network's are {shapes}",
                'an auto-encoder\'s output is as large as its input; one number is score = "output"',
            )  # fmt: skip

    def decide(self, sample: Sample, outputs: Sequence[NDArray[Any]], graph: Graph, source: Source) -> Score:
        """Score a sample."""
        return self.judged(self.scores([sample.inputs[0][None]], [outputs[0][None]], graph))

    def judged(self, scores: Sequence[float] | NDArray[np.float64]) -> Score:
        """The decision on the clips of one recording, whose scores are averaged."""
        mean = float(np.cumsum(scores)[-1]) / len(scores)
        return Score(mean, not mean <= self.threshold)

    def scores(
        self, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]], graph: Graph
    ) -> NDArray[np.float64]:
        """Scores of samples ``[n]``; inputs and outputs are in the tensors' dtypes, ``[n, *shape]``."""
        found = real(outputs[0].reshape(len(outputs[0]), -1), graph.outputs[0])
        if self.measure is Measure.OUTPUT:
            return found[:, 0]
        difference = found - real(inputs[0].reshape(found.shape), graph.inputs[0])
        made: NDArray[np.float64] = np.cumsum(difference * difference, axis=1)[:, -1] / found.shape[1]
        return made
