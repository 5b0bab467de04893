"""TFLite's requantization as one multiplication: equal for every sum that can occur, with as few bits as that takes.

The reference multiplies by 31 bits and rounds once or twice. What comes out is a staircase of at most 256 steps, so
``floor((gain * x + offset) / 2**shift)`` is the same function on an interval if it is the same on both sides of each
step: for a gain and a shift these are bounds of the offset, from above and from below. Halves are rounded away from
zero, so negative sums may need an offset of their own; with that, the reference's own multiplier always does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.unrolled.steps import Integers, Rounding

Exact = Callable[[Integers], Integers]
"""The stored integers of sums ``[n, channels]``, within the limits; it never falls."""
Side = NDArray[np.bool_] | bool
MOST_SHIFT = 62
_STORED = np.arange(-128, 128, dtype=np.int64)
_ROOM = 1 << 61
"""Bound of what is multiplied, so that nothing overflows."""
_APART = 17
"""Every how many points are tried first; odd, so that of pairs of stored integers both change."""


class NoRounding(Exception):
    """No single multiplication gives the reference's results."""


@dataclass(frozen=True)
class Fit:
    """``floor((gain * x + offset) / 2**shift)``, with the offset ``below`` where ``gain * x`` is negative.

    :param gains: of the operands, whose products are added.
    """

    gains: tuple[int, ...]
    offset: int
    below: int
    shift: int


def of_channels(
    exact: Exact, low: Integers, high: Integers, limits: tuple[int, int], factors: Sequence[float] | NDArray[np.float64]
) -> list[Fit]:  # fmt: skip
    """A fit for each channel.

    :param low: and ``high``: the least and the largest sum of each channel. :param factors: real, positive.
    :raises NoRounding: if a channel has none.
    """
    places = _points(exact, low, high, limits)
    return _fits(places[None], exact(places), limits, np.array(factors, np.float64)[None], MOST_SHIFT)


def of_stored(exact: Exact, limits: tuple[int, int], factor: float) -> Fit:
    """A fit for stored integers of int8.

    :raises NoRounding: if there is none.
    """
    return _fits(_STORED[None, :, None], exact(_STORED)[:, None], limits, np.array([[factor]]), MOST_SHIFT)[0]


def of_pairs(
    exact: Callable[[Integers, Integers], Integers], limits: tuple[int, int], factors: tuple[float, float]
) -> Fit:
    """A fit for all 65,536 pairs of stored integers.

    :raises NoRounding: if there is none.
    """
    a, b = (x.reshape(-1) for x in np.meshgrid(_STORED, _STORED))
    return _fits(np.stack([a, b])[..., None], exact(a, b)[:, None], limits, np.array(factors)[:, None], most=24)[0]


