"""TFLite's requantization as one multiplication: equal for every sum that can occur, with as few bits as that takes.

The reference multiplies by 31 bits and rounds once or twice. What comes out is a staircase of at most 256 steps, so
``floor((gain * x + offset) / 2**shift)`` is the same function on an interval if it is the same on both sides of each
step: for a gain and a shift these are bounds of the offset, from above and from below. Halves are rounded away from
zero, so negative sums may need an offset of their own; with that, the reference's own multiplier always does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.unrolled.steps import Integers

Exact = Callable[[Integers], Integers]
"""The stored integers of sums ``[n, channels]``, within the limits; it never falls."""
MOST_SHIFT = 62
_STORED = np.arange(-128, 128, dtype=np.int64)
_ROOM = 1 << 61
"""Bound of what is multiplied, so that nothing overflows."""


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
    wanted = exact(places)
    return [_fit(places[:, n][None], wanted[:, n], limits, (float(f),)) for n, f in enumerate(factors)]


def of_stored(exact: Exact, limits: tuple[int, int], factor: float) -> Fit:
    """A fit for stored integers of int8.

    :raises NoRounding: if there is none.
    """
    return _fit(_STORED[None], exact(_STORED), limits, (factor,))


def of_pairs(
    exact: Callable[[Integers, Integers], Integers], limits: tuple[int, int], factors: tuple[float, float]
) -> Fit:
    """A fit for all 65,536 pairs of stored integers.

    :raises NoRounding: if there is none.
    """
    a, b = (x.reshape(-1) for x in np.meshgrid(_STORED, _STORED))
    return _fit(np.stack([a, b]), exact(a, b), limits, factors, most=24)


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


def _fit(
    operands: Integers, wanted: Integers, limits: tuple[int, int], factors: tuple[float, ...], most: int = MOST_SHIFT
) -> Fit:
    """The fit of the fewest bits, with one offset if there is one.

    :param operands: ``[operands, points]``. :param wanted: at the points. :raises NoRounding: if there is none.
    """
    largest = int(np.abs(operands).max(initial=1)) + 1
    least_shift = int(np.abs(wanted).max(initial=1)) + 2
    split: Fit | None = None
    for shift in range(most + 1):
        nearest = [round(factor * (1 << shift)) for factor in factors]
        if max(map(abs, nearest)) * largest >= _ROOM or least_shift << shift >= _ROOM:
            break
        for gains in _around(nearest):
            linear = np.array(gains, np.int64) @ operands
            offset = _offset(linear, wanted, limits, shift)
            if offset is not None:
                return Fit(gains, offset, offset, shift)
            if split is None:
                sides = [_offset(linear[s], wanted[s], limits, shift) for s in (linear >= 0, linear < 0)]
                if sides[0] is not None and sides[1] is not None:
                    split = Fit(gains, sides[0], sides[1], shift)
    if split is None:
        raise NoRounding
    return split


def _around(nearest: Sequence[int]) -> list[tuple[int, ...]]:
    """Gains next to the nearest ones; of one operand only those that keep the staircase rising."""
    if len(nearest) == 1:
        return [(gain,) for delta in (0, -1, 1) if (gain := nearest[0] + delta) >= 0]
    return [tuple(nearest)]


def _offset(linear: Integers, wanted: Integers, limits: tuple[int, int], shift: int) -> int | None:
    """An offset with ``clip((linear + offset) >> shift, *limits) == wanted`` everywhere; None if there is none.

    Of several the one whose lowest bits are 0.
    """
    above, below = wanted > limits[0], wanted < limits[1]
    least = int(np.max((wanted[above] << shift) - linear[above], initial=-_ROOM))
    most = int(np.min(((wanted[below] + 1) << shift) - linear[below] - 1, initial=_ROOM))
    if least > most:
        return None
    for bits in range(shift, 0, -1):
        candidate = -(-least >> bits) << bits
        if candidate <= most:
            return candidate
    return least
