"""From scores to the candidates with the highest ones; ``firmware_stubs/linux/classifier.c`` does it in C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from numpy.typing import NDArray

from edgekit.tasks.classifier import Classes, Classifier
from edgekit.tasks.parts import Sample, Source, WithoutFiles

if TYPE_CHECKING:
    from edgekit.graph import Graph

TOP = 10


@dataclass(frozen=True)
class Ranked(Classes):
    """The candidates with the highest scores, the best first."""

    def json(self) -> dict[str, Any]:
        """Its fields in the JSON of ``run``."""
        return {"ranked": super().json()["classes"]}

    def agrees(self, other: Self) -> bool:
        """True if the same candidates are listed, in the same order."""
        return [one.number for one in self.classes] == [one.number for one in other.classes]


@dataclass(frozen=True)
class Ranker(WithoutFiles):
    """Orders candidates by the network's first output, which has a score for each, as a classifier does."""

    KEYS: ClassVar[frozenset[str]] = frozenset({"labels", "top"})

    classifier: Classifier

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the candidates."""
        return self.classifier.labels

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read its keys of ``task.toml``."""
        own = {key: value for key, value in table.items() if key in cls.KEYS}
        return cls(Classifier.of_table({"top": TOP, **own}, graph, folder))

    @classmethod
    def of_manifest(cls, task: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote."""
        return cls(Classifier.of_manifest(task, folder))

    def json(self) -> dict[str, Any]:
        """Its keys in the manifest's ``task``."""
        return self.classifier.json()

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        self.classifier.check(graph, kind, where)

    def decide(self, sample: Sample, outputs: Sequence[NDArray[Any]], graph: Graph, source: Source) -> Ranked:
        """Order the candidates."""
        return Ranked(self.classifier.classes(outputs[0], graph.outputs[0]).classes)
