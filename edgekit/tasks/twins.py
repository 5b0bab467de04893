"""Which sources and deciders the C library has, too: a plug-in's kind of task may be made of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from edgekit.tasks.anomaly import Anomaly
from edgekit.tasks.classifier import Classifier
from edgekit.tasks.detector import Detector
from edgekit.tasks.embedder import Embedder
from edgekit.tasks.picture import Picture
from edgekit.tasks.ranker import Ranker
from edgekit.tasks.regressor import Regressor
from edgekit.tasks.row import Row
from edgekit.tasks.segmenter import Segmenter
from edgekit.tasks.sound import Sound
from edgekit.tasks.text import Text
from edgekit.tasks.transcriber import Transcriber

if TYPE_CHECKING:
    from edgekit.tasks.parts import Decider, Source

_SOURCES = (Picture, Row, Sound, Text)
_DECIDERS: dict[type, str] = {
    Anomaly: "anomaly", Classifier: "classification", Detector: "detection", Embedder: "embedding", Ranker: "ranking",
    Regressor: "regression", Segmenter: "segmentation", Transcriber: "speech-to-text",
}  # fmt: skip


@dataclass(frozen=True)
class Twins:
    """What the C library runs of a plug-in's kind of task.

    :param source: its name; empty: none. :param decider: the kind of edgekit's own that has the same; empty: none.
    """

    source: str = ""
    decider: str = ""

    @classmethod
    def of(cls, source: Source, decider: Decider) -> Self:
        """The twins of two parts; classes that are derived from edgekit's have none.

        A decider without a source that makes its inputs there is of no use.
        """
        if type(source) not in _SOURCES:
            return cls()
        return cls(source.NAME, _DECIDERS.get(type(decider), ""))

    def json(self) -> dict[str, Any]:
        """Its object in the manifest's ``task``."""
        return asdict(self)
