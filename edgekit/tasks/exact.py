"""Functions with the same bits in C (``firmware_stubs/linux/exact.c``): those of libraries differ in the last bit.

All arithmetic is in float64, in one order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_LOG2E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
_MOST_EXPONENT = 700.0
_EXP_TERMS, _LOG_TERMS, _TURN_TERMS = 13, 11, 9
_ROOT_HALF, _QUARTER_PI = 0.70710678118654752, 0.78539816339744831


def exponential(x: Floats) -> Floats:
    """E to the x, for x limited to -700..700; NaN counts as -700. Accurate to two units in the last place.

    The range is reduced as in FreeBSD's ``e_exp.c``, then Taylor's series is summed.
    """
    x = np.minimum(np.where(x > -_MOST_EXPONENT, x, -_MOST_EXPONENT), _MOST_EXPONENT)
    k = np.rint(x * _LOG2E)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    sum_ = np.ones_like(r)
    for n in range(_EXP_TERMS, 0, -1):
        sum_ = 1.0 + sum_ * r / n
    made: Floats = np.ldexp(sum_, k.astype(np.int32))
    return made


def logarithm(x: Floats) -> Floats:
    """The natural logarithm of finite numbers above 0, accurate to a few units in the last place.

    ln m = 2 artanh((m - 1) / (m + 1)), as a series, for m from sqrt(1/2) to sqrt(2).
    """
    m, k = np.frexp(x)
    low = m < _ROOT_HALF
    m, e = np.where(low, m * 2.0, m), k - low
    s = (m - 1.0) / (m + 1.0)
    square, sum_ = s * s, np.zeros_like(s)
    for n in range(_LOG_TERMS, 0, -1):
        sum_ = (sum_ + 1.0 / (2 * n + 1)) * square
    made: Floats = e * _LN2_HIGH + (2.0 * (s + s * sum_) + e * _LN2_LOW)
    return made


def turned(part: Integers, whole: Integers | int) -> tuple[Floats, Floats]:
    """Cosine and sine of ``part / whole`` of a full turn, accurate to a few units in the last place.

    Reduced to an eighth of a turn in integers, then Taylor's series.
    """
    eighths = part % whole * 8
    octant, rest = eighths // whole, eighths % whole
    rest = np.where(octant % 2 == 1, whole - rest, rest)
    t = rest.astype(np.float64) / whole * _QUARTER_PI
    square = t * t
    c, s = np.ones_like(t), np.ones_like(t)
    for n in range(_TURN_TERMS, 0, -1):
        c = 1.0 - c * square / ((2 * n - 1) * (2 * n))
        s = 1.0 - s * square / ((2 * n) * (2 * n + 1))
    s = s * t
    swapped = (octant + 1) // 2 % 2 == 1
    cosine, sine = np.where(swapped, s, c), np.where(swapped, c, s)
    return np.where((octant >= 2) & (octant < 6), -cosine, cosine), np.where(octant >= 4, -sine, sine)
