"""TFLite's fixed-point arithmetic against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.codegen import fixed_point as fx

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)


def away(value: Fraction) -> int:
    """Rounded to nearest, halves away from zero."""
    return int(math.copysign(1, value)) * math.floor(abs(value) + Fraction(1, 2)) if value else 0


@given(st.floats(1e-9, 1e6))
def test_a_multiplier_is_the_factor(factor: float) -> None:
    multiplier, shift = fx.quantize_multiplier(factor)
    assert 1 << 30 <= multiplier < 1 << 31
    assert float(Fraction(multiplier) * Fraction(2) ** (shift - 31)) == pytest.approx(factor, rel=2**-30)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(0.0, (0, 0)), (1.0, (1 << 30, 1)), (0.5, (1 << 30, 0)), (1 - 2**-40, (1 << 30, 1)), (2.0**-40, (0, 0))],
)
def test_ends_of_the_range(factor: float, expected: tuple[int, int]) -> None:
    assert fx.quantize_multiplier(factor) == expected


@given(st.lists(st.floats(-(2.0**40), 2.0**40) | st.sampled_from([0.0, 1 - 2**-33, -1 + 2**-40, 2.0**-32, 2.0**-33])))
def test_many_multipliers_are_each_ones(factors: list[float]) -> None:
    multipliers, shifts = fx.quantize_multipliers(factors)
    assert list(zip(multipliers.tolist(), shifts.tolist(), strict=True)) == [*map(fx.quantize_multiplier, factors)]


@pytest.mark.parametrize("factor", [math.inf, math.nan])
def test_multipliers_are_finite(factor: float) -> None:
    with pytest.raises(OverflowError, match="not finite"):
        fx.quantize_multipliers([1.0, factor])


@given(INT32, INT32)
def test_high_products_round_halves_away_from_zero_but_for_truncation(a: int, b: int) -> None:
    expected = Fraction(a * b, 1 << 31)
    found = int(fx.saturating_rounding_doubling_high_mul(np.array([a], np.int64), b)[0])
    if a == b == -(1 << 31):
        assert found == (1 << 31) - 1
    elif expected < 0 and abs(expected) % 1 == Fraction(1, 2):
        assert found == math.ceil(expected)  # gemmlowp nudges a negative tie upwards
    else:
        assert found == away(expected)


@given(INT32, st.integers(0, 31))
def test_shifts_round_halves_away_from_zero(x: int, exponent: int) -> None:
    assert int(fx.rounding_divide_by_pot(np.array([x], np.int64), exponent)[0]) == away(Fraction(x, 1 << exponent))


@given(st.integers(-(1 << 24), 1 << 24), st.floats(2**-12, 0.9))
def test_both_roundings_are_within_one(x: int, factor: float) -> None:
    values, pair = np.array([x], np.int64), fx.quantize_multiplier(factor)
    twice = int(fx.multiply_by_quantized_multiplier(values, *pair)[0])
    once = int(fx.multiply_rounding_once(values, *pair)[0])
    exact = Fraction(x) * pair[0] * Fraction(2) ** (pair[1] - 31)
    assert once == away(exact)
    assert abs(twice - once) <= 1


def test_the_two_roundings_differ_where_the_first_makes_a_half() -> None:
    pair = (1442659867, -5)  # of a layer of MLPerf Tiny's autoencoder: 4215 times it is 88.487
    values = np.array([4215], np.int64)
    assert fx.multiply_by_quantized_multiplier(values, *pair) == 89 and fx.multiply_rounding_once(values, *pair) == 88


@given(st.integers(-(1 << 31) + 1, 0))
def test_exp(x: int) -> None:
    found = int(fx.exp_on_negative_values(np.array([x], np.int64))[0]) / 2**31
    assert found == pytest.approx(math.exp(x / 2**26), abs=3e-7)  # the polynomial ends at (1/8)**5 / 120


@given(st.integers(0, (1 << 31) - 1))
def test_reciprocals(x: int) -> None:
    found = int(fx.one_over_one_plus_x(np.array([x], np.int64))[0]) / 2**31
    assert found == pytest.approx(1 / (1 + x / 2**31), abs=3e-8)
