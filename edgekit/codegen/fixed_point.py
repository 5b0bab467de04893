"""TFLite's integer arithmetic for scales: a real factor as a 32-bit multiplier and a shift.

The functions compute what TensorFlow Lite's reference kernels compute, bit for bit
(``tensorflow/lite/kernels/internal/common.h`` and ``quantization_util.cc``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def quantize_multiplier(factor: float) -> tuple[int, int]:
    """Return ``multiplier`` and ``shift`` with ``factor ~ multiplier * 2**(shift - 31)``; ``QuantizeMultiplier``.

    :returns: a multiplier of a magnitude in ``[2**30, 2**31)`` and of the factor's sign, or ``(0, 0)`` for factors that
        are 0 or too small for a shift.
    """
    if factor == 0.0:
        return 0, 0
    fraction, shift = math.frexp(abs(factor))
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier if factor > 0 else -multiplier, shift)


def quantize_multipliers(factors: Iterable[float]) -> tuple[Integers, Integers]:
    """:func:`quantize_multiplier` of each factor; networks have a thousand channels.

    :raises OverflowError: if one is not finite.
    """
    given = np.array(factors if isinstance(factors, np.ndarray) else list(factors), np.float64)
    if not np.isfinite(given).all():
        raise OverflowError("a factor is not finite")
    fractions, exponents = np.frexp(np.abs(given))
    multipliers = np.floor(fractions * (1 << 31) + 0.5).astype(np.int64)
    whole = multipliers == 1 << 31
    multipliers, shifts = np.where(whole, 1 << 30, multipliers), exponents.astype(np.int64) + whole
    none = (given == 0.0) | (shifts < -31)
    return np.where(none, 0, np.where(given > 0, multipliers, -multipliers)), np.where(none, 0, shifts)


def saturating_rounding_doubling_high_mul(a: Integers, b: Integers | int) -> Integers:
    """The high 32 bits of ``2 * a * b``, rounded to nearest, halves away from zero (gemmlowp's function)."""
    product = a.astype(np.int64) * b
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))  # a division that truncates
    return np.minimum(high, (1 << 31) - 1).astype(np.int64)


def rounding_divide_by_pot(x: Integers, exponent: Integers | int) -> Integers:
    """``x / 2**exponent``, rounded to nearest, halves away from zero (gemmlowp's function)."""
    power = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << power) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (x < 0)
    return (x >> power) + (remainder > threshold)


def multiply_by_quantized_multiplier(x: Integers, multiplier: Integers | int, shift: Integers | int) -> Integers:
    """``x * multiplier * 2**(shift - 31)`` with two roundings, as TFLite's ``MultiplyByQuantizedMultiplier``.

    :param x: 32-bit integers, as int64. :param multiplier: and ``shift`` broadcast with ``x``.
    """
    s = np.asarray(shift, np.int64)
    left, right = np.maximum(s, 0), np.maximum(-s, 0)
    wide = saturating_rounding_doubling_high_mul(_int32(x.astype(np.int64) << left), np.asarray(multiplier, np.int64))
    return rounding_divide_by_pot(wide, right)


def multiply_rounding_once(x: Integers, multiplier: Integers | int, shift: Integers | int) -> Integers:
    """``x * multiplier * 2**(shift - 31)`` in 64 bits, rounded to nearest, halves away from zero.

    What LiteRT's FULLY_CONNECTED does (measured with LiteRT 2.3.0, with factors that are powers of two). The
    parameters are those of :func:`multiply_by_quantized_multiplier`, from which the result can differ by 1.
    """
    total = 31 - np.asarray(shift, np.int64)
    product = _int32(x.astype(np.int64)) * multiplier
    rounded: Integers = (product + (np.int64(1) << (total - 1)) - (product < 0)) >> total
    return rounded


def multiply_wide(x: Integers, multiplier: Integers | int, shift: Integers | int) -> Integers:
    """``x * multiplier * 2**(shift - 31)`` for sums of 64 bits: the multiplier is rounded to 16 bits, the product once.

    ``MultiplyByQuantizedMultiplier`` of an ``int64_t``. :param x: at most 48 bits.
    """
    m = np.asarray(multiplier, np.int64)
    reduced = np.where(m < 0x7FFF0000, (m + (1 << 15)) >> 16, 0x7FFF)
    total = 15 - np.asarray(shift, np.int64)
    rounded: Integers = (x.astype(np.int64) * reduced + (np.int64(1) << (total - 1))) >> total
    return _int32(rounded)


def multiply_wide_rounding_once(x: Integers, multiplier: Integers | int, shift: Integers | int) -> Integers:
    """:func:`multiply_rounding_once` of sums of 64 bits, with all bits of the multiplier.

    What LiteRT's FULLY_CONNECTED of int16 does unless its bias has 32 bits (measured with LiteRT 2.3.0).
    :param x: at most 47 bits. :param shift: below 15.
    """
    total = 31 - np.asarray(shift, np.int64)
    wide, m = x.astype(np.int64), np.asarray(multiplier, np.int64)
    high, low = wide >> 16, wide & 0xFFFF  # floors of quotients nest
    rest = (low * m + (np.int64(1) << (total - 1)) - ((wide < 0) & (m > 0))) >> 16
    rounded: Integers = (high * m + rest) >> (total - 16)
    return rounded


def _int32(x: Integers) -> Integers:
    """Wrapped to 32 bits, as the left shift of a C ``int32_t`` wraps."""
    return x.astype(np.uint64).astype(np.uint32).astype(np.int32).astype(np.int64)


# Fixed-point functions of gemmlowp (fixedpoint/fixedpoint.h); an integer ``x`` with ``bits`` integer bits is the number
# ``x * 2**(bits - 31)``.


