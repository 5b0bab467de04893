"""From a picture to a network's input, in NumPy: the reference of ``firmware_stubs/linux/picture.c``, bit for bit.

Pictures are resized as Pillow does it (bilinear: ``src/libImaging/Resample.c``, 8 bits per channel): a triangle as wide
as two pixels, of the picture or of the result, whichever are larger; weights are rounded to 22 bits; first each row,
then each column, with the result of the first rounded to bytes. (Pillow 13 begins with the columns where that is
cheaper; results then differ by 1 at most.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks.task import Colors, Fit, Picture, layout

if TYPE_CHECKING:
    from edgekit.graph import Tensor

_BITS = 22


@dataclass(frozen=True)
class Place:
    """The size of the resized picture; what is cut off at its left and top; where in the input it begins."""

    width: int
    height: int
    left: int = 0
    top: int = 0
    x: int = 0
    y: int = 0


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
    elif picture.fit is not Fit.STRETCH:
        if wide == (picture.fit is Fit.CROP):
            new_h = (2 * height * w + width) // (2 * width)
        else:
            new_w = (2 * width * h + height) // (2 * height)
    if picture.fit is Fit.CROP:
        new_w, new_h = max(new_w, w), max(new_h, h)
        return Place(new_w, new_h, _half(new_w - w), _half(new_h - h))
    new_w, new_h = max(new_w, 1), max(new_h, 1)
    return Place(new_w, new_h, x=(w - new_w) // 2, y=(h - new_h) // 2)


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


def _along_rows(pixels: NDArray[np.uint8], wanted: int) -> NDArray[np.uint8]:
    """Resize the second dimension of ``[h, w, c]``."""
    taps, weights = _weights(pixels.shape[1], wanted)
    total = np.full((pixels.shape[0], wanted, pixels.shape[2]), 1 << (_BITS - 1), np.int32)
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
    whole = resized(pixels, at.width, at.height)[at.top : at.top + height, at.left : at.left + width]
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
