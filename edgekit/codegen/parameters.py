"""Constants of integer kernels, as TFLite prepares them: a factor for each rescaling, and how far operands are shifted.

Backends write these into their own structures; ``tests/codegen/integers.py`` computes with them in NumPy, bit for bit
what LiteRT's reference kernels compute. Real factors are products and quotients in float32 or float64 exactly where
TFLite's are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgekit.codegen.base import Factor, Scale
from edgekit.codegen.fixed_point import quantize_multiplier

F = np.float32


def factor(real: float) -> Factor:
    """A real factor in fixed point."""
    return Factor(*quantize_multiplier(float(real)))


@dataclass(frozen=True)
class Operand:
    """``(stored - zero_point) * factor``; of a result ``value * factor + zero_point``."""

    zero_point: int
    factor: Factor


@dataclass(frozen=True)
class AddParameters:
    """ADD, SUB, SQUARED_DIFFERENCE: operands are shifted left, rescaled to one scale, combined and rescaled."""

    left_shift: int
    first: Operand
    second: Operand
    output: Operand


def add_parameters(first: Scale, second: Scale, output: Scale, dtype: str = "int8") -> AddParameters:
    """ADD and SUB of int8 or int16 (add.cc, sub.cc)."""
    shift = 20 if dtype == "int8" else 15
    twice = 2 * max(first.scale, second.scale)
    return _to_one_scale(first, second, output, shift, twice, twice / ((1 << shift) * output.scale))


def squared_difference_parameters(first: Scale, second: Scale, output: Scale) -> AddParameters:
    """SQUARED_DIFFERENCE of int8 (squared_difference.cc)."""
    twice = 2 * max(first.scale, second.scale)
    return _to_one_scale(first, second, output, 7, twice, twice * twice / ((1 << 14) * output.scale))


def _to_one_scale(
    first: Scale, second: Scale, output: Scale, shift: int, common: float, last: float
) -> AddParameters:  # fmt: skip
    one, other = (Operand(s.zero_point, factor(s.scale / common)) for s in (first, second))
    return AddParameters(shift, one, other, Operand(output.zero_point, factor(last)))


@dataclass(frozen=True)
class MulParameters:
    """MUL: zero points of the operands; what the product is multiplied by."""

    first_zero: int
    second_zero: int
    output: Operand


def mul_parameters(first: Scale, second: Scale, output: Scale) -> MulParameters:
    """MUL of int8 or int16 (mul.cc)."""
    real = F(first.scale) * F(second.scale) / F(output.scale)
    return MulParameters(first.zero_point, second.zero_point, Operand(output.zero_point, factor(float(real))))


@dataclass(frozen=True)
class PreluParameters:
    """``x * same`` where x is not negative, ``x * slope * sloped`` elsewhere."""

    zero: int
    slope_zero: int
    output_zero: int
    same: Factor
    sloped: Factor


def prelu_parameters(source: Scale, slope: Scale, output: Scale) -> PreluParameters:
    """PRELU of int8 (activations.cc)."""
    same = F(source.scale) / F(output.scale)
    sloped = F(source.scale) * F(slope.scale) / F(output.scale)
    zeros = (source.zero_point, slope.zero_point, output.zero_point)
    return PreluParameters(*zeros, factor(float(same)), factor(float(sloped)))


COMPARISON_SHIFT = 8


def comparison_parameters(scale: Scale) -> Operand:
    """An int8 operand of a comparison: ``((stored - zero_point) << 8) * factor`` (comparisons.cc)."""
    return Operand(scale.zero_point, factor(scale.scale))


def mean_factor(source: Scale, output: Scale, count: int) -> Factor:
    """MEAN: of the sum of ``stored - zero_point`` over ``count`` elements; 1 / count is folded in (reduce.h)."""
    multiplier, shift = quantize_multiplier(source.scale / output.scale)
    more = min(count.bit_length() - 1, 32, 31 + shift)
    return Factor((multiplier << more) // count, shift - more)


def product_factor(first: Scale, second: Scale, output: Scale) -> Factor:
    """BATCH_MATMUL: of the sum of products (batch_matmul.cc)."""
    return factor(float(F(first.scale) * F(second.scale)) / output.scale)


@dataclass(frozen=True)
class SoftmaxParameters:
    """SOFTMAX of int8: ``x - max`` times the factor has 5 integer bits; below ``least`` the power is 0."""

    factor: Factor
    least: int


def softmax_parameters(source: Scale, beta: float) -> SoftmaxParameters:
    """SOFTMAX and, with ``beta`` 1, LOG_SOFTMAX of int8 (``PreprocessSoftmaxScaling``)."""
    scaled = factor(min(beta * source.scale * (1 << 26), (1 << 31) - 1.0))
    return SoftmaxParameters(scaled, -math.floor(31 * (1 << 26) / 2.0**scaled.shift))


def log_softmax_inverse(softmax: SoftmaxParameters) -> Factor:
    """From 5 integer bits back to the scale of LOG_SOFTMAX's input (``PreprocessLogSoftmaxScalingExp``)."""
    return factor((1 << (31 - softmax.factor.shift)) / softmax.factor.multiplier)


def softmax16_factor(source: Scale, beta: float) -> Factor:
    """SOFTMAX of int16: of ``x - max``, so that -10 becomes -65535."""
    return factor(source.scale * beta / (10.0 / 65535.0))


def sigmoid16_factor(source: Scale) -> Factor:
    """LOGISTIC and TANH of int16: ``(x * multiplier + half) >> shift`` has steps of 1 / 12288 (activations.cc).

    The multiplier is less than 2**15.
    """
    real, shift = source.scale * 4096.0 * 3.0, 0
    while real <= 32767.0 / 2.0 and shift <= 30:
        real, shift = real * 2.0, shift + 1
    return Factor(int(real), shift)


@dataclass(frozen=True)
class ConvertParameters:
    """QUANTIZE between integers: ``(stored - zero_point) * factor + output_zero``."""

    zero: int
    factor: Factor
    output_zero: int


def convert_parameters(source: Scale, output: Scale) -> ConvertParameters:
    """QUANTIZE of quantized integers (quantize.cc)."""
    return ConvertParameters(source.zero_point, factor(source.scale / output.scale), output.zero_point)
