"""From a picture to a network's input, in NumPy: the reference of ``firmware_stubs/linux/picture.c``, bit for bit.

Pictures are resized as Pillow does it (bilinear: ``src/libImaging/Resample.c``, 8 bits per channel): a triangle as wide
as two pixels, of the picture or of the result, whichever are larger; weights are rounded to 22 bits; first each row,
then each column, with the result of the first rounded to bytes. (Pillow 13 begins with the columns where that is
cheaper; results then differ by 1 at most.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.tasks import fields
from edgekit.tasks.parts import WithoutFiles

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

MOST_SIDE, MOST_LONG = 32768, 1 << 20
_BITS = 22
_KEYS = {"fit", "colors", "short", "fill", "range", "mean", "std"}


class Fit(StrEnum):
    """How a picture becomes as large as the network's input."""

    STRETCH = "stretch"
    """Resized to it, whatever that does to its proportions."""
    CROP = "crop"
    """Resized until it covers the input; what is too much is cut off on both sides."""
    LETTERBOX = "letterbox"
    """Resized until it fits in; the rest is filled."""
    PAD = "pad"
    """Filled on two sides until it has the input's proportions, then resized, as in MediaPipe."""


class Colors(StrEnum):
    """Order of the channels."""

    RGB = "rgb"
    BGR = "bgr"
    GREY = "grey"


@dataclass(frozen=True)
class Picture(WithoutFiles):
    """From pixels to the network's input.

    A byte p of channel c becomes ``p * scale[c] + offset[c]``, in float32.

    :param short: the shorter side of the picture before it is cropped, in pixels; 0: what covers the input.
    :param fill: the byte around a picture in a letterbox, or that is padded.
    """

    NAME: ClassVar[str] = "picture"

    fit: Fit
    colors: Colors
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    short: int = 0
    fill: int = 114

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read ``[picture]``."""
        fields.known(table, _KEYS, "picture.")
        channels = layout(graph.inputs[0])[2] if graph.inputs else 0
        colors = fields.choice(Colors, table.get("colors", "grey" if channels == 1 else "rgb"), "picture.colors")
        scale, offset = _scaling(table, 1 if colors is Colors.GREY else 3)
        made = cls(
            fields.choice(Fit, table.get("fit", "stretch"), "picture.fit"), colors, scale, offset,
            fields.whole(table.get("short", 0), MOST_SIDE, "picture.short"),
            fields.whole(table.get("fill", 114), 255, "picture.fill"),
        )  # fmt: skip
        if made.short and made.fit is not Fit.CROP:
            raise ValueError('picture.short is for fit = "crop"')
        return made

    @classmethod
    def of_manifest(cls, given: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote."""
        scale, offset = fields.numbers(given["scale"]), fields.numbers(given["offset"])
        if len(scale) != len(offset):
            raise ValueError("picture.scale and picture.offset are not of the same channels")
        return cls(
            Fit(given["fit"]), Colors(given["colors"]), scale, offset,
            fields.whole(given["short"], MOST_SIDE, "short"), fields.whole(given["fill"], 255, "fill"),
        )  # fmt: skip

    def json(self) -> dict[str, Any]:
        """Its object in the manifest's ``task``."""
        return asdict(self)

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        shapes = ", ".join(str(list(tensor.shape)) for tensor in graph.inputs)
        if len(graph.inputs) != 1 or not layout(graph.inputs[0])[0]:
            raise UsageError(
                f"{where}: {kind} takes a picture, but the network's inputs are {shapes}",
                "it needs one input [1, height, width, 1 or 3] or [1, 1 or 3, height, width]",
            )
        height, width, channels, _ = layout(graph.inputs[0])
        if len(self.scale) != channels or (self.colors is Colors.GREY) != (channels == 1):
            raise UsageError(
                f"{where}: the colors are {self.colors}, but the network's input has {channels} channels",
                'use colors = "grey" for one channel, "rgb" or "bgr" for three',
            )
        if self.short and self.short < max(height, width):
            raise UsageError(f"{where}: short = {self.short} is less than the network's input, {height} x {width}")


