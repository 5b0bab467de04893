"""Metrics of classifiers: top-1 and top-5 accuracy, F1, area under the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.tasks.tally import Floats, Mean

Labels = NDArray[np.int64]


def top(scores: NDArray[Any], labels: Labels, count: int = 1) -> Mean:
    """Whether each label is among the ``count`` highest scores; of equal scores, those of lower classes come first.

    :param scores: ``[samples, classes]``. :param labels: ``[samples]``, from 0.
    """
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :count]
    return Mean((order == labels[:, None]).any(axis=1).astype(np.float64))


@dataclass(frozen=True)
class Confusion:
    """F1 of each class's precision and recall, averaged over the classes that occur (macro F1).

    With ``positive``, F1 of that class alone. As scikit-learn's ``f1_score``: a class that was neither right nor
    predicted counts as 0.

    :param predicted, labels: ``[samples]``.
    """

    predicted: Labels
    labels: Labels
    positive: int | None = None

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.labels)

    def value(self, weights: Floats) -> float:
        """The F1 of the weighted counts."""
        count = 1 + max(int(self.predicted.max()), int(self.labels.max()), self.positive or 0)
        hits = np.bincount(self.labels, weights * (self.predicted == self.labels), count)
        both = np.bincount(self.labels, weights, count) + np.bincount(self.predicted, weights, count)
        known = both > 0
        if self.positive is not None:
            known = np.arange(count) == self.positive
        f1 = np.divide(2 * hits, both, out=np.zeros(count), where=both > 0)[known]
        return float(f1.mean()) if f1.size else float("nan")


@dataclass(frozen=True)
class RankSum:
    """Area under the ROC curve, the probability that a positive scores above a negative; of more classes, the mean.

    With more than two classes each is compared with the rest, and classes count alike (macro average, one against the
    rest). Ties count half (Hanley & McNeil, Radiology 1982).

    :param scores: of the positive class ``[samples]``, or of each class ``[samples, classes]``.
    :param labels: ``[samples]``: 0 and 1, or the class.
    """

    scores: Floats
    labels: Labels

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.labels)

    def value(self, weights: Floats) -> float:
        """The weighted area; NaN if a class or its rest has no sample."""
        if self.scores.ndim == 1:
            return _area(self.scores, self.labels == 1, weights)
        areas = [_area(column, self.labels == one, weights) for one, column in enumerate(self.scores.T)]
        return float(np.mean(areas))


def _area(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> float:
    _, place = np.unique(scores, return_inverse=True)
    true, false = np.bincount(place, weights * positive), np.bincount(place, weights * ~positive)
    pairs = true.sum() * false.sum()
    below = np.cumsum(false) - false
    return float((true * (below + false / 2)).sum() / pairs) if pairs else float("nan")
