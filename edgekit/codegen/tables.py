"""int8 functions of one element as tables of all 256 results, and tables that int16 functions interpolate in.

They are what TFLite's reference kernels compute: in float32 or fixed-point arithmetic, as those do. Sources:
``tensorflow/lite/kernels/activations.cc``, ``elementwise.cc``, ``neg.cc``, ``gelu.cc``, ``exp.cc`` and the headers in
``internal/reference`` that they call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import fixed_point as fx
from edgekit.codegen.base import Limits, Scale
from edgekit.codegen.fixed_point import Integers

STORED: Integers = np.arange(-128, 128, dtype=np.int64)
"""All int8 values, in the order of a table."""
F = np.float32


def stored_limits(real: Limits, scale: Scale, dtype: str) -> tuple[int, int]:
    """The least and the largest stored value between two real ones; ``CalculateActivationRangeQuantized``."""
    info = np.iinfo(dtype)
    stored = [
        side if abs(end) >= UNBOUNDED else _away(F(end) / F(scale.scale)) + scale.zero_point
        for end, side in zip(real, (info.min, info.max), strict=True)
    ]
    return max(info.min, stored[0]), min(info.max, stored[1])


UNBOUNDED = 3.0e38
"""Real limits of that magnitude and more are none."""


def table(function: str, source: Scale, target: Scale, options: dict[str, Any]) -> NDArray[np.int8]:
    """The results of a function for the stored values -128 to 127, ``[256]``.

    :param function: the operator's name, of :data:`FUNCTIONS`. :param options: ``alpha`` of LEAKY_RELU, ``approximate``
        of GELU. Where the reference refuses a value at run time (a negative one under a root), the result is the least.
    """
    return np.clip(FUNCTIONS[function](source, target, options), -128, 127).astype(np.int8)


Function = Callable[[Scale, Scale, dict[str, Any]], Integers]


def _away(value: Any) -> int:
    """Rounded to nearest, halves away from zero, within 32 bits."""
    whole = math.floor(abs(float(value)) + 0.5)
    return int(math.copysign(min(whole, (1 << 31) - 1), float(value)))


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 rounded to nearest, halves away from zero, as ``std::round``."""
    whole = np.trunc(values)
    return np.where(np.abs(values - whole) >= 0.5, whole + np.copysign(F(1), values), whole).astype(F)


def _looked_up(real: Callable[[NDArray[np.float32], dict[str, Any], Scale], NDArray[Any]]) -> Function:
    """A function of float32, rounded: ``LUTPopulate``."""

    def results(source: Scale, target: Scale, options: dict[str, Any]) -> Integers:
        x = F(source.scale) * (STORED - source.zero_point).astype(F)
        with np.errstate(all="ignore"):
            y = real(x, options, target).astype(F)
            scaled = _rounded(y * (F(1) / F(target.scale))) + F(target.zero_point)
        stored: Integers = np.nan_to_num(np.clip(scaled, -(2.0**30), 2.0**30), nan=-(2.0**30)).astype(np.int64)
        return stored

    return results


