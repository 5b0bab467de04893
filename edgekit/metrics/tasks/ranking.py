"""Metrics of networks that order a list: normalized discounted cumulative gain and hit rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.tasks.tally import Floats, Mean


def gain(scores: NDArray[Any], relevance: NDArray[Any], count: int = 10) -> Mean:
    """NDCG of the ``count`` items that score highest (Järvelin & Kekäläinen, TOIS 2002), with linear gains.

    :param scores, relevance: ``[samples, items]``; a sample without a relevant item counts as 0.
    """
    weights = 1 / np.log2(np.arange(min(count, scores.shape[1])) + 2)
    ours = _summed(np.take_along_axis(relevance, _order(scores, count), 1), weights)
    best = _summed(-np.sort(-relevance.astype(np.float64), axis=1)[:, :count], weights)
    gains: Floats = np.divide(ours, best, out=np.zeros(len(ours)), where=best > 0)
    return Mean(gains)


def _summed(relevance: NDArray[Any], weights: Floats) -> Floats:
    return np.asarray(relevance.astype(np.float64) @ weights, np.float64).reshape(len(relevance))


def hits(scores: NDArray[Any], relevance: NDArray[Any], count: int = 10) -> Mean:
    """Whether any of the ``count`` items that score highest is relevant; both ``[samples, items]``."""
    found = np.take_along_axis(relevance > 0, _order(scores, count), 1)
    return Mean(np.asarray(found.any(axis=1), np.float64))


def _order(scores: NDArray[Any], count: int) -> NDArray[np.int64]:
    order: NDArray[np.int64] = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :count]
    return order
