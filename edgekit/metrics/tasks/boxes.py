"""Metric of detectors: average precision as COCO defines it (Lin et al., ECCV 2014; pycocotools' ``COCOeval``).

Detections of a class are matched to true boxes from the highest score down, each to the free box that it overlaps most,
by at least a threshold. Precision is made monotonous, read at 101 recalls and averaged, over classes and thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.boxes import Boxes
from edgekit.metrics.tasks.tally import Floats
from edgekit.tasks.detection import detections
from edgekit.tasks.detector import Detector
from edgekit.tasks.picture import Picture

if TYPE_CHECKING:
    from edgekit.graph import Graph

AP50_95 = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""The overlaps of COCO's main metric."""
MOST = 100
"""Detections per picture and class that count."""
LEAST = 0.001
"""Score of detections that count, as in papers' tables; what a task reports usually has to be surer."""
RECALLS = np.linspace(0.0, 1.0, 101)
_JUST_BELOW = 1 - 1e-10


def found(
    detector: Detector, picture: Picture, graph: Graph, outputs: Sequence[NDArray[Any]], sizes: NDArray[np.int64]
) -> list[Boxes]:
    """What a detector found in each picture, in its pixels, with scores down to ``LEAST``.

    :param outputs: ``[pictures, *tensor shape]``, in the tensors' dtypes. :param sizes: width and height of each.
    """
    rules = detector.suppression
    detector = replace(detector, suppression=replace(rules, score=min(rules.score, LEAST), most=max(rules.most, MOST)))
    made = []
    for number, (width, height) in enumerate(sizes.tolist()):
        rows = detections(
            detector, picture, [each[number] for each in outputs], graph.outputs, graph.inputs[0], (width, height)
        )
        corners = np.array([(d.left, d.top, d.right, d.bottom) for d in rows], np.float64).reshape(-1, 4)
        made.append(Boxes(corners, np.array([d.number for d in rows], np.int64), np.array([d.score for d in rows])))
    return made


@dataclass(frozen=True)
class _Class:
    """One class: detections from the highest score down ``[thresholds, detections]``, true boxes ``[pictures]``."""

    picture: NDArray[np.int64]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    true: Floats

    def precision(self, weights: Floats) -> Floats | None:
        """Mean precision at each threshold; None where no weighted picture has a true box."""
        total = float(weights @ self.true)
        if total <= 0:
            return None
        counts = weights[self.picture]
        found = np.empty(len(self.right))
        for row, (right, wrong) in enumerate(zip(self.right, self.wrong, strict=True)):
            hits, misses = np.cumsum(counts * right), np.cumsum(counts * wrong)
            recall, precision = hits / total, hits / (hits + misses + np.spacing(1))
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            place = np.searchsorted(recall, RECALLS, side="left")
            found[row] = np.append(envelope, 0.0)[place].mean()
        return found


@dataclass(frozen=True)
class Detections:
    """Detections of all classes in all pictures, judged."""

    classes: tuple[_Class, ...]
    samples: int

    def value(self, weights: Floats) -> float:
        """Average precision over thresholds and classes that have true boxes."""
        found = [each for one in self.classes if (each := one.precision(weights)) is not None]
        return float(np.mean(found)) if found else float("nan")


def average_precision(
    detected: Sequence[Boxes], truth: Sequence[Boxes], thresholds: Sequence[float] = AP50_95
) -> Detections:
    """Judge the detections of each picture; ``thresholds`` are overlaps, intersection over union."""
    names = sorted({int(one) for boxes in truth for one in boxes.classes})
    return Detections(tuple(_judged(name, detected, truth, thresholds) for name in names), len(truth))


def _judged(name: int, detected: Sequence[Boxes], truth: Sequence[Boxes], thresholds: Sequence[float]) -> _Class:
    scores, pictures, right, wrong, true = [], [], [], [], []
    for picture, (ours, theirs) in enumerate(zip(detected, truth, strict=True)):
        assert ours.scores is not None
        mine = np.flatnonzero(ours.classes == name)
        mine = mine[np.argsort(-ours.scores[mine], kind="stable")][:MOST]
        kept = theirs.classes == name
        crowd = np.zeros(len(theirs.classes), bool) if theirs.crowd is None else theirs.crowd
        matched, ignored = _matched(ours.corners[mine], theirs.corners[kept], crowd[kept], thresholds)
        scores.append(ours.scores[mine])
        pictures.append(np.full(len(mine), picture))
        right.append(matched & ~ignored)
        wrong.append(~matched & ~ignored)
        true.append(float((~crowd[kept]).sum()))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return _Class(
        np.concatenate(pictures)[order], np.concatenate(right, axis=1)[:, order],
        np.concatenate(wrong, axis=1)[:, order], np.array(true),
    )  # fmt: skip


def overlaps(ours: Floats, theirs: Floats, crowd: NDArray[np.bool_]) -> Floats:
    """Intersection over union ``[ours, theirs]``; over our area alone where theirs is a crowd."""
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas, others = ((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (ours, theirs))
    either = np.where(crowd[None, :], areas[:, None], areas[:, None] + others[None, :] - shared)
    result: Floats = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
    return result


def _matched(
    ours: Floats, theirs: Floats, crowd: NDArray[np.bool_], thresholds: Sequence[float]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections match a true box, and which match a crowd, ``[thresholds, ours]``."""
    order = np.argsort(crowd, kind="stable")
    table, crowd = overlaps(ours, theirs[order], crowd[order]), crowd[order]
    matched, ignored = (np.zeros((len(thresholds), len(ours)), bool) for _ in range(2))
    for row, threshold in enumerate(thresholds):
        free = np.ones(len(crowd), bool)
        for one, shares in enumerate(table):
            best = _best(shares, free, crowd, min(threshold, _JUST_BELOW))
            if best is None:
                continue
            matched[row, one], ignored[row, one] = True, crowd[best]
            free[best] = crowd[best]
    return matched, ignored


def _best(shares: Floats, free: NDArray[np.bool_], crowd: NDArray[np.bool_], least: float) -> int | None:
    """The free true box with the greatest overlap, the last of equals; a crowd only where there is no other."""
    for group in (free & ~crowd, free & crowd):
        fits = group & (shares >= least)
        if fits.any():
            rated = np.where(fits, shares, -1.0)
            return int(len(rated) - 1 - rated[::-1].argmax())
    return None
