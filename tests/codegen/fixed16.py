"""gemmlowp's functions of 16-bit fixed-point numbers (fixedpoint/fixedpoint.h), as an LSTM's gates have them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ONE = 0x7FFF


def _constant(value: int) -> int:
    """A 32-bit constant in 16 bits."""
    return min((value + (1 << 15)) >> 16, ONE)


def _wrapped(x: Array) -> Array:
    return x.astype(np.uint64).astype(np.uint16).astype(np.int16).astype(np.int64)


def high(a: Array, b: Array | int) -> Array:
    """SaturatingRoundingDoublingHighMul."""
    product = np.asarray(a * b, np.int64)
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.minimum(np.sign(nudged) * (np.abs(nudged) >> 15), ONE)


def _divided(x: Array, exponent: int) -> Array:
    mask = (1 << exponent) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def _shifted(x: Array, bits: int) -> Array:
    return np.clip(x << bits, -0x8000, ONE)


def exp(x: Array, bits: int) -> Array:
    """exp_on_negative_values of numbers with ``bits`` integer bits."""
    fraction = 15 - bits
    quarter = 1 << (fraction - 2)
    within = (x & (quarter - 1)) - quarter
    result = _exp_on_quarter(_shifted(within, bits))
    remainder = within - x
    powers = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for exponent, multiplier in zip(range(-2, 5), powers, strict=True):
        if bits > exponent:
            step = high(result, _constant(multiplier))
            result = np.where(remainder >> (fraction + exponent) & 1 == 1, step, result)
    if bits > 5:
        result = np.where(x < -(32 << fraction), 0, result)
    return np.where(x == 0, ONE, result)


def _exp_on_quarter(x: Array) -> Array:
    term, third = _constant(1895147668), _constant(715827883)
    y = x + (1 << 12)
    square = high(y, y)
    cube = high(square, y)
    fourth = _divided(high(square, square), 2)
    terms = _divided(high(fourth + cube, third) + square, 1)
    return np.clip(term + high(y + terms, term), -0x8000, ONE)


def _newton(x: Array) -> Array:
    """``2 / (1 + x)`` with two integer bits."""
    total = x + ONE
    half = (total + np.where(total >= 0, 1, -1)) >> 1
    y = _constant(1515870810) + high(half, _constant(-1010580540))
    for _ in range(3):
        y = _wrapped(y + _shifted(high(y, (1 << 13) - high(half, y)), 2))
    return y


def logistic(x: Array) -> Array:
    """Of numbers with 3 integer bits."""
    positive = _shifted(_newton(exp(-np.abs(x), 3)), 1)
    return np.where(x == 0, 1 << 14, np.where(x > 0, positive, ONE - positive))


def tanh(x: Array, bits: int) -> Array:
    """Of numbers with ``bits`` integer bits."""
    size = _shifted(_newton(exp(-np.abs(x), bits + 1)) - (1 << 13), 2)
    return np.where(x == 0, 0, np.where(x < 0, -size, size))
