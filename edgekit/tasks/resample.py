"""Sound at another rate: the reference of ``firmware_stubs/linux/resample.c``, bit for bit.

The filter is that of ``scipy.signal.resample_poly`` without further arguments: between the samples lies a sinc with the
lower rate's half as its cutoff, under a Kaiser window with beta 5, which reaches over ten zeros on each side (Oppenheim
& Schafer, Discrete-Time Signal Processing, sections 4.6 and 7.5).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from edgekit.tasks.exact import Floats, Integers, turned

MOST_RATE = 768_000
MOST_FACTOR = 1 << 16
"""Of the two whole numbers that the rates' ratio is made of."""
_ZEROS, _BETA, _TERMS, _PI = 10, 5.0, 25, 3.141592653589793
_AT_ONCE = 1 << 16


class Unrelated(ValueError):
    """No ratio of small whole numbers leads from one rate to the other; the message says so."""


def factors(rate: int, to: int) -> tuple[int, int]:
    """The smallest numbers by whose ratio the rate changes, ``to / rate = up / down``.

    :raises Unrelated: if they are too large.
    """
    shared = math.gcd(rate, to)
    up, down = to // shared, rate // shared
    if max(up, down) > MOST_FACTOR or rate > MOST_RATE:
        raise Unrelated(f"it has {rate} samples a second, which cannot be resampled to {to}")
    return up, down


def count(samples: int, rate: int, to: int) -> int:
    """How many samples there are at the other rate."""
    up, down = factors(rate, to)
    return -(-samples * up // down)


@lru_cache(maxsize=8)
def kernel(up: int, down: int) -> Floats:
    """The filter from its middle on, in steps of ``1 / up`` of a sample."""
    most = max(up, down)
    at = np.arange(_ZEROS * most + 1)
    _, sine = turned(at, 2 * most)
    sinc = np.ones(len(at))
    sinc[1:] = sine[1:] / (_PI * at[1:] / most)
    share = at / (_ZEROS * most)
    made: Floats = sinc / most * (_bessel(1.0 - share * share) / _bessel(np.ones(1)))
    scaled: Floats = made / (2.0 * np.cumsum(made[1:])[-1] + made[0]) * up
    return scaled


def _bessel(square: Floats) -> Floats:
    """The modified Bessel function of order 0 of beta times the root of ``square``: its series."""
    term = np.ones_like(square)
    made: Floats = np.ones_like(square)
    for n in range(1, _TERMS + 1):
        term = term * (square * (_BETA * _BETA / 4)) / (n * n)
        made = made + term
    return made


def resampled(samples: Floats, rate: int, to: int, most: int) -> Floats:
    """Samples ``[n]`` at another rate; at most so many. Beyond their ends there is silence.

    :raises Unrelated: see :func:`factors`.
    """
    up, down = factors(rate, to)
    made = np.zeros(min(most, count(len(samples), rate, to)))
    for first in range(0, len(made), _AT_ONCE):
        part = made[first : first + _AT_ONCE]
        _add(part, samples, np.arange(first, first + len(part)) * down, up, kernel(up, down))
    return made


def _add(to: Floats, samples: Floats, places: Integers, up: int, half: Floats) -> None:
    """Add the samples around some places, which are counted in steps of ``1 / up``; the first sample first."""
    reach = len(half) - 1
    nearest = -((reach - places) // up)
    for number in range(2 * reach // up + 1):
        sample = nearest + number
        away = np.abs(places - sample * up)
        there = (away <= reach) & (sample >= 0) & (sample < len(samples))
        to[there] += half[away[there]] * samples[sample[there]]
