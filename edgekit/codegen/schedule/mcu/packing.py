"""Weights, flags and scratch of the C kernels in ``firmware_stubs/kernels``.

Weights are packed for the kernels that are fastest on a core (``EK_PACKING`` in ``ek_types.h``): as ``rows`` for
portable C, as ``pairs`` for the DSP extension (Cortex-M4, M7, M33), as ``blocks`` for MVE (M55, M85).
Packed weights work on every core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.mcu import nibbles
from edgekit.codegen.schedule.mcu.nibbles import INT4

Packing = Literal["rows", "pairs", "blocks"]
Int8 = NDArray[np.int8]
Integers = NDArray[np.int64]

MOST_ROWS = 16
"""Of a depthwise kernel that can be packed as ``blocks``: ``EK_MOST_ROWS``."""
SLACK = 4
"""Bytes behind a patch that kernels may write."""
PER_TENSOR, SATURATES, NARROW, PLAIN, NEAR = 1, 2, 4, 8, 16
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


def pack(weights: NDArray[Any], packing: Packing = "rows", groups: int = 1) -> tuple[Int8, int]:
    """Weights of a convolution ``[out, kh, kw, in / groups]`` or a dense layer ``[out, in]``.

    :returns: the packed weights, and ``PLAIN`` if they are rows although ``pairs`` were asked for, or 0; ``INT4`` if
        they take half a byte each.
    """
    if nibbles.fit(weights):
        return nibbles.pack(weights, packing, groups)
    rows = np.asarray(weights, np.int8).reshape(len(weights), -1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    if packing == "rows":
        return rows, 0
    if packing == "blocks":
        rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 16)))
        units = rows.reshape(groups, -1, rows.shape[1])
        units = np.pad(units, ((0, 0), (0, -units.shape[1] % 2), (0, 0)))
        blocks = units.reshape(-1, 2, rows.shape[1] // 16, 16).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(blocks).reshape(-1, rows.shape[1]), 0
    depth = rows.shape[1]
    units = rows.reshape(groups, -1, depth).astype(np.int64)
    blocks = np.pad(units, ((0, 0), (0, -units.shape[1] % 4), (0, 0))).reshape(-1, 2, 2, depth)
    first, second = blocks[:, :, 0], blocks[:, :, 1]
    both = 256 * first + second
    # With activations of -128 to 127, the sums of the first of two channels must fit 24 bits.
    if both.min() < -(1 << 15) or np.abs(first).sum(-1).max() >= 1 << 16:
        return rows, PLAIN
    # [block, pair, chunk, value within the chunk] -> [block, chunk, step, pair, half], values 0, 2 and 1, 3 in a step.
    steps = both.reshape(-1, 2, depth // 4, 2, 2).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(steps, "<i2").view(np.int8).reshape(-1, depth), 0


def pack_depthwise(weights: NDArray[Any], packing: Packing = "rows", multiplier: int = 1) -> tuple[Int8, int]:
    """``[kh, kw, channels]`` as ``[channels, kh, kw]``, which ``pairs`` pads to rows of 4 if they have 3.

    Unchanged for ``blocks`` if there is no channel multiplier. :returns: also ``PLAIN``, ``INT4``, or 0; as
        :func:`pack`.
    """
    values = np.asarray(weights, np.int8)
    lanes = packing == "blocks" and multiplier == 1 and len(values) <= MOST_ROWS
    if nibbles.fit(values):
        packed = nibbles.pack_lanes(values) if lanes else nibbles.pack_rows(values.transpose(2, 0, 1))
        return packed, INT4 | (PLAIN if packing == "blocks" and not lanes else 0)
    if lanes:
        return np.ascontiguousarray(values), 0
    rows = values.transpose(2, 0, 1)
    padding = 1 if packing == "pairs" and rows.shape[2] == 3 else 0
    rows = np.pad(rows, ((0, 0), (0, 0), (0, padding)))
    return np.ascontiguousarray(rows), PLAIN if packing == "blocks" else 0


def pack_floats(weights: NDArray[Any], groups: int = 1) -> NDArray[np.float32]:
    """Weights ``[out, ...]`` in blocks of 8, 4 or single channels that lie side by side: ``ek_block_f32``."""
    rows = np.asarray(weights, np.float32).reshape(groups, len(weights) // groups, -1)
    blocks = []
    for units in rows:
        while len(units):
            count = next(n for n in (8, 4, 1) if n <= len(units))
            blocks.append(units[:count].T.reshape(-1))
            units = units[count:]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


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
    sums, shifts = int(np.max(largest, initial=0)), np.asarray(shift)
    if sums < 1 << 30 and np.all((shifts >= -30) & (shifts <= -2)):
        result |= NARROW
    elif sums < 1 << 28 and np.all((shifts >= -28) & (shifts <= 0)):
        result |= NEAR
    return result


def lanes(values: NDArray[Any], packing: Packing) -> NDArray[Any]:
    """Biases, multipliers or shifts as kernels read them: vectors of four, which ``blocks`` pads with zeros."""
    return np.pad(values, (0, 3)) if packing == "blocks" else np.asarray(values)


def takes_channels(flags: int, packing: Packing) -> bool:
    """Whether a convolution reads :func:`channels` in place of bias, multiplier and shift."""
    return packing == "pairs" and bool(flags & (NARROW | NEAR))


def takes_vectors(flags: int, packing: Packing, count: int) -> bool:
    """Whether a depthwise convolution of ``count`` channels reads :func:`vectors`.

    It does so for each 16 channels; for the rest of them it reads bias, multiplier and shift.
    """
    return packing == "blocks" and bool(flags & (NARROW | NEAR)) and not flags & (PLAIN | INT4) and count >= 16


def vectors(bias: NDArray[Any], multiplier: NDArray[Any], shift: NDArray[Any]) -> NDArray[np.int32]:
    """Folded bias, multiplier and shift, ``[channels / 16 * 2, 3, 8]``: of eight channels first the even ones."""
    rows = [np.broadcast_to(np.asarray(values, np.int32), np.shape(bias)) for values in (bias, multiplier, shift)]
    whole = len(bias) // 16 * 16
    eights = np.stack(rows)[:, :whole].reshape(3, -1, 4, 2).transpose(1, 0, 3, 2)
    return np.ascontiguousarray(eights).reshape(-1, 3, 8)


def channels(bias: NDArray[Any], multiplier: NDArray[Any], shift: NDArray[Any], flags: int) -> NDArray[np.int32]:
    """Twice the folded bias, multiplier and ``2**(32 + shift)`` of each output channel, ``[channels, 3]``.

    A quarter of the power where the flags have ``NEAR``.
    """
    power = np.int64(1) << ((32 if flags & NARROW else 30) + np.asarray(shift, np.int64))
    return np.stack([2 * np.asarray(bias, np.int64), np.asarray(multiplier, np.int64), power], 1).astype(np.int32)


def conv_scratch(shape: ConvShape, packing: Packing = "rows") -> int:
    """Bytes of scratch of ``ek_conv2d_s8``: a patch as bytes, or two patches as halfwords."""
    depth = shape.in_c // shape.groups
    patch = -(-shape.k_h * shape.k_w * depth // 4) * 4
    if packing == "rows" or shape.flags & PLAIN:
        return patch + SLACK
    if packing == "blocks":
        return 2 * -(-patch // 16) * 16 + SLACK
    return 4 * patch + (patch + SLACK if depth % 4 else 0)


def depthwise_scratch(shape: ConvShape, packing: Packing = "rows") -> int:
    """Bytes of scratch of ``ek_depthwise_conv2d_s8``: one channel of a strip with its padding."""
    if packing == "blocks" and not shape.flags & PLAIN:
        width = (shape.out_w - 1) * shape.stride_w + (shape.k_w - 1) * shape.dilation_w + 1
        return ((shape.k_h - 1) * shape.dilation_h + 1) * width * shape.in_c
    strip = shape.strip or shape.out_h
    height = (strip - 1) * shape.stride_h + (shape.k_h - 1) * shape.dilation_h + 1
    width = (shape.out_w - 1) * shape.stride_w + (shape.k_w - 1) * shape.dilation_w + 1
    taps = shape.k_h * (4 if packing == "pairs" and shape.k_w == 3 else shape.k_w) if shape.flags & INT4 else 0
    return height * -(-width // 2) * 2 * (2 if packing == "pairs" else 1) + taps


def _direct(shape: ConvShape) -> bool:
    """True if ``ek_conv2d_blocks_s8`` reads pixels where they are, instead of copying them first."""
    alone = shape.k_h == shape.k_w == 1 and shape.groups == 1 and shape.pad_top == shape.pad_left == 0
    within = (shape.out_h - 1) * shape.stride_h < shape.in_h and (shape.out_w - 1) * shape.stride_w < shape.in_w
    return alone and within and shape.in_c % 16 == 0


def conv_behind(shape: ConvShape, packing: Packing = "rows") -> int | None:
    """How far the output of ``ek_conv2d_s8`` must lie before its input, bytes, so that they may overlap; None: never.

    Pixels are read and written in row-major order, each (or two) read before it (or they) are written; but where pixels
    are not copied, two are read while they are written.
    """
    if shape.groups > 1:  # the next group reads the input again
        return None
    pixels, most = shape.out_h * shape.out_w, -shape.in_h * shape.in_w * shape.in_c
    if packing == "blocks" and not shape.flags & PLAIN and _direct(shape):
        for starts in _counted(0, pixels, 2):
            row, column = np.divmod(starts, shape.out_w)
            places = row * shape.stride_h * shape.in_w + column * shape.stride_w
            most = max(most, int((np.minimum(starts + 2, pixels) * shape.out_c - places * shape.in_c).max()))
        return most
    for pixel in _counted(1, pixels):  # the next one to be read
        row, column = np.divmod(pixel, shape.out_w)
        top = np.maximum(0, row * shape.stride_h - shape.pad_top)
        left = np.maximum(0, column * shape.stride_w - shape.pad_left)
        left[(row + 1 < shape.out_h) & ((row + 1) * shape.stride_h - shape.pad_top <= top)] = 0  # the next row's
        unread = (top * shape.in_w + np.minimum(left, shape.in_w)) * shape.in_c
        most = max(most, int((pixel * shape.out_c - unread).max()))
    return most


def _counted(first: int, end: int, step: int = 1) -> Iterator[NDArray[np.int64]]:
    """The numbers of ``range(first, end, step)`` in arrays of bounded size."""
    for start in range(first, end, step << 16):
        yield np.arange(start, min(end, start + (step << 16)), step, dtype=np.int64)


def _rows_behind(shape: ConvShape) -> int:
    """The same if a row of output is written when all rows of its window were read."""
    span = (shape.k_h - 1) * shape.dilation_h + 1
    most = -shape.in_h * shape.in_w * shape.in_c
    for row in range(shape.out_h):
        unread = row * shape.stride_h - shape.pad_top + span
        if unread < shape.in_h and row + 1 < shape.out_h:
            most = max(most, (row + 1) * shape.out_w * shape.out_c - max(0, unread) * shape.in_w * shape.in_c)
    return most


def depthwise_behind(shape: ConvShape, packing: Packing = "rows") -> int | None:
    """The same for ``ek_depthwise_conv2d_s8``.

    While a strip is written, the input is read from the first row of the strip's window on.
    """
    if packing == "blocks" and not shape.flags & PLAIN:
        return _rows_behind(shape)
    strip = shape.strip or shape.out_h
    read, written = shape.in_w * shape.in_c, shape.out_w * shape.out_c
    firsts = range(0, shape.out_h, strip)
    return max(
        min(first + strip, shape.out_h) * written - max(0, first * shape.stride_h - shape.pad_top) * read
        for first in firsts
    )


def depthwise_in_place(shape: ConvShape, packing: Packing = "rows") -> bool:
    """Whether an output of ``ek_depthwise_conv2d_s8`` may start exactly where its input starts.

    A channel is read as a whole before it is written, and its outputs lie over inputs of the same channel.
    """
    planes = packing != "blocks" or bool(shape.flags & PLAIN)
    return planes and shape.in_c == shape.out_c and shape.strip in (0, shape.out_h)
