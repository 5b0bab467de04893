"""On how many samples an artifact decides as the reference network does.

Classes, boxes and masks are the same or not (:meth:`edgekit.tasks.parts.Outcome.agrees`). Numbers, which are values of
a regression and scores of an anomaly, must also be near the reference's: within a step of the output's scale, or within
a hundredth of the range of the reference's own numbers, whichever is more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks.anomaly import Score
from edgekit.tasks.regressor import Regressor, Values

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.tasks.parts import Outcome
    from edgekit.tasks.task import Task

SHARE = 0.01
"""Of the range of the reference's numbers."""
ROUNDING = 1e-4
"""Of a number itself: what float networks may differ by in a proof, too."""


def agreeing(task: Task, graph: Graph, reference: Sequence[Outcome], own: Sequence[Outcome]) -> int:
    """Count the samples on which both agree; one outcome each for every sample."""
    same = [ours.agrees(theirs) for ours, theirs in zip(own, reference, strict=True)]
    return int((np.array(same, bool) & _near(_step(task, graph), _numbers(reference), _numbers(own))).sum())


def _numbers(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """Numbers of outcomes, ``[samples, numbers]``; none of those that only choose."""
    rows = [
        outcome.values if isinstance(outcome, Values) else (outcome.score,) if isinstance(outcome, Score) else ()
        for outcome in outcomes
    ]
    return np.array(rows, np.float64).reshape(len(rows), -1)


def _step(task: Task, graph: Graph) -> float:
    """What a step of the output's scale is worth, in the unit of a regression's values; 0 of others."""
    tensor = graph.outputs[0]
    if not isinstance(task.decider, Regressor) or tensor.quantization is None or not tensor.has_scale:
        return 0.0
    return float(tensor.quantization.scale[0]) * task.decider.std


def _near(step: float, reference: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether all numbers of a sample are near the reference's; NaN and infinity only equal themselves."""
    if not reference.size:
        return np.ones(len(reference), bool)
    known = np.where(np.isfinite(reference), reference, np.nan)
    low, high = np.fmin.reduce(known, axis=0), np.fmax.reduce(known, axis=0)
    allowed = np.fmax(1.001 * step, np.fmax(SHARE * (high - low), ROUNDING * np.abs(known)))
    both = np.isfinite(reference) & np.isfinite(own)
    apart = np.abs(np.where(both, own, 0) - np.where(both, reference, 0))
    same = (own == reference) | (np.isnan(own) & np.isnan(reference))
    near: NDArray[np.bool_] = np.where(both, apart <= allowed, same).all(axis=1)
    return near
