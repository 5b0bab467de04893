"""What all typed kernels are made of: what a backend covers, scales, and what happens to a sum of products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.fixed_point import (
    Integers,
    multiply_by_quantized_multiplier,
    multiply_rounding_once,
    multiply_wide,
    multiply_wide_rounding_once,
    quantize_multipliers,
)
from edgekit.graph import Tensor

Limits = tuple[float, float]
"""The least and the largest stored value that an activation leaves: real for floats, integers for quantized tensors."""
Padding = tuple[int, int, int, int]
"""Top, left, bottom, right: rows and columns around a feature map that mean 0."""


@dataclass(frozen=True)
class Scope:
    """What a backend has kernels for beyond what every backend has; lowering makes nothing outside of it.

    :param int16: int16 activations with int8 weights. :param convolutions: :class:`TransposeConv`, groups of
        :class:`Conv2D`, the multiplier of :class:`DepthwiseConv2D`; without it they are taken apart.
    :param rows: :class:`LogSoftmax` and :class:`L2Normalization` in integers; without it they become float operators.
    :param state: variables, and what writes them: :class:`Svdf`, :class:`Lstm`.
    """

    int16: bool = False
    convolutions: bool = False
    rows: bool = False
    state: bool = False


BASIC = Scope()
"""What every backend has."""
MICROCONTROLLER = Scope(int16=True, convolutions=True, rows=True, state=True)
"""Everything: exact integer kernels for processors without an operating system."""


@dataclass(frozen=True)
class Scale:
    """The real value of a stored integer: ``(stored - zero_point) * scale``."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Factor:
    """A real factor as TFLite's kernels have it: ``multiplier * 2**(shift - 31)``."""

    multiplier: int
    shift: int


@dataclass(frozen=True, eq=False)
class Requantization:
    """How a sum of products becomes a stored integer.

    :param input: of the values that weights are multiplied by. :param weights: one scale per output channel, or one.
    :param output: of the result. :param rounds_once: LiteRT's reference kernels round twice in convolutions and once in
        FULLY_CONNECTED (measured with LiteRT 2.3.0). :param wide: sums have 64 bits: int16 activations without a 32-bit
        bias. Convolutions then reduce multipliers to 16 bits (:func:`~edgekit.codegen.fixed_point.multiply_wide`).
    """

    input: Scale
    weights: NDArray[np.float64]
    output: Scale
    rounds_once: bool = False
    wide: bool = False

    def factors(self, channels: int) -> NDArray[np.float64]:
        """One real factor per output channel, ``[channels]``."""
        return np.broadcast_to(self.input.scale * self.weights / self.output.scale, channels)

    def fixed_point(self, channels: int) -> tuple[Integers, Integers]:
        """The same as TFLite's kernels have it: multipliers and shifts, ``[channels]`` each."""
        return quantize_multipliers(self.factors(channels))

    def apply(self, sums: Integers) -> Integers:
        """The stored integers of sums ``[..., channels]``, as the reference has them, before they are clamped."""
        if self.rounds_once:
            multiply = multiply_wide_rounding_once if self.wide else multiply_rounding_once
        else:
            multiply = multiply_wide if self.wide else multiply_by_quantized_multiplier
        return multiply(sums, *self.fixed_point(sums.shape[-1])) + self.output.zero_point


@dataclass(frozen=True)
class Residual:
    """An addition that follows a convolution in the same kernel.

    :param tensor: what is added. :param other: its scale; :param output: the sum's; None for floats.
    :param limits: of the sum. :param first: True if the convolution is the addition's first operand.
    """

    tensor: int
    other: Scale | None
    output: Scale | None
    limits: Limits
    first: bool = True


@dataclass(frozen=True, eq=False)
class Epilogue:
    """What happens to a sum of products before it is stored.

    :param limits: of the convolution's own fused activation. :param requantization: None for floats.
    """

    limits: Limits
    requantization: Requantization | None = None
    residual: Residual | None = None


@dataclass(frozen=True, eq=False)
class Kernel:
    """One step of a network; ``node``: the operator of the source graph, ``output``: the tensor that it writes."""

    node: int
    output: int


def scale_of(tensor: Tensor) -> Scale:
    """The scale of a tensor that has one for all elements.

    :raises ValueError: if it is not quantized.
    """
    if tensor.quantization is None or not tensor.has_scale:
        raise ValueError(f"the tensor {tensor.name} has no scale")
    return Scale(float(tensor.quantization.scale[0]), int(tensor.quantization.zero_point[0]))
