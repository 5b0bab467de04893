"""Latency of networks for high-level synthesis: cycles by the reuse factors over a clock that only synthesis can know.

    t = cycles / clock

A bundle has the cycles of its layers, which all work at once: those of the slowest one, and what passes until the last
one starts. Without a bundle they are the network's multiplications over the device's multipliers, which are never all
busy. Energy is the target's power times the time of one inference alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edgekit.files.tables import number
from edgekit.graph import Graph
from edgekit.graph.stats import statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, rows
from edgekit.runners import Trace
from edgekit.target import Target


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """What is assumed of projects that were not written yet."""

    busy: float = number("part of the multipliers that is busy", most=1)
    least_cycles: int = number("cycles of an operator at least", whole=True)
    estimate_high: float = number("upper end of the interval of an estimate, as a multiple of a bundle's")


class HlsCost:
    """Makes a profile of the cycles that a bundle's reuse factors give, or of what they probably are."""

    def __init__(self, coefficients: Coefficients) -> None:
        self._assumed = coefficients

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`."""
        device, stats = target.synthesized, statistics(graph)
        rate = device.multipliers * float(self._assumed.busy)
        inside = {one.index for one in trace.operators} if trace is not None else set(range(len(stats.operators)))
        inner = [row for row in stats.operators if row.index in inside]
        found = [row.macs / rate + self._assumed.least_cycles for row in inner]
        planned = trace.counts.get("cycles") if trace is not None else None
        cycles = planned or math.ceil(sum(found))
        milliseconds = cycles / device.hertz * 1e3
        high = float(device.high) * (1.0 if planned else float(self._assumed.estimate_high))
        latency = Figure(milliseconds, milliseconds * float(device.low), milliseconds * high)
        power, spread = float(target.power.watts(1, 1)), float(target.power.uncertainty)
        watts = Figure(power, power * (1 - spread), power * (1 + spread))
        operators = [
            OperatorProfile(
                row.index, row.name, row.op, row.macs, row.bytes, milliseconds * part / sum(found), 0.0,
                bound="multipliers",
            )
            for row, part in zip(inner, found, strict=True)
        ]  # fmt: skip
        rows.fill(operators, watts)
        return Profile(
            target=target.name,
            source=Evidence.EMULATOR if trace is not None else Evidence.ESTIMATE,
            runtime=trace.runtime if trace is not None else str(conditions.get("runtime", "any")),
            conditions={**conditions, "threads": 1, "clock_mhz": device.clock_mhz},
            latency_ms=latency,
            energy_mj=Figure(milliseconds * power, latency.low * watts.low, latency.high * watts.high),
            power_w=watts,
            scope=target.power.scope,
            memory=rows.memory(stats),
            operators=operators,
            basis=_basis(
                cycles,
                trace.counts if trace is not None and planned else {},
                float(device.clock_mhz),
                len(stats.operators) - len(inner),
            ),
            cycles=cycles,
            macs=sum(row.macs for row in inner),
        )


def _basis(cycles: int, counts: dict[str, int], mhz: float, on_host: int) -> str:
    if counts:
        found = f"{cycles} cycles by the project's reuse factors, a new input every {counts['interval']}"
    else:
        found = f"{cycles} cycles, estimated from multiplications"
    rest = f"{on_host} operators on the host are not in it; " if on_host else ""
    return (
        f"{found}, at {mhz:g} MHz, which is assumed; {rest}nothing was synthesized: cycles, clock, the device's "
        "utilisation and the power are known to the vendor's tools only"
    )
