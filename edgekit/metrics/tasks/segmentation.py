"""Metric of networks that label each pixel: mean intersection over union."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.tasks.tally import Floats

VOID = 255
"""A pixel that belongs to no class: the border of an object in PASCAL VOC's masks."""


@dataclass(frozen=True)
class Overlaps:
    """Intersection over union of each class, summed over all pictures first, averaged over the classes that occur.

    :param intersections, unions: pixels per picture and class ``[samples, classes]``.
    """

    intersections: Floats
    unions: Floats

    @property
    def samples(self) -> int:
        """How many pictures there are."""
        return len(self.unions)

    def value(self, weights: Floats) -> float:
        """The mean over the classes that a weighted picture has, in truth or prediction."""
        shared, either = weights @ self.intersections, weights @ self.unions
        known = either > 0
        return float((shared[known] / either[known]).mean()) if known.any() else float("nan")


def mean_iou(predicted: Iterable[NDArray[Any]], truth: NDArray[Any], classes: int) -> Overlaps:
    """Count the pixels of each class; both ``[height, width]`` for each sample, classes from 0, :data:`VOID` left out.

    What is predicted to be none of the classes is wrong.
    """
    rows = len(truth)
    shared, either = np.zeros((rows, classes)), np.zeros((rows, classes))
    for row, (ours, theirs) in enumerate(zip(predicted, truth, strict=True)):
        kept = theirs != VOID
        ours, theirs = ours[kept].astype(np.int64), theirs[kept].astype(np.int64)
        shared[row] = np.bincount(theirs[ours == theirs], minlength=classes)[:classes]
        counts = (np.bincount(each, minlength=classes)[:classes] for each in (ours, theirs))
        either[row] = sum(counts) - shared[row]
    return Overlaps(shared, either)
