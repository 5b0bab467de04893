"""The pass ``mixed_precision``: quantization with a precision for each operator.

The precisions are given, or searched within a bound on the accuracy that they may cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from edgekit.diagnosis import cure
from edgekit.diagnosis.measure import Judge
from edgekit.errors import UsageError
from edgekit.graph import Graph
from edgekit.graph.floats import refuse_integer, restore
from edgekit.passes import PassContext, Passed, Report
from edgekit.passes.precisions import Plan, plan_of


@dataclass(frozen=True)
class Given(Report):
    """Precisions from the recipe; ``samples``: on how many the ranges were measured."""

    samples: int
    scaled_channels: int
    precision: list[dict[str, Any]]


@dataclass(frozen=True)
class Searched(Report):
    """Precisions that were searched for ``graph``; ``base`` is the recipe's."""

    cure: cure.Cure
    graph: Graph
    base: str

    def json(self) -> dict[str, Any]:
        """See :meth:`edgekit.diagnosis.cure.Cure.json`."""
        return self.cure.json(self.graph, self.base)


class MixedPrecision:
    """The pass ``mixed_precision``; its parameters are those of :class:`Plan` and of ``quantize``."""

    name = "mixed_precision"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the quantized Graph.

        :raises UsageError: on wrong parameters, or without samples.
        :raises ModelError: if the Graph is quantized already or cannot be quantized.
        :raises CheckFailed: if nothing keeps the accuracy.
        """
        plan = plan_of(context.params)
        refuse_integer(graph, "quantized again")
        if context.data is None:
            raise UsageError("mixed_precision needs samples to measure on", "pass them with --data")
        restored, _ = restore(graph)
        made = _searched(restored, plan, context) if plan.precision is None else _given(restored, plan, context)
        made.graph.notes = list(graph.notes)
        return made


def _given(graph: Graph, plan: Plan, context: PassContext) -> Passed:
    """Quantize with the table."""
    assert plan.precision is not None and context.data is not None
    count = len(graph.operators)
    outside = [number for number in plan.precision if number >= count]
    if outside:
        raise UsageError(f"mixed_precision: there is no operator {outside[0]}", f"the network has {count}, from 0")
    scaled, versions, samples = cure.quantizations(graph, plan.settings, context, plan.scale)
    choice = [plan.precision.get(number, plan.base) for number in range(count)]
    made = versions.mix(choice, io=plan.settings.io).graph
    return Passed(made, Given(samples, scaled.channels, cure.table(graph, choice, plan.base)))


def _searched(graph: Graph, plan: Plan, context: PassContext) -> Passed:
    assert context.data is not None
    judge = Judge.where_defined(graph, context.data, context.gauge)
    if judge.float.mark is not None:
        plan = replace(plan, max_drop=plan.max_drop * judge.float.mark.point)
    found, versions = cure.cure(graph, plan, context.data, judge, context)
    return Passed(versions.mix(found.precision, io=plan.settings.io).graph, Searched(found, graph, plan.base))
