"""From an output with numbers for each pixel to a mask: the reference of ``firmware_stubs/linux/segmenter.c``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks.picture import Place

UNSEEN = 255
"""The class of pixels that the network did not see, as around a crop, or whose number is none of the classes'."""
MOST_CLASSES = 255
_FNV_START, _FNV_FACTOR = 2166136261, 16777619


class Form(StrEnum):
    """What the output holds."""

    LAST = "last"
    """``[1, h, w, classes]``: the class with the highest number."""
    FIRST = "first"
    """``[1, classes, h, w]``: the same."""
    SCORE = "score"
    """``[1, h, w]``, with or without a dimension of 1 for channels: how sure class 1 is."""
    NUMBER = "number"
    """The same shape, integers: the classes themselves."""


@dataclass(frozen=True)
class Raster:
    """The output that becomes a mask.

    :param form: how it holds the classes. :param threshold: of a score: from there on, a pixel is of class 1.
    """

    form: Form
    height: int
    width: int
    classes: int
    threshold: float = 0.5


def classified(raster: Raster, values: NDArray[Any]) -> NDArray[np.uint8]:
    """The class of each of the raster's pixels ``[h, w]``; of equal numbers the first class.

    :param values: of one sample: real numbers, scores as probabilities; of the form ``number`` the integers.
    """
    size = (raster.height, raster.width)
    if raster.form is Form.NUMBER:
        numbers = values.reshape(size).astype(np.int64)
        known = (numbers >= 0) & (numbers < raster.classes)
        return np.where(known, numbers, UNSEEN).astype(np.uint8)
    if raster.form is Form.SCORE:
        return (values.reshape(size) >= raster.threshold).astype(np.uint8)
    last = raster.form is Form.LAST
    every = values.reshape((*size, raster.classes) if last else (raster.classes, *size))
    made: NDArray[np.uint8] = np.where(np.isnan(every), -np.inf, every).argmax(axis=-1 if last else 0).astype(np.uint8)
    return made


def spread(classes: NDArray[np.uint8], at: Place, size: tuple[int, int], network: tuple[int, int]) -> NDArray[np.uint8]:
    """Bring a raster's classes ``[h, w]`` to the picture's pixels: each takes that below its center.

    :param size: width and height of the picture; ``network``: of the network's input.
    """
    rows = _below(size[1], at.pad_y, at.whole_y, at.height, at.y - at.top, network[1], classes.shape[0])
    columns = _below(size[0], at.pad_x, at.whole_x, at.width, at.x - at.left, network[0], classes.shape[1])
    made = classes[np.maximum(rows, 0)][:, np.maximum(columns, 0)]
    made[rows < 0] = UNSEEN
    made[:, columns < 0] = UNSEEN
    return made


def _below(size: int, pad: int, whole: int, resized: int, shift: int, network: int, cells: int) -> NDArray[np.int64]:
    """Which cell lies below each pixel's center, along one side; -1: none. In integers, so that all agree."""
    center = (2 * (np.arange(size, dtype=np.int64) + pad) + 1) * resized + 2 * whole * shift
    seen = (center >= 0) & (center < 2 * whole * network)
    return np.where(seen, np.where(seen, center, 0) * cells // (2 * whole * network), -1)


def digests(mask: NDArray[np.uint8]) -> list[int]:
    """The FNV-1a hash of 32 bits of each row ``[h, w]``: what the C runner writes instead of the pixels."""
    found = np.full(mask.shape[0], _FNV_START, np.uint64)
    for column in mask.T.astype(np.uint64):
        found = ((found ^ column) * np.uint64(_FNV_FACTOR)) & np.uint64(0xFFFFFFFF)
    return [int(one) for one in found]
