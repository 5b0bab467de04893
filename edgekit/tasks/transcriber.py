"""From scores of frames to a text: a network for speech that was trained with CTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.tasks import ctc, fields
from edgekit.tasks import labels as names
from edgekit.tasks.ctc import Path, Window
from edgekit.tasks.labels import MOST_LABELS, Scores
from edgekit.tasks.parts import Line, Sample, Source, WithoutFiles
from edgekit.tasks.real import real
from edgekit.tasks.sound import Sound
from edgekit.text.printable import printable

if TYPE_CHECKING:
    from edgekit.graph import Graph

MOST_FRAMES = 1 << 16
_KINDS = ("float32", "int8", "uint8", "int16")


class Frames(StrEnum):
    """Which dimension of the output is that of the frames."""

    FIRST = "first"
    """``[1, frames, labels]``."""
    LAST = "last"
    """``[1, labels, frames]``."""


@dataclass(frozen=True)
class Spoken:
    """A label that was spoken.

    :param score: of the frame in which it begins. :param start: when that is, in seconds.
    """

    number: int
    label: str
    score: float
    start: float


@dataclass(frozen=True)
class Transcript:
    """What was said in a clip, or in a recording.

    :param path, window: of the clip that it was made of; None of a recording.
    """

    text: str
    labels: tuple[Spoken, ...]
    path: Path | None = field(default=None, compare=False, repr=False)
    window: Window | None = field(default=None, compare=False, repr=False)

    def json(self) -> dict[str, Any]:
        """Its fields in the JSON of ``run``."""
        return {"text": self.text, "labels": [asdict(one) for one in self.labels]}

    def words(self) -> str:
        """What ``run`` prints."""
        return printable(self.text) or "(nothing)"

    def lines(self) -> list[Line]:
        """What the C runner writes: the text, and each label."""
        each = [Line(one.number, one.label, (one.score, one.start)) for one in self.labels]
        return [Line(len(each), self.text, ()), *each]

    def agrees(self, other: Self) -> bool:
        """True if the text is the same."""
        return self.text == other.text


@dataclass(frozen=True)
class Transcriber(WithoutFiles):
    """Reads the network's first output as scores of labels, frame by frame.

    :param labels: in the network's order, the blank among them. :param blank: its number.
    :param merge: equal labels that follow each other are one. :param separator: what stands for a space in labels;
        empty: nothing does.
    """

    KEYS: ClassVar[frozenset[str]] = frozenset({"labels", "scores", "blank", "merge", "separator", "frames"})

    labels: tuple[str, ...]
    blank: int
    merge: bool = True
    separator: str = ""
    scores: Scores = Scores.PROBABILITIES
    frames: Frames = Frames.FIRST

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: FilePath) -> Self:
        """Read its keys of ``task.toml``."""
        labels = names.of_table(table.get("labels", []), folder)
        if not labels:
            raise ValueError("labels are missing: one for each of the network's, the blank among them")
        frames = table.get("frames")
        return cls(
            labels, _blank(table.get("blank"), labels), fields.flag(table.get("merge", True), "merge"),
            _separator(table.get("separator", "")),
            fields.choice(Scores, table.get("scores", "probabilities"), "scores"),
            _frames(graph, len(labels)) if frames is None else fields.choice(Frames, frames, "frames"),
        )  # fmt: skip

    @classmethod
    def of_manifest(cls, task: Mapping[str, Any], folder: FilePath | None) -> Self:
        """Read what ``json`` wrote."""
        labels = names.checked(task["labels"])
        return cls(
            labels, fields.whole(task["blank"], len(labels) - 1, "blank"), fields.flag(task["merge"], "merge"),
            _separator(task["separator"]), Scores(task["scores"]), Frames(task["frames"]),
        )  # fmt: skip

    def json(self) -> dict[str, Any]:
        """Its keys in the manifest's ``task``."""
        return {
            "labels": list(self.labels), "scores": str(self.scores), "blank": self.blank, "merge": self.merge,
            "separator": self.separator, "frames": str(self.frames),
        }  # fmt: skip

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        sides = _sides(graph)
        if sides is None:
            found = ", ".join(f"{tensor.dtype} {list(tensor.shape)}" for tensor in graph.outputs)
            raise UsageError(
                f"{where}: {kind} needs an output [1, frames, labels] or [1, labels, frames], but the network's are "
                f"{found}",
                "export the network without its decoder, for batches of one",
            )
        count, frames = (sides[1], sides[0]) if self.frames is Frames.FIRST else sides
        if count != len(self.labels):
            raise UsageError(
                f"{where}: there are {len(self.labels)} labels, but the output {list(graph.outputs[0].shape)} has "
                f"{count}",
                "one label for each, in their order; the blank has one, too",
            )
        if frames > MOST_FRAMES:
            raise UsageError(f"{where}: the output has {frames} frames, the limit is {MOST_FRAMES}")
        if self.scores is Scores.SOFTMAX:
            raise UsageError(f'{where}: scores = "softmax" is for detection', 'use scores = "logits"')

    def decide(self, sample: Sample, outputs: Sequence[NDArray[Any]], graph: Graph, source: Source) -> Transcript:
        """Decode a clip."""
        assert isinstance(source, Sound)
        values = real(outputs[0], graph.outputs[0])
        first = self.frames is Frames.FIRST
        scores = values.reshape(-1, len(self.labels)) if first else values.reshape(len(self.labels), -1).T
        path = ctc.best(scores, self.scores is Scores.LOGITS)
        window = Window(len(scores), source.length, source.step, source.rate)
        return self.joined([Transcript("", (), path, window)])

    def joined(self, clips: Sequence[Transcript]) -> Transcript:
        """What was said in a recording, of which these are the clips in their order.

        Clips that overlap share their frames; labels that reach from one clip into the next are one.
        """
        kept: list[tuple[int, int, Path, Window]] = []
        for number, clip in enumerate(clips):
            assert clip.path is not None and clip.window is not None
            begin, end = clip.window.counted(number == 0, number == len(clips) - 1)
            kept += [(number, frame, clip.path, clip.window) for frame in range(begin, end)]
        numbers = np.array([path.numbers[frame] for _, frame, path, _ in kept], np.int64)
        labels = []
        for at in ctc.spoken(numbers, self.blank, self.merge):
            number, frame, path, window = kept[at]
            label = int(numbers[at])
            score, start = float(np.float32(path.scores[frame])), float(np.float32(window.seconds(number, frame)))
            labels.append(Spoken(label, self.labels[label], score, start))
        text = "".join(self._written(one.label) for one in labels).strip(" ")
        alone = clips[0] if len(clips) == 1 else Transcript("", ())
        return Transcript(text, tuple(labels), alone.path, alone.window)

    def _written(self, label: str) -> str:
        return label.replace(self.separator, " ") if self.separator else label