def of_mean(size: int, limits: tuple[int, int]) -> Fit:
    """A fit for sums of ``size`` stored integers, which become their mean, halves rounded away from zero."""

    def exact(total: Integers) -> Integers:
        half = size // 2
        mean = np.where(total > 0, (total + half) // size, -((-total + half) // size))
        made: Integers = np.clip(mean, *limits)
        return made

    ends = [np.array([end * size], np.int64) for end in (-128, 127)]
    return of_channels(exact, ends[0], ends[1], limits, [1 / size])[0]


def joined(fits: Sequence[Fit], limits: tuple[int, int], bias: Integers | int = 0) -> Rounding:
    """One rounding per output, of sums to which a bias is yet to be added."""
    gain = np.array([fit.gains[0] for fit in fits], np.int64)
    added = gain * bias
    offset, below, shift = (
        np.array([getattr(fit, name) for fit in fits], np.int64) for name in ("offset", "below", "shift")
    )
    return Rounding(gain, offset + added, below + added, -added, shift, *limits)


def _points(exact: Exact, low: Integers, high: Integers, limits: tuple[int, int]) -> Integers:
    """Sums on both sides of every step, of 0, and the ends, ``[n, channels]``."""
    steps = np.arange(limits[0] + 1, limits[1] + 1, dtype=np.int64)[:, None]
    first = np.broadcast_to(low, (len(steps), len(low))).copy()
    last = np.broadcast_to(high, first.shape).copy()
    while np.any(first < last):  # the first sum that reaches the step, or the largest
        middle = (first + last) >> 1
        reached = exact(middle) >= steps
        last, first = np.where(reached, middle, last), np.where(reached, first, middle + 1)
    zero = np.zeros_like(low)
    found = np.concatenate([first, first - 1, np.stack([low, high, zero, zero - 1])])
    clipped: Integers = np.clip(found, low, high)
    return clipped


def _fits(
    operands: Integers, wanted: Integers, limits: tuple[int, int], factors: NDArray[np.float64], most: int
) -> list[Fit]:
    """The fit of the fewest bits of each channel, with one offset if there is one.

    :param operands: ``[operands, points, channels]``. :param wanted: at the points. :param factors: ``[operands,
        channels]``. :raises NoRounding: if a channel has none.
    """
    found: list[Fit | None] = [None] * wanted.shape[1]
    few, wanted_there = operands[:, ::_APART], wanted[::_APART]
    for left, gains, shift in _tries(operands, wanted, factors, most, found):
        # Most tries fail at a few points already.
        possible = _possible(_total(gains, few[:, :, left]), wanted_there[:, left], limits, shift)
        left, gains = left[possible], gains[:, possible]
        linear = _total(gains, operands[:, :, left])
        for n, gain, offset in zip(left, gains.T, _offsets(linear, wanted[:, left], limits, shift), strict=True):
            if offset is not None:
                found[n] = Fit(tuple(map(int, gain)), offset, offset, shift)
    for left, gains, shift in _tries(operands, wanted, factors, most, found):
        linear = _total(gains, few[:, :, left])
        possible = _possible(linear, wanted_there[:, left], limits, shift, linear >= 0)
        possible &= _possible(linear, wanted_there[:, left], limits, shift, linear < 0)
        left, gains = left[possible], gains[:, possible]
        linear = _total(gains, operands[:, :, left])
        for at, n in enumerate(left):
            found[n] = _split(gains[:, at], linear[:, at], wanted[:, n], limits, shift)
    fits = [one for one in found if one is not None]
    if len(fits) != len(found):
        raise NoRounding
    return fits


def _tries(
    operands: Integers, wanted: Integers, factors: NDArray[np.float64], most: int, found: Sequence[Fit | None]
) -> Iterator[tuple[Integers, Integers, int]]:
    """Channels that have no fit yet, gains ``[operands, channels]``, and a shift."""
    largest = np.abs(operands).max((0, 1), initial=1) + 1
    least_shift = np.abs(wanted).max(0, initial=1) + 2
    for shift in range(most + 1):
        real = factors * 2.0**shift
        room = (np.abs(np.rint(real)).max(0) * largest < _ROOM) & (least_shift * 2.0**shift < _ROOM)
        for delta in (0, -1, 1) if len(factors) == 1 else (0,):  # of one operand, the staircase must not fall
            left = np.array([n for n, fit in enumerate(found) if room[n] and fit is None], np.int64)
            gains = np.rint(real[:, left]).astype(np.int64) + delta
            if len(factors) == 1:
                left, gains = left[gains[0] >= 0], gains[:, gains[0] >= 0]
            if len(left):
                yield left, gains, shift


def _total(gains: Integers, operands: Integers) -> Integers:
    """``[points, channels]``."""
    total: Integers = (gains[:, None] * operands).sum(0)
    return total


def _split(gains: Integers, linear: Integers, wanted: Integers, limits: tuple[int, int], shift: int) -> Fit | None:
    """A fit with an offset of its own for negative totals."""
    sides = [_offsets(linear[s][:, None], wanted[s][:, None], limits, shift)[0] for s in (linear >= 0, linear < 0)]
    if sides[0] is None or sides[1] is None:
        return None
    return Fit(tuple(map(int, gains)), sides[0], sides[1], shift)


def _offsets(linear: Integers, wanted: Integers, limits: tuple[int, int], shift: int) -> list[int | None]:
    """Offsets with ``clip((linear + offset) >> shift, *limits) == wanted`` everywhere, by channel; None: there is none.

    :param linear: and ``wanted``: ``[points, channels]``.
    """
    least, most = _bounds(linear, wanted, limits, shift)
    return [_even(int(a), int(b), shift) if a <= b else None for a, b in zip(least, most, strict=True)]


def _possible(
    linear: Integers, wanted: Integers, limits: tuple[int, int], shift: int, side: Side = True
) -> NDArray[np.bool_]:
    """True where a channel has an offset for these points."""
    least, most = _bounds(linear, wanted, limits, shift, side)
    return least <= most


def _bounds(
    linear: Integers, wanted: Integers, limits: tuple[int, int], shift: int, side: Side = True
) -> tuple[Integers, Integers]:
    """The least and the largest offset of each channel; there is none if these have changed places.

    :param side: True at points that count.
    """
    above, below = (wanted > limits[0]) & side, (wanted < limits[1]) & side
    least = np.where(above, (wanted << shift) - linear, -_ROOM).max(0, initial=-_ROOM)
    most = np.where(below, ((wanted + 1) << shift) - linear - 1, _ROOM).min(0, initial=_ROOM)
    return least, most


def _even(least: int, most: int, shift: int) -> int:
    """A number within limits whose lowest bits are 0, without more high ones than it takes."""
    least = max(least, most - (1 << shift) + 1) if least == -_ROOM else least
    for bits in range(shift, 0, -1):
        candidate = -(-least >> bits) << bits
        if candidate <= most:
            return candidate
    return least
