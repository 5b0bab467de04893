"""Sums of products with constant weights, of floats as of integers: what convolutions and matrix products share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgekit.codegen import kernels as k

Array = NDArray[Any]
Weighted = k.Conv2D | k.DepthwiseConv2D | k.MatMul | k.TransposeConv


def products(kernel: Weighted, shape: tuple[int, ...], x: Array) -> Array:
    """Sums of products with the bias, ``[..., out]``.

    :param shape: of the output. :param x: the input without its zero point, in a type that holds the sums.
    """
    weights = kernel.weights.astype(x.dtype)
    match kernel:
        case k.MatMul():
            total = x.reshape(-1, weights.shape[1]) @ weights.T
        case k.TransposeConv():
            total = _transposed(kernel, shape, x[0], weights)
        case _:
            total = _convolved(kernel, shape, x[0], weights)
    return total if kernel.bias is None else total + kernel.bias


def _convolved(kernel: k.Conv2D | k.DepthwiseConv2D, shape: tuple[int, ...], x: Array, weights: Array) -> Array:
    _, height, width, count = shape
    top, left, bottom, right = kernel.padding
    (sy, sx), (dy, dx) = kernel.strides, kernel.dilations
    x = np.pad(x, ((top, bottom), (left, right), (0, 0)))
    depthwise = isinstance(kernel, k.DepthwiseConv2D)
    if depthwise:
        x = np.repeat(x, kernel.multiplier, -1)
    kh, kw = weights.shape[:2] if depthwise else weights.shape[1:3]
    windows = sliding_window_view(x, ((kh - 1) * dy + 1, (kw - 1) * dx + 1), axis=(0, 1))[::sy, ::sx]
    windows = windows[:height, :width, :, ::dy, ::dx]
    if depthwise:
        return np.einsum("yxcrq,rqc->yxc", windows, weights)
    grouped = windows.reshape(height, width, kernel.groups, -1, kh, kw)
    parts = weights.reshape(kernel.groups, -1, *weights.shape[1:])
    return np.einsum("yxgcrq,gorqc->yxgo", grouped, parts).reshape(height, width, count)


def _transposed(kernel: k.TransposeConv, shape: tuple[int, ...], x: Array, weights: Array) -> Array:
    (sy, sx), (top, left) = kernel.strides, kernel.padding
    height, width, _ = x.shape
    count, kh, kw, _ = weights.shape
    _, rows, columns, _ = shape
    whole = np.zeros((max(height * sy + kh, top + rows), max(width * sx + kw, left + columns), count), x.dtype)
    for r in range(kh):
        for c in range(kw):
            whole[r : r + height * sy : sy, c : c + width * sx : sx] += x @ weights[:, r, c].T
    return whole[top : top + rows, left : left + columns]
