"""A board's own costs, from a calibration of its kind and a few networks measured on it.

The calibration is the prior: its costs, their covariance, and how much single boards of one kind differ as a whole.
The posterior is found as in :mod:`edgekit.profiling.calibrated.fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgekit.profiling.calibrated import features
from edgekit.profiling.calibrated.calibration import Calibration
from edgekit.profiling.calibrated.estimate import fitted
from edgekit.profiling.calibrated.features import Array
from edgekit.profiling.calibrated.fit import NOISE, STEPS, Costs
from edgekit.profiling.calibrated.quantities import NAMES
from edgekit.profiling.calibrated.work import Work
from edgekit.profiling.dtypes import Dtype

BOARD = 0.3
"""Standard deviation of the logarithm of a factor common to all costs of one board: cooling, clock, system."""


def posterior(prior: Costs, table: Array, latency_ms: Array) -> Costs:
    """Return costs after measurements: amounts ``[n, features]`` and milliseconds ``[n]``."""
    covariance = prior.covariance + BOARD**2
    inverse = np.linalg.inv(covariance + 1e-9 * np.eye(len(covariance)))
    log, curvature = prior.log.copy(), inverse
    for _ in range(STEPS):
        parts = table * np.exp(log)
        total = parts.sum(1)
        share = parts / total[:, None]
        residual = np.log(latency_ms / total)
        weight = 1 / (1 + (residual / (3 * NOISE)) ** 2) / NOISE**2
        curvature = inverse + share.T @ (share * weight[:, None])
        step = np.linalg.solve(curvature, share.T @ (weight * residual) - inverse @ (log - prior.log))
        log = log + step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-6:
            break
    return Costs(log, np.linalg.inv(curvature))


def updated(
    known: Calibration, measured: Sequence[tuple[Sequence[Work], float]], threads: int, board: str
) -> Calibration:
    """Return the calibration of one board.

    :param measured: work and milliseconds of each network. :param board: where it was measured, for ``source``.
    """
    integer = known.dtype is Dtype.INT8
    scaling = known.scaling
    table = np.array(
        [
            features.on_threads(features.features(w, integer=integer), threads, scaling=scaling).sum(0)
            for w, _ in measured
        ]
    )
    costs = posterior(fitted(known), table, np.array([ms for _, ms in measured]))
    lower = costs.covariance[np.tril_indices(len(NAMES))]
    return replace(
        known,
        threads=threads,
        costs={name: float(np.exp(value) * 1e6) for name, value in zip(NAMES, costs.log, strict=True)},
        covariance=", ".join(f"{value:.4g}" for value in lower),
        source=f"{len(measured)} small networks measured on {board}; before: {known.source}",
    )
