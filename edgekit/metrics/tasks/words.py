"""Metrics of networks that write text: word error rate and character error rate, as jiwer defines them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.metrics.tasks.tally import Ratio


def errors(written: Sequence[str], truth: Sequence[str]) -> Ratio:
    """Words that must be replaced, inserted or deleted to make the written text the true one, per true word."""
    pairs = [(one.split(), other.split()) for one, other in zip(written, truth, strict=True)]
    counts = [_distance(ours, theirs) for ours, theirs in pairs]
    return Ratio(np.array(counts, np.float64), np.array([len(theirs) for _, theirs in pairs], np.float64))


def letter_errors(written: Sequence[str], truth: Sequence[str]) -> Ratio:
    """The same of characters, spaces between words included."""
    pairs = [(one.strip(), other.strip()) for one, other in zip(written, truth, strict=True)]
    counts = [_distance(ours, theirs) for ours, theirs in pairs]
    return Ratio(np.array(counts, np.float64), np.array([len(theirs) for _, theirs in pairs], np.float64))


def _distance(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Levenshtein's distance between two sequences of words or characters."""
    row = list(range(len(theirs) + 1))
    for i, one in enumerate(ours, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(theirs, 1):
            diagonal, row[j] = row[j], min(diagonal + (one != other), row[j] + 1, row[j - 1] + 1)
    return row[-1]
