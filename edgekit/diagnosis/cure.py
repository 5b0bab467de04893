"""The fix for one network: scaled channels, if they help, and the search for precisions; and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgekit.diagnosis.measure import Judge, Outcome, finite, loss, metric
from edgekit.diagnosis.search import Cost, Search
from edgekit.diagnosis.spread import spreads
from edgekit.diagnosis.versions import Versions
from edgekit.graph import Graph
from edgekit.graph.stats import label, statistics
from edgekit.passes import PassContext
from edgekit.passes.equalize import Equalized, equalize
from edgekit.passes.precisions import Plan
from edgekit.passes.quantize import Settings, measured

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset

BETTER = 0.5
"""Equalized channels are kept where they bring the outputs' noise below this share of what it was."""
SEARCH_MACS = 5e10
"""A trial is judged on as many samples as fit in this many MACs (a few seconds), within bounds."""
SEARCH_SAMPLES = (100, 5000)


@dataclass(frozen=True)
class Cure:
    """The result of the search for a fix.

    :param scaled: number of channels that are scaled; 0 where they are not.
    :param precision: precision of each operator, by its index in the float network.
    :param outcome: of the cured network, on the samples of the search; ``before`` of the uncured one, ``real`` of the
        float one.
    :param cost: of the cured network, of the one all in the recipe's precision and of the float network; in
        ``unit`` (``ms`` or ``bytes``).
    """

    scaled: int
    precision: list[str]
    real: Outcome
    before: Outcome
    outcome: Outcome
    cost: float
    cost_before: float
    cost_float: float
    unit: str
    steps: list[str] = field(default_factory=list)

    def json(self, graph: Graph, base: str) -> dict[str, Any]:
        """Return the report of the pass ``mixed_precision`` and of ``diagnose``."""
        return {
            "scaled_channels": self.scaled,
            "precision": table(graph, self.precision, base),
            "metric": metric(self.real),
            "lost_before": finite(loss(self.before, self.real)),
            "lost": finite(loss(self.outcome, self.real)),
            "accuracy": {"float": self.real.accuracy, "before": self.before.accuracy, "after": self.outcome.accuracy},
            "sqnr_db": self.outcome.sqnr_db,
            "cost": {"unit": self.unit, "before": self.cost_before, "after": self.cost, "float": self.cost_float},
            "steps": self.steps,
        }


def cure(graph: Graph, plan: Plan, calibration: Dataset, judge: Judge, context: PassContext) -> tuple[Cure, Versions]:
    """Search for the cheapest network within the plan's bound, which is in the unit of what the judge measures.

    :param calibration: samples for the ranges; ``judge``: of the graph.
    :returns: what was found, and the quantizations (of the network with scaled channels, where they are).
    :raises CheckFailed: if there is none.
    """
    context = replace(context, data=calibration)
    cost, unit = cost_of(plan.target)
    _, versions, _ = quantizations(graph, plan.settings, context, False)
    whole = [plan.base] * len(graph.operators)
    before = judge(versions.mix(whole).graph)
    steps: list[str] = []
    scaled = 0
    if plan.scale and loss(before, judge.float) > plan.max_drop:
        changed, better, _ = quantizations(graph, plan.settings, context, True)
        if changed.channels and judge(better.mix(whole).graph).noise < BETTER * before.noise:
            versions, scaled = better, changed.channels
            steps.append(f"{scaled} channels scaled, by {changed.smallest:.3g} to {changed.largest:.3g}")
        elif changed.channels:
            steps.append("scaling channels did not help")
    search = Search(versions, judge, plan.base, plan.allow, plan.max_drop, cost, context.progress, steps)
    choice = search.run()
    found = Cure(
        scaled, choice, judge.float, before, search.outcome(choice), search.price(choice), search.price(whole),
        cost(graph), unit, search.steps,
    )  # fmt: skip
    return found, versions


def quantizations(
    graph: Graph, settings: Settings, context: PassContext, scale: bool
) -> tuple[Equalized, Versions, int]:
    """The network, with scaled channels where ``scale``, its quantizations, and how many samples gave their ranges.

    Operators that LiteRT does not run in integers are in them all the same: the search finds each of them, where the
    quantizer's trial run can only leave all operators of that kind in float.
    """
    changed = Equalized(graph, 0)
    if scale and context.data is not None:
        context.progress.step("scale the channels")
        found = spreads(graph, context.data.subset(settings.samples, context.seed), context.progress)
        changed = equalize(graph, {index: spread.magnitudes for index, spread in found.items()})
    ranges, samples = measured(changed.graph, settings, context)
    return changed, Versions(changed.graph, settings, ranges, context, tried=False), samples


def cost_of(target: str | None) -> tuple[Cost, str]:
    """Return the function that the search minimizes, and its unit.

    It is the target's estimated latency in ms, without calibrations, which know no networks of several dtypes; or,
    without a target, the bytes of constants and of activations alive at once.
    """
    if target is None:
        return lambda graph: float(_bytes(graph)), "bytes"
    from edgekit.profiling import registry
    from edgekit.target import load

    board = load(target)
    return lambda graph: registry.uncalibrated(graph, board, 1).latency_ms.value, "ms"


def _bytes(graph: Graph) -> int:
    counted = statistics(graph)
    return counted.weights_bytes + counted.peak_activation_bytes


def table(graph: Graph, precision: Sequence[str], base: str) -> list[dict[str, Any]]:
    """Return the operators in a precision other than the recipe's, for reports."""
    return [
        {"index": n, "op": o.op, "name": label(graph.main, o), "precision": p}
        for n, (o, p) in enumerate(zip(graph.operators, precision, strict=True))
        if p != base
    ]


def search_samples(graph: Graph) -> int:
    """Return the number of samples to judge each trial on: by the work, so that it is the same in every run."""
    least, most = SEARCH_SAMPLES
    return int(max(least, min(most, SEARCH_MACS / max(1, statistics(graph).macs))))
