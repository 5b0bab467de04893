"""Metrics of networks that predict numbers: mean absolute error and root mean square error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.tasks.tally import Mean


def absolute(predicted: NDArray[Any], truth: NDArray[Any]) -> Mean:
    """Mean absolute error; both ``[samples, ...]``, of one shape and in one unit."""
    return Mean(np.abs(_differences(predicted, truth)).mean(axis=1))


def root_mean_square(predicted: NDArray[Any], truth: NDArray[Any]) -> Mean:
    """Root mean square error over all values; both ``[samples, ...]``, of one shape and in one unit."""
    return Mean((_differences(predicted, truth) ** 2).mean(axis=1), root=True)


def _differences(predicted: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    rows = len(predicted)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        found: NDArray[np.float64] = (predicted.astype(np.float64) - truth.astype(np.float64)).reshape(rows, -1)
    return found
