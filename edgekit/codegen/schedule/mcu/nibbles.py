"""Weights of four bits, as the C kernels take them: two per byte (``EK_INT4`` in ``ek_types.h``).

Layers are packed so if all their weights are -8 to 7, whatever their type in the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

INT4, _PLAIN = 32, 8
"""Flags of ``ek_types.h``."""
_MOST = 1 << 19
"""What the magnitudes of an output channel's weights must not add up to: sums of products are kept times 16."""


def fit(weights: NDArray[Any]) -> bool:
    """Whether all weights have four bits."""
    values = np.asarray(weights, np.int64)
    small = values.size > 0 and values.min() >= -8 and values.max() <= 7
    return bool(small and np.abs(values).reshape(len(values), -1).sum(1).max() < _MOST)


def joined(lower: NDArray[Any], upper: NDArray[Any]) -> NDArray[np.int8]:
    """Bytes with two weights each."""
    low, high = (np.ascontiguousarray(half, np.int8).view(np.uint8) for half in (lower, upper))
    return ((low & 15) | (high << 4)).view(np.int8)


def pack_rows(weights: NDArray[Any]) -> NDArray[np.int8]:
    """``[out, ...]`` as ``[out, bytes]``: a row of each output channel, the first of two weights in the lower half."""
    rows = np.asarray(weights, np.int8).reshape(len(weights), -1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 2)))
    return joined(rows[:, 0::2], rows[:, 1::2])


def pack_lanes(weights: NDArray[Any]) -> NDArray[np.int8]:
    """``[kh, kw, channels]`` as ``[kh, kw, groups of eight channels, 4]``; the last four are in the upper halves."""
    values = np.pad(np.asarray(weights, np.int8), ((0, 0), (0, 0), (0, -weights.shape[2] % 8)))
    groups = values.reshape(*values.shape[:2], -1, 2, 4)
    return joined(groups[:, :, :, 0], groups[:, :, :, 1])


def pack(weights: NDArray[Any], packing: str, groups: int = 1) -> tuple[NDArray[np.int8], int]:
    """Weights of a convolution or a dense layer; see :func:`edgekit.codegen.schedule.mcu.packing.pack`."""
    if packing == "rows":
        return pack_rows(weights), INT4
    rows = np.asarray(weights, np.int8).reshape(len(weights), -1)
    depth, channels = (16, 2) if packing == "blocks" else (4, 4)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % depth)))
    units = rows.reshape(groups, -1, rows.shape[1])
    units = np.pad(units, ((0, 0), (0, -units.shape[1] % channels), (0, 0))).reshape(-1, 2, rows.shape[1])
    first, second = units[:, 0], units[:, 1]
    if packing == "blocks":
        return joined(second, first), INT4
    both = 16 * first.astype(np.int64) + second
    if both.min() < -128:  # -8 beside a negative weight
        return pack_rows(weights), INT4 | _PLAIN
    # [block, pair, chunk, half, step] -> [block, chunk, step, half, pair]: values 0, 2 and 1, 3 in a step.
    steps = both.reshape(-1, 2, rows.shape[1] // 4, 2, 2).transpose(0, 2, 4, 3, 1)
    return np.ascontiguousarray(steps, np.int8).reshape(len(both) // 2, -1), INT4
