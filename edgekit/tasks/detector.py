"""A detector: where boxes lie in the network's outputs, and which of them become detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.tasks import detection, fields, head, head_file
from edgekit.tasks import labels as names
from edgekit.tasks.detection import Detection, Suppression
from edgekit.tasks.head import Head
from edgekit.tasks.labels import Scores
from edgekit.tasks.parts import Line, Sample, Source, WithoutFiles
from edgekit.tasks.picture import Picture, layout
from edgekit.text.printable import name

if TYPE_CHECKING:
    from edgekit.graph import Graph

MOST_FOUND = 10000
SAME = 0.5
"""Intersection over union from which two boxes are of the same object."""
_SUPPRESSION = {"score", "overlap", "most", "agnostic", "weighted"}


@dataclass(frozen=True)
class Detections:
    """What was found in a picture, the highest score first."""

    detections: tuple[Detection, ...]

    def json(self) -> dict[str, Any]:
        """Its fields in the JSON of ``run``."""
        return {"detections": [asdict(one) for one in self.detections]}

    def words(self) -> str:
        """What ``run`` prints."""
        found = [
            f"{name(one.label)} {one.score:.3g} at {' '.join(str(round(side)) for side in one.box)}"
            for one in self.detections
        ]
        return ", ".join(found) or "nothing"

    def lines(self) -> list[Line]:
        """What the C runner writes."""
        return [Line(one.number, one.label, (one.score, *one.box)) for one in self.detections]

    def agrees(self, other: Self) -> bool:
        """True if each box has one of the same class in the other that overlaps it by ``SAME``."""
        left = list(other.detections)
        for one in self.detections:
            near = [(one.overlap(two), at) for at, two in enumerate(left) if two.number == one.number]
            if not near or max(near)[0] < SAME:
                return False
            del left[max(near)[1]]
        return not left


@dataclass(frozen=True)
class Detector(WithoutFiles):
    """Finds boxes.

    :param labels: names of the classes, in the network's order; empty: they have numbers only.
    """

    KEYS: ClassVar[frozenset[str]] = frozenset({"labels", "scores", "head", "suppression"})

    head: Head
    suppression: Suppression = Suppression()
    labels: tuple[str, ...] = ()
    scores: Scores = Scores.PROBABILITIES

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read its keys of ``task.toml``."""
        labels = names.of_table(table.get("labels", []), folder)
        scores = fields.choice(Scores, table.get("scores", "probabilities"), "scores")
        height, width, _, _ = layout(graph.inputs[0])
        part = head_file.of_table(fields.table(table.get("head", {}), "head"), graph, (width, height), len(labels))
        rules = _suppression(fields.table(table.get("suppression", {}), "suppression"))
        return cls(part, rules, labels, scores)

    @classmethod
    def of_manifest(cls, task: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote."""
        labels, scores = names.checked(task["labels"]), Scores(task["scores"])
        return cls(head.of_manifest(task["head"]), _suppression(task["suppression"]), labels, scores)

    def json(self) -> dict[str, Any]:
        """Its keys in the manifest's ``task``."""
        return {
            "labels": list(self.labels), "scores": str(self.scores), "head": self.head.json(),
            "suppression": asdict(self.suppression),
        }  # fmt: skip

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        try:
            head.check(self.head, graph)
        except ValueError as error:
            raise UsageError(f"{where}: {error}") from error
        names.check(self.labels, self.head.classes, where)

    def decide(self, sample: Sample, outputs: Sequence[NDArray[Any]], graph: Graph, source: Source) -> Detections:
        """Find what is in a picture."""
        assert isinstance(source, Picture)
        height, width, _, _ = layout(graph.inputs[0])
        found = detection.detections(
            self, source, outputs, graph.outputs, graph.inputs[0], sample.size or (width, height)
        )
        return Detections(tuple(found))


def _suppression(given: Mapping[str, Any]) -> Suppression:
    fields.known(given, _SUPPRESSION, "suppression.")
    usual = Suppression()
    return Suppression(
        fields.share(given.get("score", usual.score), "suppression.score"),
        fields.share(given.get("overlap", usual.overlap), "suppression.overlap"),
        fields.whole(given.get("most", usual.most), MOST_FOUND, "suppression.most", 1),
        fields.flag(given.get("agnostic", usual.agnostic), "suppression.agnostic"),
        fields.flag(given.get("weighted", usual.weighted), "suppression.weighted"),
    )
