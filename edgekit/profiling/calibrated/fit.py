"""Fit of costs to measured networks: non-negative, and with a structure shared by boards that are alike.

The logarithm of a cost is the sum of the prior's, and of corrections on several levels: all boards of one runtime,
one board, one set of measurements on it. Each correction is drawn to zero, so a board with few rows keeps to its
relatives, and one with many goes its own way. Residuals are relative, ``log(measured / predicted)``, with Cauchy
weights: a row that is odd counts little. The maximum of the posterior is found by Gauss-Newton; its curvature there
gives the uncertainty of each cost, and so that of a network whose operators were rarely seen.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.profiling.calibrated.features import Array
from edgekit.profiling.calibrated.quantities import FIXED, NAMES, RELATED

SCALE, TOGETHER, COST = (0.5, 10.0, 0.5), (0.5, 0.4, 0.15), (0.5, 0.25, 0.1)
"""By level (runtime, board, set): standard deviations of the logarithms of the factor common to all costs, of those
common to related costs (:data:`edgekit.profiling.calibrated.quantities.RELATED`), and of each cost's own."""
DISPATCH, OWN_DISPATCH = (1.2, 0.6, 0.2), (0.5, 0.25, 0.1)
"""The same of what an operator costs whatever its size: runtimes differ, boards and operators little. It must not
drift with large networks, in which it hardly counts, or small ones would come out milliseconds too slow."""
PARTS: Array = np.array(
    [[1.0, *(float(name in group) for group in RELATED), *(float(name == own) for own in NAMES)] for name in NAMES]
)
"""Which factors each cost is the product of, ``[features, factors]``: 1 or 0."""
NOISE = 0.08
"""Standard deviation of a measurement's logarithm that a fit does not explain."""
STEPS = 60


@dataclass(frozen=True)
class Samples:
    """Measurements that share their costs.

    :param table: amounts ``[n, features]``. :param latency_ms: ``[n]``.
    :param levels: names of the runtime, the board and the set, from the most to the least shared.
    :param noise: standard deviations of the measurements' logarithms, ``[n]``; None: :data:`NOISE`.
    """

    table: Array
    latency_ms: Array
    levels: tuple[Hashable, ...]
    noise: Array | None = None


@dataclass(frozen=True)
class Costs:
    """Logarithms of costs (ms per unit) and their covariance ``[features, features]``."""

    log: Array
    covariance: Array

    def deviation(self, share: Array) -> float:
        """Standard deviation of the logarithm of a latency, of which each cost has a share ``[features]``."""
        return float(np.sqrt(NOISE**2 + share @ self.covariance @ share))

    def predict(self, table: Array) -> tuple[Array, Array]:
        """Return latencies in ms of networks ``[n, features]``, and standard deviations of their logarithms."""
        parts = table * np.exp(self.log)
        total = parts.sum(1)
        share = parts / np.maximum(total, 1e-12)[:, None]
        return total, np.array([self.deviation(row) for row in share])


def fit(samples: Sequence[Samples], prior: Array) -> list[Costs]:
    """Fit all sets at once; returns the costs of each. Sets without rows get those of their levels."""
    count = PARTS.shape[1]
    places: dict[tuple[int, Hashable], int] = {}
    for one in samples:
        for depth, level in enumerate(one.levels):
            places.setdefault((depth, level), len(places) * count)
    spread = np.concatenate([_spread(depth) for depth, _ in places])
    rows = [[places[depth, level] for depth, level in enumerate(one.levels)] for one in samples]
    values = np.zeros(len(spread))
    _start(samples, prior, rows, values)
    curvature = np.diag(1 / spread**2)
    for _ in range(STEPS):
        curvature, slope = _normal(samples, prior, rows, values, spread)
        step = np.linalg.solve(curvature, slope)
        largest = float(np.abs(step).max(initial=0.0))
        values += step * min(1.0, 1.0 / max(largest, 1e-12))
        if largest < 1e-5:
            break
    inverse = np.linalg.inv(curvature)
    made = []
    for starts in rows:
        pick = np.zeros((len(NAMES), len(values)))
        for start in starts:
            pick[:, start : start + count] = PARTS
        made.append(Costs(prior + pick @ values, pick @ inverse @ pick.T))
    return made


def _spread(depth: int) -> Array:
    """Standard deviations of the factors of one level, ``[factors]``."""
    together = [(DISPATCH if set(group) <= set(FIXED) else TOGETHER)[depth] for group in RELATED]
    own = [(OWN_DISPATCH if name in FIXED else COST)[depth] for name in NAMES]
    return np.array([SCALE[depth], *together, *own])


def _start(samples: Sequence[Samples], prior: Array, rows: list[list[int]], values: Array) -> None:
    """Set the common factor of each board to the median ratio of its measurements."""
    known: dict[int, list[float]] = {}
    for one, starts in zip(samples, rows, strict=True):
        if len(one.latency_ms):
            known.setdefault(starts[1], []).extend(np.log(one.latency_ms) - np.log(one.table @ np.exp(prior)))
    for start, ratios in known.items():
        values[start] = float(np.median(ratios))


def _normal(
    samples: Sequence[Samples], prior: Array, rows: list[list[int]], values: Array, spread: Array
) -> tuple[Array, Array]:
    """The normal equations of one Gauss-Newton step: curvature and slope."""
    count = PARTS.shape[1]
    curvature, slope = np.diag(1 / spread**2), -values / spread**2
    for one, starts in zip(samples, rows, strict=True):
        if not len(one.latency_ms):
            continue
        log = prior + PARTS @ sum(values[start : start + count] for start in starts)
        parts = one.table * np.exp(log)
        total = parts.sum(1)
        share = (parts / total[:, None]) @ PARTS
        residual = np.log(one.latency_ms) - np.log(total)
        noise = one.noise if one.noise is not None else np.full(len(total), NOISE)
        weight = 1 / (1 + (residual / (3 * noise)) ** 2) / noise**2
        block, pull = share.T @ (share * weight[:, None]), share.T @ (weight * residual)
        for a in starts:
            slope[a : a + count] += pull
            for b in starts:
                curvature[a : a + count, b : b + count] += block
    return curvature, slope
