"""Selection of candidates that no other beats in everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def ranks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sort candidates into fronts: 0 for those that none dominates, 1 for those that only the 0s dominate, ...

    One dominates another if it is nowhere worse and somewhere better (Goldberg 1989, Deb et al. 2002).

    :param values: ``[n, objectives]``, each to be small.
    :returns: int64 ``[n]``.
    """
    n = len(values)
    one, other = values[:, None], values[None]
    better: NDArray[np.bool_] = np.logical_and((one <= other).all(axis=2), (one < other).any(axis=2))
    found = np.full(n, -1, np.int64)
    rank = 0
    while (found < 0).any():
        left = found < 0
        found[left & ~better[left].any(axis=0)] = rank
        rank += 1
    return found


def chosen(values: NDArray[np.float64], distance: Sequence[float], count: int) -> list[int]:
    """Return the indices of the ``count`` best candidates, the best first.

    Those that hold all budgets come first, front after front; within a front, the best in one objective, then those
    that stand alone (Deb's crowding distance), so that few of them still span it. The others follow, the nearest to
    the budgets first.

    :param values: ``[n, objectives]``, each to be small. :param distance: ``[n]``, 0 where all budgets hold.
    """
    far = np.asarray(distance, float)
    holding = np.flatnonzero(far <= 0)
    front = ranks(values[holding])
    order: list[int] = []
    for rank in range(int(front.max(initial=-1)) + 1):
        members = holding[front == rank]
        alone = _crowding(values[members])
        order += [int(i) for i in members[np.argsort(-alone, kind="stable")]]
    order += [int(i) for i in np.argsort(far, kind="stable") if far[i] > 0]
    return order[:count]


def _crowding(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each point's neighbours are apart, summed over the objectives; infinite for the best of each."""
    total = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]] if len(order) else 0.0
        total[order[0]] = np.inf
        if span > 0:
            total[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
            total[order[-1]] += (column[order[-1]] - column[order[-2]]) / span
    return total
