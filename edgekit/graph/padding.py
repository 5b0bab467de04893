"""Placement of windows on a feature map: TFLite's SAME and VALID padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SAME = 0
"""Of the schema's ``Padding``; the other value is VALID, no padding."""
Sides = tuple[tuple[int, int], tuple[int, int]]
"""Rows before and after a feature map, columns before and after it."""


def same(size: int, output: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return the padding before and after an axis; the odd one comes after, as TFLite has it.

    :param size: of the input's axis. :param output: of the output's. :param window: of the kernel's.
    """
    total = max(0, (output - 1) * stride + (window - 1) * dilation + 1 - size)
    return total // 2, total - total // 2


def sides(
    options: Any, x: Sequence[int], y: Sequence[int], window: Sequence[int], dilations: Sequence[int] = (1, 1)
) -> Sides:
    """Return the padding around the input of a convolution or a pool.

    :param options: of which ``padding``, ``strideH`` and ``strideW`` count. :param x: and ``y``: shapes of input and
        output, ``[n, h, w, c]``. :param window: and ``dilations``: of rows and columns.
    """
    if options.padding != SAME:
        return (0, 0), (0, 0)
    (height, width), (down, across) = window, dilations
    return (
        same(x[1], y[1], height, options.strideH, down),
        same(x[2], y[2], width, options.strideW, across),
    )