def _blank(value: Any, labels: Sequence[str]) -> int:
    """The blank by its number or its label."""
    if value is None:
        raise ValueError("blank is missing: the number, or the label, of what stands for none: 0 in PyTorch")
    if isinstance(value, str):
        if labels.count(value) != 1:
            raise ValueError(f"blank = {value!r} is {labels.count(value) or 'none'} of the labels")
        return labels.index(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < min(len(labels), MOST_LABELS):
        raise ValueError(f"blank = {value!r} is none of the {len(labels)} labels, 0 to {len(labels) - 1}")
    return value


def _separator(value: Any) -> str:
    return "" if value == "" else names.checked([value])[0]


def _sides(graph: Graph) -> tuple[int, int] | None:
    """The two dimensions of the first output beside those of 1; None if it is no table of scores."""
    tensor = graph.outputs[0] if graph.outputs else None
    if tensor is None or tensor.dtype not in _KINDS or not tensor.shape or min(tensor.shape) < 1:
        return None
    if tensor.dtype != "float32" and not tensor.has_scale:
        return None
    sides = [side for side in tensor.shape if side != 1]
    if len(sides) == 1 and len(tensor.shape) > 1:  # of one frame
        sides = [1, *sides] if tensor.shape[-1] != 1 else [*sides, 1]
    return (sides[0], sides[1]) if len(sides) == 2 else None


def _frames(graph: Graph, labels: int) -> Frames:
    """Where the frames are: not where the number of labels is; if that does not tell, first."""
    sides = _sides(graph)
    return Frames.LAST if sides is not None and sides[1] != labels and sides[0] == labels else Frames.FIRST