def _wide(function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Callable[..., NDArray[Any]]:
    """A float32 function of the C library, which rounds correctly almost everywhere, by way of float64."""
    return lambda x, *_: function(x.astype(np.float64)).astype(F)


def _logistic(x: NDArray[np.float32], *_: Any) -> NDArray[Any]:
    shares: NDArray[np.float32] = F(1) / (F(1) + np.exp(-x.astype(np.float64)).astype(F))
    return shares


def _gelu(x: NDArray[np.float32], options: dict[str, Any], _: Scale) -> NDArray[Any]:
    if options.get("approximate"):
        inner = F(math.sqrt(2 / math.pi)) * (x + F(0.044715) * x * x * x)
        return F(0.5) * x * (F(1) + np.tanh(inner.astype(np.float64)).astype(F))
    tails: NDArray[np.float32] = np.vectorize(math.erfc)((x * F(-math.sqrt(0.5))).astype(np.float64)).astype(F)
    return F(0.5) * x * tails


def _log(x: NDArray[np.float32], _: dict[str, Any], target: Scale) -> NDArray[Any]:
    least = F(-128 - target.zero_point) * F(target.scale)
    return np.where(x > 0, np.log(x.astype(np.float64)).astype(F), least)


def _elu(x: NDArray[np.float32], *_: Any) -> NDArray[Any]:
    return np.where(x < 0, np.expm1(x.astype(np.float64)).astype(F), x)


def _clamped(low: float, high: float) -> Function:
    """A ReLU: rescaled, then clamped; ``QuantizedReluX``."""

    def results(source: Scale, target: Scale, _: dict[str, Any]) -> Integers:
        factor = fx.quantize_multiplier(float(F(source.scale) / F(target.scale)))
        scaled = fx.multiply_by_quantized_multiplier(STORED - source.zero_point, *factor) + target.zero_point
        return np.clip(scaled, *stored_limits((low, high), target, "int8"))

    return results


def _leaky_relu(source: Scale, target: Scale, options: dict[str, Any]) -> Integers:
    """``QuantizeLeakyRelu``: one factor for each sign."""
    x = STORED - source.zero_point
    given, made = F(source.scale), F(target.scale)
    slope = fx.quantize_multiplier(float(given * F(options["alpha"]) / made))
    same = fx.quantize_multiplier(float(given / made))
    results = [fx.multiply_by_quantized_multiplier(x, *factor) for factor in (same, slope)]
    if slope[0] < 0:  # halves of the first rounding go as with a positive factor: measured with LiteRT 2.3.0
        first = ((x << max(slope[1], 0)) * slope[0] + (1 << 30) - (x < 0)) >> 31
        results[1] = fx.rounding_divide_by_pot(first, max(-slope[1], 0))
    return np.where(x >= 0, *results) + target.zero_point


def _hard_swish(source: Scale, target: Scale, _: dict[str, Any]) -> Integers:
    """``reference_ops::HardSwish`` in 16 bits (reference/hard_swish.h)."""
    fine = F(1 / 128) * F(source.scale)
    output, output_shift = _factor16(fine / F(target.scale))
    relu, relu_shift = _factor16(fine / F(3 / 32768))
    x = (STORED - source.zero_point) << 7
    scaled = _high_mul16(x, output)
    gate = x
    if relu_shift > 0:
        gate = _clip16(gate << (relu_shift - 1))
    gate = _high_mul16(gate, relu)
    gate = _clip16(gate << 1) if relu_shift > 0 else _divided16(gate, -relu_shift)
    gate = (gate + (1 << 15)) >> 1
    product = gate * scaled
    truncated = np.sign(product) * (np.abs(product) >> 15)
    return _divided16(truncated, max(0, -output_shift)) + target.zero_point


def _factor16(factor: np.float32) -> tuple[int, int]:
    """A multiplier of 16 bits and its shift; ``DownScaleInt32ToInt16Multiplier``."""
    multiplier, shift = fx.quantize_multiplier(float(factor))
    return min((multiplier + (1 << 15)) >> 16, 0x7FFF), shift


def _high_mul16(a: Integers, b: int) -> Integers:
    """``gemmlowp::SaturatingRoundingDoublingHighMul`` of 16 bits."""
    product = a * b
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    high: Integers = np.sign(nudged) * (np.abs(nudged) >> 15)
    return np.minimum(high, 0x7FFF)


def _divided16(x: Integers, exponent: int) -> Integers:
    """``gemmlowp::RoundingDivideByPOT`` of 16 bits, whose mask has no more: beyond 15 it is -1."""
    mask = (1 << exponent) - 1 if exponent < 16 else -1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def _clip16(x: Integers) -> Integers:
    return np.clip(x, -0x8000, 0x7FFF)


def _absolute(source: Scale, target: Scale, _: dict[str, Any]) -> Integers:
    x = np.abs(STORED - source.zero_point)
    if source.scale != target.scale:
        x = fx.multiply_by_quantized_multiplier(x, *fx.quantize_multiplier(float(F(source.scale) / F(target.scale))))
    return x + target.zero_point


def _negative(source: Scale, target: Scale, _: dict[str, Any]) -> Integers:
    """The stored integer's own, wrapped to 8 bits: the reference has no eye for zero points (reference/neg.h)."""
    return ((128 - STORED) & 255) - 128


def _root(source: Scale, target: Scale, _: dict[str, Any]) -> Integers:
    """``SqrtEvalQuantized``: the quotient is truncated."""
    x = F(source.scale) * (STORED - source.zero_point).astype(F)
    real = np.sqrt(np.maximum(x, 0)) / F(target.scale)
    return np.where(x >= 0, np.trunc(real).astype(np.int64) + target.zero_point, -128)


def _inverse_root(source: Scale, target: Scale, _: dict[str, Any]) -> Integers:
    """``RsqrtEvalQuantizedInt8``."""
    factor = fx.quantize_multiplier(1.0 / float(F(np.sqrt(F(source.scale))) * F(target.scale)))
    results = []
    for x in (STORED - source.zero_point).tolist():
        if x <= 0:
            results.append(127 if x == 0 else -128)
            continue
        multiplier, shift = fx.inverse_square_root(x)
        data = fx.multiply_by_quantized_multiplier(np.array([1]), multiplier, shift + 20)
        results.append(int(fx.multiply_by_quantized_multiplier(data, factor[0], factor[1] - 20)[0]) + target.zero_point)
    return np.array(results, np.int64)


FUNCTIONS: dict[str, Function] = {
    "LOGISTIC": _looked_up(_logistic),
    "TANH": _looked_up(_wide(np.tanh)),
    "EXP": _looked_up(_wide(np.exp)),
    "LOG": _looked_up(_log),
    "ELU": _looked_up(_elu),
    "GELU": _looked_up(_gelu),
    "RELU": _clamped(0, UNBOUNDED),
    "RELU6": _clamped(0, 6),
    "RELU_N1_TO_1": _clamped(-1, 1),
    "RELU_0_TO_1": _clamped(0, 1),
    "LEAKY_RELU": _leaky_relu,
    "HARD_SWISH": _hard_swish,
    "ABS": _absolute,
    "NEG": _negative,
    "SQRT": _root,
    "RSQRT": _inverse_root,
}
"""Every function that LiteRT computes in int8, by operator."""


def _sigmoid16() -> NDArray[np.uint16]:
    """``sigmoid(i / 24)`` in units of 2**-16, raised by half of what interpolation lacks in the middle of a step."""
    here, middle, after = (65536 / (1 + np.exp(-(np.arange(256) + part) / 24)) for part in (0, 0.5, 1))
    values = np.floor(here + (middle - (here + after) / 2) / 2 + 0.5)
    values[-1] = 65535
    return values.astype(np.uint16)


SIGMOID16 = _sigmoid16()
"""LOGISTIC and TANH of int16 interpolate in it, ``[256]`` (reference/integer_ops/logistic.h, tanh.h)."""


def _interpolated(real: Callable[[NDArray[Any]], NDArray[Any]], low: float, high: float) -> Integers:
    """513 values of a function in units of 2**-15, corrected likewise; ``gen_lut``."""
    step = (high - low) / 512
    here, middle, after = (real(low + step * (np.arange(512) + part)) * 32768.0 for part in (0, 0.5, 1))
    between = _away_each((after + _away_each(here)) / 2)
    values = _away_each(here) - _away_each((between - _away_each(middle)) / 2)
    last = _away_each(real(np.array([high])) * 32768.0)
    return _clip16(np.append(values, last).astype(np.int64))


def _away_each(x: NDArray[Any]) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.copysign(np.floor(np.abs(x) + 0.5), x)
    return rounded


EXP16 = _interpolated(np.exp, -10.0, 0.0).astype(np.int16)
"""SOFTMAX of int16: powers of numbers from -10 to 0, ``[513]`` (activations.cc)."""
RECIPROCAL16 = _interpolated(lambda x: 1 / (1 + x), 0.0, 1.0).astype(np.int16)
"""SOFTMAX of int16: ``1 / (1 + x)`` for x from 0 to 1, ``[513]``."""
