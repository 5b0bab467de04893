"""Latency of logic that is made for one network: stages of registers over a clock that only synthesis can know.

    t = stages / clock

The simulation knows the stages. Without it, an operator is a tree of ``log2(inputs of a sum * digits of a weight)``
levels of additions, and some for rounding. Energy is the target's power times the time of one inference alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edgekit.files.tables import number
from edgekit.graph import Graph
from edgekit.graph.stats import OperatorStats, statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, rows
from edgekit.runners import Trace
from edgekit.target import Target
from edgekit.target.logic import Logic


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """What is assumed of circuits that were not made yet."""

    digits: float = number("additions per multiplication with a constant of 8 bits")
    rounding_levels: int = number("levels of additions that rounding takes", whole=True)
    estimate_high: float = number("upper end of the interval of an estimate, as a multiple")


class LogicCost:
    """Makes a profile of a simulation's stages, or of what they probably are."""

    def __init__(self, coefficients: Coefficients) -> None:
        self._assumed = coefficients

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`."""
        logic, stats = target.circuit, statistics(graph)
        found = [self._cycles(graph, row, logic) for row in stats.operators]
        simulated = trace.counts.get("cycles") if trace is not None else None
        cycles = simulated or math.ceil(sum(found)) + 1
        scale = cycles / sum(found) if sum(found) else 0.0
        milliseconds = cycles / logic.hertz * 1e3
        high = float(logic.high) * (1.0 if simulated else self._assumed.estimate_high)
        power = float(target.power.watts(1, 1))
        spread = float(target.power.uncertainty)
        watts = Figure(power, power * (1 - spread), power * (1 + spread))
        operators = [
            OperatorProfile(
                row.index, row.name, row.op, row.macs, row.bytes, part * scale / logic.hertz * 1e3, 0.0, bound="logic"
            )
            for row, part in zip(stats.operators, found, strict=True)
        ]
        rows.fill(operators, watts)
        latency = Figure(milliseconds, milliseconds * float(logic.low), milliseconds * high)
        return Profile(
            target=target.name,
            source=Evidence.EMULATOR if trace is not None else Evidence.ESTIMATE,
            runtime=trace.runtime if trace is not None else str(conditions.get("runtime", "any")),
            conditions={**conditions, "threads": 1, "clock_mhz": logic.clock_mhz},
            latency_ms=latency,
            energy_mj=Figure(milliseconds * power, latency.low * watts.low, latency.high * watts.high),
            power_w=watts,
            scope=target.power.scope,
            memory=rows.memory(stats),
            operators=operators,
            basis=_basis(logic, cycles, simulated=simulated is not None),
            cycles=cycles,
            macs=stats.macs,
        )

    def _cycles(self, graph: Graph, row: OperatorStats, logic: Logic) -> float:
        """Cycles of one operator."""
        outputs = sum(graph.tensors[i].elements for i in graph.operators[row.index].outputs)
        if not row.macs:
            return 0.0
        levels = math.log2(max(2.0, row.macs / max(outputs, 1) * self._assumed.digits))
        return (levels + self._assumed.rounding_levels) / logic.adders_per_stage


def _basis(logic: Logic, cycles: int, *, simulated: bool) -> str:
    stages = f"{cycles} cycles, {'as simulated' if simulated else 'estimated'}"
    return (
        f"{stages}, at {logic.clock_mhz:g} MHz, which is assumed; a new input at every clock. The clock, the device's "
        "utilisation and the power are known to the vendor's tools only"
    )
