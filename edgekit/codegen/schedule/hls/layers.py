"""What the schedule makes: layers that pass whole numbers on in streams, one pixel at a time.

A layer does not pass a tensor's stored integers on, but what is left of them when a base is subtracted: with the zero
point as the base, padding and what is not there are 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Range:
    """Whole numbers from ``low`` to ``high``."""

    low: int
    high: int

    @property
    def signed(self) -> bool:
        """True if some are negative."""
        return self.low < 0

    @property
    def bits(self) -> int:
        """The fewest that hold them all."""
        if not self.signed:
            return max(1, self.high.bit_length())
        return max((-self.low - 1).bit_length(), self.high.bit_length()) + 1

    def minus(self, base: int) -> Range:
        """All of them less ``base``."""
        return Range(self.low - base, self.high - base)


@dataclass(frozen=True)
class Value:
    """What a layer passes on: ``shape`` without the batch."""

    number: int
    shape: tuple[int, ...]
    range: Range


@dataclass(frozen=True, eq=False)
class Layer:
    """Computes one value. ``node``: the operator."""

    node: int
    output: Value


@dataclass(frozen=True, eq=False)
class Weighted(Layer):
    """Sums of products with weights, and a bias ``[out]``."""

    input: Value
    weights: Integers
    bias: Integers


@dataclass(frozen=True, eq=False)
class Convolution(Weighted):
    """Weights ``[height, width, in, out]``, or ``[height, width, channels, 1]`` where ``depthwise``.

    hls4ml 1.3.0 does not step over rows where a window has one, and takes a depthwise window of one pixel for a matrix
    product of all channels: these windows get a second row of zeros.

    :param padding: top, left, bottom, right; these pixels are 0.
    """

    strides: tuple[int, int]
    padding: tuple[int, int, int, int]
    depthwise: bool = False


@dataclass(frozen=True, eq=False)
class Dense(Weighted):
    """Weights ``[in, out]``."""


@dataclass(frozen=True, eq=False)
class Largest(Layer):
    """The largest of each window; windows lie side by side."""

    input: Value
    window: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Zeros(Layer):
    """Pixels of 0 around a feature map: top, left, bottom, right."""

    input: Value
    padding: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Sum(Layer):
    """The sum of all pixels, by channel."""

    input: Value


@dataclass(frozen=True, eq=False)
class Shaped(Layer):
    """The same numbers in another shape."""

    input: Value


@dataclass(frozen=True, eq=False)
class Rounding:
    """``clip((total + (below if total < border else offset)) >> shift, low, high)``; arrays by channel, or of one.

    :param gains: of the operands, whose products are the total. :param total: what holds it, with its offset.
    :param range: of the results.
    """

    gains: tuple[Integers, ...]
    offset: Integers
    below: Integers
    border: Integers
    shift: int
    total: Range
    range: Range

    @property
    def split(self) -> bool:
        """True if negative totals have an offset of their own."""
        return not np.array_equal(self.offset, self.below)


@dataclass(frozen=True, eq=False)
class Requantize(Layer):
    """Rounds a value."""

    input: Value
    rounding: Rounding


@dataclass(frozen=True, eq=False)
class Combine(Layer):
    """Rounds the sum of two values of the same shape, each times its gain."""

    first: Value
    second: Value
    rounding: Rounding


@dataclass(frozen=True, eq=False)
class Table(Layer):
    """``table[x - low]`` of each number; ``low``: the least of the input."""

    input: Value
    table: Integers


@dataclass(frozen=True, eq=False)
class Program:
    """A network as layers, in the order of execution."""

    layers: tuple[Layer, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