def layout(tensor: Tensor) -> tuple[int, int, int, bool]:
    """Height, width and channels of an input ``[1, h, w, c]``, or with True ``[1, c, h, w]``; zeros if neither."""
    shape = tensor.shape
    if len(shape) == 4 and shape[0] == 1 and min(shape) > 0 and max(shape) <= MOST_SIDE:
        if shape[3] in (1, 3):
            return shape[1], shape[2], shape[3], False
        if shape[1] in (1, 3):
            return shape[2], shape[3], shape[1], True
    return 0, 0, 0, False


def _scaling(table: Mapping[str, Any], channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and offset of each channel, rounded to float32."""
    if "range" in table:
        if "mean" in table or "std" in table:
            raise ValueError("picture.range excludes mean and std")
        ends = fields.numbers(table["range"])
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise ValueError("picture.range is two numbers, what the bytes 0 and 255 stand for")
        scale, offset = [(ends[1] - ends[0]) / 255] * channels, [ends[0]] * channels
    else:
        mean = fields.numbers(table.get("mean", [0.0] * channels))
        std = fields.numbers(table.get("std", [1.0] * channels))
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise ValueError(f"picture.mean and std are {channels} numbers each, of pixels in 0..1; std is above 0")
        scale = [1 / (255 * s) for s in std]
        offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return tuple(float(np.float32(s)) for s in scale), tuple(float(np.float32(o)) for o in offset)


@dataclass(frozen=True)
class Place:
    """Where a picture lies in an input.

    :param width, height: of the resized picture. :param left, top: what is cut off there. :param x, y: where in the
        input it begins. :param pad_x, pad_y: what was added at its left and top before it was resized; ``whole_x``,
        ``whole_y``: its size with that.
    """

    width: int
    height: int
    whole_x: int
    whole_y: int
    left: int = 0
    top: int = 0
    x: int = 0
    y: int = 0
    pad_x: int = 0
    pad_y: int = 0


def place(picture: Picture, size: tuple[int, int], wanted: tuple[int, int]) -> Place:
    """Where a picture of ``size`` lies in an input; both are (width, height).

    With ``short``, the sides are those of torchvision's ``Resize`` and ``CenterCrop``.
    """
    (width, height), (w, h) = size, wanted
    wide, new_w, new_h = w * height >= h * width, w, h
    if picture.fit is Fit.CROP and picture.short:
        upright = width <= height
        new_w = picture.short if upright else picture.short * width // height
        new_h = picture.short * height // width if upright else picture.short
    elif picture.fit is Fit.PAD:
        whole_w = (2 * height * w + h) // (2 * h) if wide else width
        whole_h = height if wide else (2 * width * h + w) // (2 * w)
        whole_w, whole_h = max(whole_w, width), max(whole_h, height)
        return Place(w, h, whole_w, whole_h, pad_x=(whole_w - width) // 2, pad_y=(whole_h - height) // 2)
    elif picture.fit is not Fit.STRETCH:
        if wide == (picture.fit is Fit.CROP):
            new_h = (2 * height * w + width) // (2 * width)
        else:
            new_w = (2 * width * h + height) // (2 * height)
    if picture.fit is Fit.CROP:
        new_w, new_h = max(new_w, w), max(new_h, h)
        return Place(new_w, new_h, width, height, _half(new_w - w), _half(new_h - h))
    new_w, new_h = max(new_w, 1), max(new_h, 1)
    return Place(new_w, new_h, width, height, x=(w - new_w) // 2, y=(h - new_h) // 2)


def too_narrow(picture: Picture, size: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """True if a side of the picture would be too long, with what is added to it or when it is resized.

    See :func:`place`.
    """
    at = place(picture, size, wanted)
    return max(at.whole_x, at.whole_y, at.width, at.height) > MOST_LONG


def _half(much: int) -> int:
    """Half of what is too much, halves to the even number."""
    return much // 2 + (much % 4 == 3)


def _weights(size: int, wanted: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """For each position of the result, those that it is made of, and their weights times 2^22: ``[wanted, taps]``."""
    scale = size / wanted
    width = max(scale, 1.0)
    center = (np.arange(wanted) + 0.5) * scale
    first = np.trunc(np.maximum(center - width + 0.5, 0)).astype(np.int64)
    end = np.minimum(np.trunc(center + width + 0.5).astype(np.int64), size)
    taps = first[:, None] + np.arange(2 * int(np.ceil(width)) + 1)
    exact = np.maximum(1 - np.abs((taps - center[:, None] + 0.5) * (1.0 / width)), 0)
    exact[taps >= end[:, None]] = 0
    total = np.zeros(wanted)
    for column in exact.T:  # one after the other, as C adds them
        total += column
    weights = (exact / total[:, None] * (1 << _BITS) + 0.5).astype(np.int32)
    return np.minimum(taps, size - 1), weights


def _along_rows(
    pixels: NDArray[np.uint8], wanted: int, whole: int = 0, before: int = 0, fill: int = 0, kept: slice = slice(None)
) -> NDArray[np.uint8]:
    """Resize the second dimension of ``[h, w, c]``.

    :param whole: its size with what is around it, ``fill``; 0: nothing is. ``before`` of that come first.
    :param kept: which positions of the result are computed.
    """
    size = pixels.shape[1]
    taps, weights = _weights(whole or size, wanted)
    taps, weights = taps[kept] - before, weights[kept]
    inside = (taps >= 0) & (taps < size)
    around = (np.where(inside, 0, weights).sum(axis=1, dtype=np.int64) * fill).astype(np.int32)
    total = np.full((pixels.shape[0], len(taps), pixels.shape[2]), 1 << (_BITS - 1), np.int32) + around[:, None]
    taps, weights = np.clip(taps, 0, size - 1), np.where(inside, weights, 0)
    for column in range(taps.shape[1]):
        total += pixels[:, taps[:, column]].astype(np.int32) * weights[:, column, None]
    made: NDArray[np.uint8] = np.clip(total >> _BITS, 0, 255).astype(np.uint8)
    return made


def resized(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize ``[h, w, c]`` as Pillow does it."""
    rows = _along_rows(pixels, width)
    return _along_rows(rows.transpose(1, 0, 2), height).transpose(1, 0, 2)


def grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The luma (ITU-R BT.601) of ``[h, w, 3]`` as ``[h, w, 1]``, as Pillow computes it."""
    parts = pixels.astype(np.uint32) * np.array([19595, 38470, 7471], np.uint32)
    made: NDArray[np.uint8] = ((parts.sum(axis=2, keepdims=True, dtype=np.uint32) + 0x8000) >> 16).astype(np.uint8)
    return made


def fitted(picture: Picture, pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The input's pixels ``[height, width, channels]`` of a picture ``[h, w, 3]`` in RGB."""
    if picture.colors is Colors.GREY:
        pixels = grey(pixels)
    elif picture.colors is Colors.BGR:
        pixels = pixels[:, :, ::-1]
    at = place(picture, (pixels.shape[1], pixels.shape[0]), (width, height))
    across, down = slice(at.left, at.left + width), slice(at.top, at.top + height)
    rows = _along_rows(pixels, at.width, at.whole_x, at.pad_x, picture.fill, across)
    turned = _along_rows(rows.transpose(1, 0, 2), at.height, at.whole_y, at.pad_y, picture.fill, down)
    whole = turned.transpose(1, 0, 2)
    made = np.full((height, width, pixels.shape[2]), picture.fill, np.uint8)
    made[at.y : at.y + whole.shape[0], at.x : at.x + whole.shape[1]] = whole
    return made


def values(picture: Picture, pixels: NDArray[np.uint8], tensor: Tensor) -> NDArray[Any]:
    """Real values of the input's pixels ``[.., h, w, c]``, float32 ``[.., *tensor shape]``.

    An input of bytes without a scale takes the pixels themselves.
    """
    channels_first = layout(tensor)[3]
    made: NDArray[Any] = pixels
    if tensor.dtype != "uint8" or tensor.has_scale:
        made = pixels.astype(np.float32) * np.array(picture.scale, np.float32) + np.array(picture.offset, np.float32)
    if channels_first:
        made = np.ascontiguousarray(np.moveaxis(made, -1, -3))
    return made[..., np.newaxis, :, :, :]
