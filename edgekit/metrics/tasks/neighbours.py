"""Metrics of embeddings: whether samples of a class are near each other, by the cosine of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import labelling
from edgekit.metrics.tasks.tally import Floats, Mean, Undefined
from edgekit.tasks.gallery import normalized

MOST_PAIRED = 500
"""Samples of which all pairs are compared; of more, so many are drawn."""
_ROWS = 1024


def recall(outputs: Sequence[NDArray[Any]], truth: NDArray[Any]) -> Mean:
    """Recall@1: whether the nearest of all other samples is of the same class.

    Samples that are alone in their class are no queries, but may be the nearest of others. (As in Musgrave et al., A
    Metric Learning Reality Check, ECCV 2020, where it is called precision at 1.)

    :param outputs: of which the first has the vectors, ``[samples, *shape]``. :param truth: classes ``[samples]``.
    :raises Undefined: if no class has two samples.
    """
    units, classes = _units(outputs), _classes(truth)
    _, number, counts = np.unique(classes, return_inverse=True, return_counts=True)
    nearest = np.empty(len(units), np.int64)
    for first in range(0, len(units), _ROWS):
        near = units[first : first + _ROWS] @ units.T
        near[np.arange(len(near)), np.arange(first, first + len(near))] = -np.inf
        nearest[first : first + _ROWS] = near.argmax(axis=1)
    queries = counts[number] > 1
    if not queries.any():
        raise Undefined("no class has two samples, so none can be found by another")
    return Mean((classes == classes[nearest])[queries].astype(np.float64))


@dataclass(frozen=True)
class Pairs:
    """Area under the ROC curve of pairs: the probability that two samples of a class are nearer than two of others.

    :param first, second: the samples of each pair. :param place: the rank of its cosine, equal ones share one.
    :param same: whether they are of one class.
    """

    count: int
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    place: NDArray[np.int64]
    same: NDArray[np.bool_]

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self.count

    def value(self, weights: Floats) -> float:
        """The weighted area: a pair counts as often as both of its samples do; NaN without pairs of both kinds."""
        pairs = weights[self.first] * weights[self.second]
        true, false = np.bincount(self.place, pairs * self.same), np.bincount(self.place, pairs * ~self.same)
        every = true.sum() * false.sum()
        below = np.cumsum(false) - false
        return float((true * (below + false / 2)).sum() / every) if every else float("nan")


def verification(outputs: Sequence[NDArray[Any]], truth: NDArray[Any]) -> Pairs:
    """The pairs of samples; parameters as for :func:`recall`."""
    units, classes = _units(outputs), _classes(truth)
    if len(units) > MOST_PAIRED:
        chosen = np.sort(np.random.default_rng(0).permutation(len(units))[:MOST_PAIRED])
        units, classes = units[chosen], classes[chosen]
    first, second = np.triu_indices(len(units), 1)
    _, place = np.unique((units @ units.T)[first, second], return_inverse=True)
    return Pairs(len(units), first, second, place, classes[first] == classes[second])


def _units(outputs: Sequence[NDArray[Any]]) -> Floats:
    rows = outputs[0].reshape(len(outputs[0]), -1)
    if rows.shape[1] < 2:
        raise ValueError("the network's first output is one number, not a vector")
    return normalized(rows.astype(np.float64))[0]


def _classes(truth: NDArray[Any]) -> NDArray[np.int64]:
    found, _ = labelling.labels(truth, len(truth), Path("y"))
    if found is None:
        raise ValueError(f"y must be classes [samples], found {truth.dtype} {list(truth.shape)}")
    return found
