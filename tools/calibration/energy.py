"""Energy of the networks that were left out: predicted time times the power that the set's other networks drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.profiling.calibrated.features import Array
from tools.calibration.intervals import Calibrated

FEW = 3
"""Measured powers below which nothing is said of a set's power."""


@dataclass(frozen=True)
class Power:
    """Watts that measured networks drew: the median, and the limits of nine in ten."""

    low: float
    median: float
    high: float
    samples: int


@dataclass(frozen=True)
class Energies:
    """Relative errors of energies of networks left out ``[n]``, and which lie in their interval ``[n]``."""

    errors: Array
    inside: Array

    @property
    def summary(self) -> str:
        """Two cells of a table: mean error and coverage."""
        return f"{np.abs(self.errors).mean():.1%} | {self.inside.mean():.0%}" if len(self.errors) else "- | -"


def power(watts: Sequence[float]) -> Power | None:
    """What networks drew, of the watts measured (0: not measured); None if these are too few."""
    known = np.array([one for one in watts if one > 0])
    if len(known) < FEW:
        return None
    low, median, high = (float(value) for value in np.quantile(known, (0.05, 0.5, 0.95)))
    return Power(low, median, high, len(known))


def energies(one: Calibrated) -> Energies:
    """Judge a set's energies as its latencies are: time and power are known of the networks that were not left out.

    The interval is that of estimates: the product of those of time and power.
    """
    errors, inside = [], []
    for row, limit in zip(one.judged, one.limits, strict=True):
        others = power([other.row.watts for other in one.judged if other.part != row.part])
        if others is None or row.row.watts <= 0:
            continue
        reach, measured = np.exp(limit * row.deviation), row.row.watts * row.row.latency_ms
        errors.append(row.predicted * others.median / measured - 1)
        inside.append(row.predicted / reach * others.low <= measured <= row.predicted * reach * others.high)
    return Energies(np.array(errors), np.array(inside, bool))


def together(found: Sequence[Calibrated]) -> Energies:
    """The energies of several sets."""
    own = [energies(one) for one in found]
    return Energies(np.concatenate([one.errors for one in own]), np.concatenate([one.inside for one in own]))
