"""Intervals that hold for families of networks nobody measured: conformal prediction on scores that sets scale.

A score says how many predicted deviations a network that was left out came out wrong. Sets differ in what is usual:
one runtime keeps to the cost model's quantities, another has a slow kernel that none of them knows. So each score is
divided by what is usual for its set, found without the score's family: the mean over the set's other families, drawn
to the mean over its group's sets, and that to the mean over the class of machines. Only then are scores of a class
alike enough to be pooled, and their quantile times what is usual for a set is the set's width. Families count, not
rows: the networks of one come out wrong together.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.profiling.calibrated.estimate import MOST
from edgekit.profiling.calibrated.features import Array
from edgekit.profiling.calibrated.fit import Costs
from tools.calibration.judge import Judged, Judgement, machine
from tools.calibration.rows import Set

COVERED = 0.9
"""Part of unseen networks that an interval is to hold."""
RELATIVES = 1.0
"""What is usual for a set's group, and for a group's class of machines, counts as so many families of its own."""
ONE_FAMILY_WIDER = 1.5
"""Factor of the interval's width, an assumption, where all measured networks are of one family."""


@dataclass(frozen=True)
class Calibrated:
    """A set with its costs, the rows that judged them, and the interval's width in predicted deviations.

    :param limits: of each judged row, the width that was found without the rows that were left out with it.
    """

    set: Set
    costs: Costs
    judged: tuple[Judged, ...]
    left_out: str
    width: float
    limits: tuple[float, ...]

    @property
    def errors(self) -> Array:
        """Relative errors of the rows that were left out."""
        return np.array([one.error for one in self.judged])

    @property
    def reach(self) -> float:
        """The typical factor by which the interval reaches up and down; estimates stop at :data:`MOST`."""
        return float(np.exp(min(self.width * np.median([one.deviation for one in self.judged]), MOST)))

    @property
    def inside(self) -> tuple[bool, ...]:
        """Which rows lie in an interval that was found without them."""
        return tuple(one.score <= limit for one, limit in zip(self.judged, self.limits, strict=True))

    @property
    def coverage(self) -> float:
        """Part of the rows inside."""
        return float(np.mean(self.inside))


def calibrated(judgements: Sequence[Judgement]) -> list[Calibrated]:
    """The intervals of all sets, in the order given; sets of which nothing was left out have none, and are not in it.

    Sets of one class of machines, float or integer, are pooled.
    """
    classes: dict[tuple[str, bool], list[Judgement]] = defaultdict(list)
    for one in judgements:
        if one.judged:
            classes[machine(one.set), one.set.dtype == "int8"].append(one)
    made = {}
    for own in classes.values():
        pool = _Pool(own)
        for one, width, limits in zip(own, pool.widths(""), pool.limits(), strict=True):
            made[one.set.key] = Calibrated(one.set, one.costs, one.judged, one.left_out, float(width), limits)
    return [made[one.set.key] for one in judgements if one.set.key in made]


class _Pool:
    """The scores of a class of machines: ``[scores]`` with their sets and parts, and means ``[sets, parts]``."""

    def __init__(self, sets: Sequence[Judgement]) -> None:
        self.sets = sets
        rows = [(place, one) for place, own in enumerate(sets) for one in own.judged]
        self.parts = sorted({one.part for _, one in rows})
        self.scores = np.array([one.score for _, one in rows])
        self.set = np.array([place for place, _ in rows])
        self.part = np.array([self.parts.index(one.part) for _, one in rows])
        counts, sums = np.zeros((2, len(sets), len(self.parts)))
        np.add.at(counts, (self.set, self.part), 1)
        np.add.at(sums, (self.set, self.part), self.scores)
        self.there = counts > 0
        self.means = sums / np.maximum(counts, 1)
        self.families = np.array([own.left_out == "families" for own in sets])
        groups = [own.set.group for own in sets]
        self.groups = [np.array([group == name for group in groups]) for name in sorted(set(groups))]

    def usual(self, *without: str) -> Array:
        """The usual score of each set ``[sets]``, found without some parts.

        Where all networks of a set are of one family, its own scores may only raise what is usual for its group:
        they do not say how other families fare.
        """
        kept = self.there & np.array([part not in without for part in self.parts])
        many = self.families if self.families.any() else np.ones(len(self.sets), bool)
        judging = kept & many[:, None]
        found = np.ones(len(self.sets))
        everywhere = float(self.means[judging].mean()) if judging.any() else 1.0
        for group in self.groups:
            own = judging & group[:, None]
            count = int(own.any(0).sum())
            here = float(self.means[own].mean()) if count else everywhere
            here = (RELATIVES * everywhere + count * here) / (RELATIVES + count)
            sums, counts = (self.means * kept)[group].sum(1), kept[group].sum(1)
            mine = (RELATIVES * here + sums) / (RELATIVES + counts)
            found[group] = np.where(many[group], mine, np.maximum(mine, here))
        return found

    def widths(self, without: str) -> Array:
        """The width of each set's interval ``[sets]``, found without a part; empty: with all."""
        many = self.families if self.families.any() else np.ones(len(self.sets), bool)
        scaled = []
        for place, part in enumerate(self.parts):
            rows = (self.part == place) & many[self.set]
            if part != without and rows.any():
                scaled.append(self.scores[rows] / self.usual(part, without)[self.set[rows]])
        found: Array = quantile(np.concatenate(scaled) if scaled else np.ones(1)) * self.usual(without)
        return found * np.where(self.families, 1.0, ONE_FAMILY_WIDER)

    def limits(self) -> list[tuple[float, ...]]:
        """For each set, the width of each of its rows, found without the row's part."""
        widths = {part: self.widths(part) for part in self.parts}
        return [tuple(float(widths[one.part][place]) for one in own.judged) for place, own in enumerate(self.sets)]


def quantile(scores: Array) -> float:
    """The limit below which :data:`COVERED` of scores not seen lie; the greatest score if there are too few.

    Split conformal prediction (Papadopoulos et al. 2002), by crepes.
    """
    from crepes import ConformalRegressor

    warnings.simplefilter("ignore", UserWarning)  # of few scores
    model = ConformalRegressor().fit(residuals=scores)
    low, high = model.predict_int(np.zeros(1), confidence=COVERED)[0]
    return float(high - low) / 2 if np.isfinite(high - low) else float(scores.max())
