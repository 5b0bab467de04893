"""Weights, flags and scratch of the C kernels in ``firmware_stubs/kernels``.

The layouts are those that ``ek_types.h`` documents. Scratch depends on the variant of the kernels that the compiler's
target selects: ``portable``, ``dsp`` (Cortex-M4, M7, M33) or ``mve`` (M55, M85).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Variant = Literal["portable", "dsp", "mve"]
Int8 = NDArray[np.int8]
Integers = NDArray[np.int64]

PER_TENSOR, SATURATES, NARROW = 1, 2, 4
"""Flags of ``ek_types.h``."""


@dataclass(frozen=True)
class ConvShape:
    """``struct ek_conv_shape``: a convolution of one sample, NHWC; a depthwise one ignores ``groups``."""

    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    k_h: int
    k_w: int
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    groups: int = 1
    strip: int = 0
    flags: int = 0


@dataclass(frozen=True)
class DenseShape:
    """``struct ek_dense_shape``: ``rows`` vectors of ``inputs`` elements times ``[outputs, inputs]``."""

    rows: int
    inputs: int
    outputs: int
    flags: int = 0


def pack_conv(weights: NDArray[Any]) -> Int8:
    """``[out, kh, kw, in / groups]`` as rows, ``[out, row]``, padded with zeros to a multiple of 4 bytes."""
    rows = np.asarray(weights, np.int8).reshape(len(weights), -1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))


def pack_depthwise(weights: NDArray[Any]) -> Int8:
    """``[kh, kw, channels]`` as ``[channels, kh, kw]``."""
    return np.ascontiguousarray(np.asarray(weights, np.int8).transpose(2, 0, 1))


def pack_dense(weights: NDArray[Any]) -> Int8:
    """``[outputs, inputs]`` with rows padded with zeros to a multiple of 4 bytes."""
    return pack_conv(weights)


def folded_bias(weights: NDArray[Any], bias: NDArray[Any] | None, x_zero: int) -> Integers:
    """The bias less what the input's zero point adds to every sum.

    :param weights: one output channel per row, ``[channels, ...]``.
    :raises OverflowError: a sum, a partial one included, may need more than 32 bits.
    """
    rows = np.asarray(weights, np.int64).reshape(len(weights), -1)
    start = np.zeros(len(rows), np.int64) if bias is None else np.asarray(bias, np.int64)
    if int(largest_sums(rows, start).max(initial=0)) >= 1 << 31:
        raise OverflowError("sums may need more than 32 bits")
    folded: Integers = start - x_zero * rows.sum(1)
    return folded


def largest_sums(weights: NDArray[Any], bias: NDArray[Any] | None) -> Integers:
    """Per output channel, a bound of the magnitude of every partial sum of bias and products, in any order.

    :param weights: one output channel per row, ``[channels, ...]``.
    """
    rows = np.abs(np.asarray(weights, np.int64)).reshape(len(weights), -1)
    largest: Integers = 256 * rows.sum(1) + (0 if bias is None else np.abs(np.asarray(bias, np.int64)))
    return largest


def flags(
    multiplier: NDArray[Any], shift: NDArray[Any], limits: tuple[int, int], largest: NDArray[Any], least: int = -128
) -> int:
    """The flags of a layer.

    :param multiplier: and ``shift``: one per output channel. :param limits: of the result, inclusive.
    :param largest: :func:`largest_sums`. :param least: of the output's type.
    """
    result = 0
    if len(multiplier) > 1 and np.all(multiplier == multiplier[0]) and np.all(shift == shift[0]):
        result |= PER_TENSOR
    if limits == (least, -least - 1):
        result |= SATURATES
    if np.all(np.asarray(largest) < 1 << 30) and np.all((np.asarray(shift) >= -30) & (np.asarray(shift) <= -2)):
        result |= NARROW
    return result


def conv_scratch(shape: ConvShape, variant: Variant | None = None) -> int:
    """Bytes of scratch of ``ek_conv2d_s8``; by default enough for every variant."""
    return shape.k_h * shape.k_w * shape.in_c // shape.groups


def depthwise_scratch(shape: ConvShape, variant: Variant | None = None) -> int:
    """Bytes of scratch of ``ek_depthwise_conv2d_s8``; by default enough for every variant."""
    strip = shape.strip or shape.out_h
    height = (strip - 1) * shape.stride_h + (shape.k_h - 1) * shape.dilation_h + 1
    width = (shape.out_w - 1) * shape.stride_w + (shape.k_w - 1) * shape.dilation_w + 1
    return height * width
