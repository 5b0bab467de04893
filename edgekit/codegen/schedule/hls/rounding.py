"""Roundings of streams: of values less a base, with the same shift for all channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen import parameters as p
from edgekit.codegen.schedule.hls.layers import Integers, Range, Rounding
from edgekit.codegen.schedule.unrolled import exact
from edgekit.codegen.schedule.unrolled.rounding import Fit, NoRounding

MOST_BITS = 63


def of_fits(
    fits: Sequence[Fit], limits: tuple[int, int], numbers: Range, base: int, bias: int = 0
) -> Rounding:  # fmt: skip
    """A rounding of a value, one fit per channel or one for all.

    :param numbers: what the value can be. :param base: subtracted from the result. :param bias: yet to be added to the
        value.
    :raises NoRounding: if it takes too many bits.
    """
    return _joined(fits, limits, (numbers,), [fit.gains[0] * bias for fit in fits], base)


def of_pair(
    fit: Fit, limits: tuple[int, int], numbers: tuple[Range, Range], bases: tuple[int, int], base: int
) -> Rounding:
    """A rounding of two values, each less its base.

    :raises NoRounding: if it takes too many bits.
    """
    added = sum(gain * one for gain, one in zip(fit.gains, bases, strict=True))
    return _joined([fit], limits, numbers, [added], base)


def moved(by: int, numbers: Range) -> Rounding:
    """A rounding that adds a number; ``numbers``: its results."""
    one, offset = (np.array([value], np.int64) for value in (1, by))
    total = _hull([numbers, numbers.minus(by)])
    return Rounding((one,), offset, offset, np.zeros(1, np.int64), 0, total, numbers)


def conversion(source: k.Scale, output: k.Scale) -> Callable[[Integers], Integers]:
    """QUANTIZE of stored integers, before they are clamped."""
    made = p.convert_parameters(source, output)
    return lambda stored: exact.times(stored - made.zero, made.factor) + made.output_zero


def _joined(
    fits: Sequence[Fit], limits: tuple[int, int], numbers: Sequence[Range], added: Sequence[int], base: int
) -> Rounding:  # fmt: skip
    """The fits' roundings of totals to which ``added`` is yet to be added."""
    shift = max(fit.shift for fit in fits)
    rows, totals = list[tuple[int, ...]](), list[Range]()
    for fit, more in zip(fits, added, strict=True):
        up = shift - fit.shift
        gains = [gain << up for gain in fit.gains]
        offsets = [(one + more - (base << fit.shift)) << up for one in (fit.offset, fit.below)]
        border = -more << up
        rows.append((*gains, *offsets, border))
        ends = [(gain * one.low, gain * one.high) for gain, one in zip(gains, numbers, strict=True)]
        total = Range(sum(map(min, ends)), sum(map(max, ends)))
        totals += [total, *(total.minus(-one) for one in offsets), Range(min(0, border), max(0, border))]
    whole = _hull(totals)
    if whole.bits > MOST_BITS:
        raise NoRounding
    if len(set(rows)) == 1:
        rows = rows[:1]
    *columns, offset, below, border_column = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    result = Range(*limits).minus(base)
    return Rounding(tuple(columns), offset, below, border_column, shift, whole, result)


def _hull(ranges: Sequence[Range]) -> Range:
    return Range(min(0, *(one.low for one in ranges)), max(0, *(one.high for one in ranges)))
