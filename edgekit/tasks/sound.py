"""Sound as a task's source: what part of a recording a network hears, and as which features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.tasks import features, fields, resample, sound_file
from edgekit.tasks.exact import Floats
from edgekit.tasks.features import Bands
from edgekit.tasks.parts import WithoutFiles
from edgekit.tasks.resample import MOST_RATE

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

MOST_LENGTH = 1 << 24


class Features(StrEnum):
    """What a network hears."""

    WAVEFORM = "waveform"
    LOG_MEL = "log-mel"
    MFCC = "mfcc"


@dataclass(frozen=True)
class Sound(WithoutFiles):
    """From samples to the network's input.

    A feature f becomes ``f * scale + offset``, in float32.

    :param rate: samples per second. :param length: samples of a clip, which is what the network hears at once.
    :param step: samples from one clip of a recording to the next; 0: only the first is heard.
    :param bands: how features are computed; None: the samples themselves, full scale being 1.
    :param scale, offset: one of all features, or one for each. :param rest: with a step: what is left of a recording
        after its last whole clip is one more, which is followed by silence.
    """

    NAME: ClassVar[str] = "sound"
    REST: ClassVar[bool] = False
    """Whether a recording's rest, which is shorter than a clip, is one, too: the default."""

    rate: int
    length: int
    step: int
    features: Features
    bands: Bands | None
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    rest: bool = False

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read ``[sound]``."""
        rate = fields.whole(table.get("rate", 0), MOST_RATE, "sound.rate", 1)
        kind = fields.choice(Features, table.get("features", "waveform"), "sound.features")
        fields.known(table, sound_file.keys(kind is not Features.WAVEFORM, kind is Features.MFCC), "sound.")
        bands = None if kind is Features.WAVEFORM else sound_file.bands(table, rate, kind is Features.MFCC)
        frames = frames_of(graph.inputs[0], bands) if graph.inputs else 0
        heard = max(1, frames if bands is None else sound_file.heard(bands, frames))
        length = fields.whole(table.get("length", heard), MOST_LENGTH, "sound.length", 1)
        step = fields.whole(table.get("step", 0), MOST_LENGTH, "sound.step")
        scale, offset = sound_file.scaling(table, 1 if bands is None else bands.features)
        return cls(rate, length, step, kind, bands, scale, offset, cls.REST)

    @classmethod
    def of_manifest(cls, given: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote."""
        kind, scale, offset = Features(given["features"]), given["scale"], given["offset"]
        bands = None if kind is Features.WAVEFORM else sound_file.of_manifest(given["bands"], kind is Features.MFCC)
        count = 1 if bands is None else bands.features
        rate = fields.whole(given["rate"], MOST_RATE, "rate", 1)
        if bands is not None and not bands.low < bands.high <= rate / 2:
            raise ValueError("bands are beyond half the rate")
        return cls(
            rate, fields.whole(given["length"], MOST_LENGTH, "length", 1),
            fields.whole(given["step"], MOST_LENGTH, "step"), kind, bands,
            sound_file.each(list(scale), count, "scale"), sound_file.each(list(offset), count, "offset"),
            fields.flag(given.get("rest", False), "rest"),
        )  # fmt: skip

    def json(self) -> dict[str, Any]:
        """Its object in the manifest's ``task``."""
        return asdict(self)

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        shapes = ", ".join(str(list(tensor.shape)) for tensor in graph.inputs)
        wanted = "one input [1, samples]"
        if self.bands is not None:
            wanted = f"one input [1, frames, {self.bands.features}], with or without a last dimension of 1"
        tensor = graph.inputs[0] if len(graph.inputs) == 1 else None
        frames = 0 if tensor is None else frames_of(tensor, self.bands)
        if tensor is None or not frames:
            raise UsageError(
                f"{where}: {kind} takes sound ({self.features}), but the network's inputs are {shapes}",
                f"it needs {wanted}",
            )
        if not (tensor.dtype == "float32" or (tensor.dtype in ("int8", "uint8", "int16") and tensor.has_scale)):
            raise UsageError(f"{where}: {kind} takes sound, but the network's input is {tensor.dtype}")
        found = self.length if self.bands is None else sound_file.frames(self.bands, self.length)
        if found != frames:
            unit = "samples" if self.bands is None else "frames"
            raise UsageError(
                f"{where}: {self.length} samples of sound are {found} {unit}, but the network takes {frames}",
                "change sound.length, or omit it",
            )

    def clips(self, count: int) -> int:
        """How many clips a recording of ``count`` samples has; a short one is followed by silence."""
        more = max(0, count - self.length)
        return 1 + ((more + (self.step - 1) * self.rest) // self.step if self.step else 0)

    def values(self, recording: Floats, tensor: Tensor, rate: int | None = None) -> NDArray[np.float32]:
        """Real values of the input for each clip of a recording ``[samples]``, float32 ``[clips, *tensor shape]``.

        :param rate: the recording's; default: the task's. :raises resample.Unrelated: if it cannot be resampled.
        """
        rate = rate or self.rate
        clips = np.zeros((self.clips(resample.count(len(recording), rate, self.rate)), self.length))
        if rate != self.rate:
            most = (len(clips) - 1) * self.step + self.length
            recording = resample.resampled(recording, rate, self.rate, most)
        for number, clip in enumerate(clips):
            part = recording[number * self.step : number * self.step + self.length]
            clip[: len(part)] = part
        found = clips[:, :, None]
        if self.bands is not None:
            found = features.features(clips, frames_of(tensor, self.bands), self.bands, self.rate)
        made: NDArray[np.float32] = found.astype(np.float32) * np.array(self.scale, np.float32) + np.array(
            self.offset, np.float32
        )
        if self.bands is not None and bands_first(tensor, self.bands):
            made = made.transpose(0, 2, 1)
        return np.ascontiguousarray(made).reshape(-1, *tensor.shape)


class Speech(Sound):
    """Sound of which nothing may be missed: a sentence ends with its recording."""

    REST: ClassVar[bool] = True


def frames_of(tensor: Tensor, bands: Bands | None) -> int:
    """Frames (without ``bands``: samples) in an input; 0 if it takes no such sound.

    Shapes are those of ``docs/tasks.md``: dimensions of 1 do not count; of two that are left, one is the features'.
    """
    sides = [side for side in tensor.shape if side != 1]
    if not tensor.shape or tensor.shape[0] != 1 or min(tensor.shape) < 1 or math.prod(sides) > MOST_LENGTH:
        return 0
    if bands is None:
        return math.prod(sides) if len(sides) < 2 else 0
    if len(sides) > 2 or math.prod(sides) % bands.features or (len(sides) == 2 and bands.features not in sides):
        return 0
    return math.prod(sides) // bands.features


def bands_first(tensor: Tensor, bands: Bands) -> bool:
    """True if all frames of a feature lie together in memory."""
    sides = [side for side in tensor.shape if side != 1]
    return len(sides) == 2 and sides[1] != bands.features