def exp_on_negative_values(x: Integers, bits: int = 5) -> Integers:
    """``exp`` of numbers that are not positive, with no integer bits; gemmlowp's ``exp_on_negative_values``.

    :param bits: integer bits of ``x``.
    """
    fraction = 31 - bits
    quarter = np.int64(1) << (fraction - 2)
    within = (x & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_on_quarter(within << bits)
    remainder = within - x
    for exponent, multiplier in zip(range(-2, 5), _POWERS_OF_E, strict=True):
        if bits > exponent:
            step = saturating_rounding_doubling_high_mul(result, multiplier)
            result = np.where(remainder >> (fraction + exponent) & 1 == 1, step, result)
    return np.where(x == 0, np.int64((1 << 31) - 1), result)


_POWERS_OF_E = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""``exp(-2**n)`` for n from -2 to 4, with no integer bits."""


def _exp_on_quarter(x: Integers) -> Integers:
    """``exp`` on ``[-1/4, 0)`` by a Taylor polynomial about -1/8; all numbers without integer bits."""
    constant, third = 1895147668, 715827883  # exp(-1/8), 1/3
    y = x + (np.int64(1) << 28)
    square = saturating_rounding_doubling_high_mul(y, y)
    cube = saturating_rounding_doubling_high_mul(square, y)
    fourth = rounding_divide_by_pot(saturating_rounding_doubling_high_mul(square, square), 2)
    inner = saturating_rounding_doubling_high_mul(fourth + cube, third)
    terms = rounding_divide_by_pot(inner + square, 1)
    return constant + saturating_rounding_doubling_high_mul(y + terms, constant)


def one_over_one_plus_x(x: Integers) -> Integers:
    """``1 / (1 + x)`` for ``x`` in ``[0, 1]``, without integer bits; gemmlowp's Newton iterations."""
    half = (x + (1 << 31) - 1 + 1) >> 1  # RoundingHalfSum with the largest number
    constant_48, constant_32 = 1515870810, -1010580540  # 48/17, -32/17 with 2 integer bits
    y = constant_48 + saturating_rounding_doubling_high_mul(half, constant_32)
    for _ in range(3):
        error = (np.int64(1) << 29) - saturating_rounding_doubling_high_mul(half, y)
        y = y + _shifted_left(saturating_rounding_doubling_high_mul(y, error), 2)
    return _shifted_left(y, 1)


def log_of_at_least_one(x: Integers) -> Integers:
    """Natural logarithms of numbers with 12 integer bits, with 5; ``log_x_for_x_greater_than_or_equal_to_1``."""
    high = saturating_rounding_doubling_high_mul
    log_2, root_half, root_root_half = 1488522236, 1518500250, 1805811301
    alpha_n, alpha_d, alpha_i, alpha_f = 117049297, 127690142, 1057819769, 638450708
    quarter = 1 << 23  # with 6 integer bits, as the powers of two and the sum
    room = _leading_zeros(x)
    first = _shifted_left(high(_shifted_left(x, room - 1), root_half), 1)
    first_power = _saturated(((12 - room) << 25) + quarter)
    room = _leading_zeros(high(x, root_half)) - 1
    second = _shifted_left(x, room)
    second_power = _saturated(((12 - room) << 25) - quarter)
    r, power = np.minimum(first, second), np.maximum(first_power, second_power)
    p = (r + root_root_half + 1) >> 1
    q = (r - root_root_half) * 2
    square = high(q, q)
    numerator = high(q, r) + high(high(q, square), alpha_n)
    denominator = high(p, alpha_i + q + high(square, alpha_d)) + high(q, alpha_f)
    ratio = high(rounding_divide_by_pot(numerator, 6), one_over_one_plus_x(denominator))
    return _shifted_left(high(power, log_2) + ratio, 1)


def _leading_zeros(x: Integers) -> Integers:
    """Of 32 bits."""
    zeros: Integers = 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
    return zeros


def inverse_square_root(x: int) -> tuple[int, int]:
    """``1 / sqrt(x)`` as a multiplier and a shift; ``GetInvSqrtQuantizedMultiplierExp`` with ``reverse_shift`` -1.

    :param x: positive, of 32 bits.
    """
    if x <= 1:
        return (1 << 31) - 1, 0
    shift = 11
    while x >= 1 << 29:
        x, shift = x // 4, shift + 1
    pairs = (31 - x.bit_length()) // 2 - 1
    shift -= pairs
    x <<= 2 * pairs
    value = np.array([x >> 1], np.int64)  # three integer bits from here
    half = rounding_divide_by_pot(value, 1)
    root = np.array([1 << 28], np.int64)
    for _ in range(5):
        square = saturating_rounding_doubling_high_mul(root, root)  # six integer bits
        cube = _shifted_left(saturating_rounding_doubling_high_mul(square, root), 6)  # from nine to three
        step = saturating_rounding_doubling_high_mul(np.array([(1 << 28) + (1 << 27)], np.int64), root)
        step = step - saturating_rounding_doubling_high_mul(half, cube)
        root = _shifted_left(step, 3)  # from six to three
    multiplier = int(saturating_rounding_doubling_high_mul(root, 1518500250)[0])  # sqrt(2) / 2
    return (multiplier << -shift, 0) if shift < 0 else (multiplier, -shift)


def _shifted_left(x: Integers, bits: Integers | int) -> Integers:
    """Times a power of two, saturated to 32 bits."""
    return _saturated(x << bits)


def _saturated(x: Integers) -> Integers:
    clipped: Integers = np.clip(x, -(1 << 31), (1 << 31) - 1)
    return clipped
