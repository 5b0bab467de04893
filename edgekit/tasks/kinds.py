"""edgekit's own kinds of tasks. They are registered as a third party's are, in ``pyproject.toml``."""

from __future__ import annotations

from typing import ClassVar

from edgekit.tasks.anomaly import Anomaly as AnomalyDecider
from edgekit.tasks.classifier import Classifier
from edgekit.tasks.detector import Detector
from edgekit.tasks.embedder import Embedder
from edgekit.tasks.parts import Decider, Source
from edgekit.tasks.picture import Picture
from edgekit.tasks.ranker import Ranker
from edgekit.tasks.regressor import Regressor
from edgekit.tasks.row import Row
from edgekit.tasks.segmenter import Segmenter
from edgekit.tasks.sound import Sound, Speech
from edgekit.tasks.text import Text
from edgekit.tasks.transcriber import Transcriber


class Classification:
    """Which class a picture or a row is of."""

    sources: ClassVar[tuple[type[Source], ...]] = (Picture, Row)
    decider: ClassVar[type[Decider]] = Classifier


class Detection:
    """What is where in a picture."""

    sources: ClassVar[tuple[type[Source], ...]] = (Picture,)
    decider: ClassVar[type[Decider]] = Detector


class Segmentation:
    """Which class each pixel of a picture is of."""

    sources: ClassVar[tuple[type[Source], ...]] = (Picture,)
    decider: ClassVar[type[Decider]] = Segmenter


class TextClassification:
    """Which class a text is of."""

    sources: ClassVar[tuple[type[Source], ...]] = (Text,)
    decider: ClassVar[type[Decider]] = Classifier


class Keyword:
    """Which word was spoken."""

    sources: ClassVar[tuple[type[Source], ...]] = (Sound,)
    decider: ClassVar[type[Decider]] = Classifier


class SpeechToText:
    """What was said."""

    sources: ClassVar[tuple[type[Source], ...]] = (Speech,)
    decider: ClassVar[type[Decider]] = Transcriber


class Anomaly:
    """How unusual a recording is."""

    sources: ClassVar[tuple[type[Source], ...]] = (Sound,)
    decider: ClassVar[type[Decider]] = AnomalyDecider


class Regression:
    """Values, in their unit, of a row."""

    sources: ClassVar[tuple[type[Source], ...]] = (Row,)
    decider: ClassVar[type[Decider]] = Regressor


class Ranking:
    """The candidates that suit a row best."""

    sources: ClassVar[tuple[type[Source], ...]] = (Row,)
    decider: ClassVar[type[Decider]] = Ranker


class Embedding:
    """What a sample is most like in a gallery."""

    sources: ClassVar[tuple[type[Source], ...]] = (Picture, Sound, Text, Row)
    decider: ClassVar[type[Decider]] = Embedder


SOURCES: frozenset[type] = frozenset({Picture, Row, Sound, Text})
"""Sources that the C library has for any kind of task, a plug-in's too."""
DECIDERS: dict[type, str] = {
    AnomalyDecider: "anomaly", Classifier: "classification", Detector: "detection", Embedder: "embedding",
    Ranker: "ranking", Regressor: "regression", Segmenter: "segmentation", Transcriber: "speech-to-text",
}  # fmt: skip
"""Deciders, each with the kind of task that has it."""
