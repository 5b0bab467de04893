"""int8 weights of layers with int16 activations, as ``firmware_stubs/kernels/ek_conv_words.h`` takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.mcu.packing import Packing

CHUNK = 496
"""Products that are added up in 32 bits: ``EK_CHUNK``."""
_MULTIPLE = {"rows": 1, "pairs": 2, "blocks": 8}
"""Of values in a column."""
_UNUSED = 4
"""Bytes of scratch of a kernel that needs none."""


def pack(weights: NDArray[Any], packing: Packing, groups: int = 1) -> NDArray[np.int8]:
    """Weights ``[out, ...]`` of a convolution or a dense layer."""
    rows = np.asarray(weights, np.int8).reshape(len(weights), -1)
    if packing == "rows":
        return rows
    many = _MULTIPLE[packing]
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % many)))
    units = rows.reshape(groups, -1, rows.shape[1])
    units = np.pad(units, ((0, 0), (0, units.shape[1] % 2), (0, 0)))
    steps = units.reshape(-1, 2, rows.shape[1] // many, many)  # [pair, channel, step, value]
    order = (0, 2, 3, 1) if packing == "pairs" else (0, 2, 1, 3)
    return np.ascontiguousarray(steps.transpose(order)).reshape(-1, rows.shape[1])


def pack_depthwise(weights: NDArray[Any], packing: Packing) -> NDArray[np.int8]:
    """Weights ``[kh, kw, channels]``: of four channels, ``pairs`` has the second and the third exchanged."""
    values = np.array(weights, np.int8)
    if packing == "pairs":
        whole = values.shape[2] // 4 * 4
        fours = values[:, :, :whole].reshape(*values.shape[:2], -1, 4)
        values[:, :, :whole] = fours[..., [0, 2, 1, 3]].reshape(*values.shape[:2], whole)
    return values


def scratch(depth: int, packing: Packing, *, direct: bool = False) -> int:
    """Bytes of two columns of ``depth`` values, of which little is left if a kernel reads ``direct`` from its input."""
    padded = depth + -depth % _MULTIPLE[packing]
    return _UNUSED if direct and padded == depth else 4 * padded


def direct(x: Sequence[int], y: Sequence[int], strides: Sequence[int], padding: Sequence[int]) -> bool:
    """Whether ``ek_conv2d_s16`` of single pixels, without groups, reads them where they are."""
    within = all((out - 1) * stride < size for out, stride, size in zip(y[1:3], strides, x[1:3], strict=True))
    return within and not any(padding[:2])


def behind(x: Sequence[int], y: Sequence[int], stride: int, top: int) -> int:
    """How far the output must lie before the input, bytes, so that they may overlap.

    Two pixels, which may lie in two rows, are written while they are read.
    """
    read, written = math.prod(x[2:]), math.prod(y[2:])
    return 2 * max(min(r + 2, y[1]) * written - max(0, r * stride - top) * read for r in range(y[1]))
