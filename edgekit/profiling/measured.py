"""A profile from times that were measured, on a device or on this host."""

from __future__ import annotations

import statistics as numbers
from typing import Any

from edgekit.graph import Graph
from edgekit.graph.stats import statistics
from edgekit.profiling import Evidence, Figure, Profile, energy, rows
from edgekit.runners import Trace
from edgekit.target import Target


class Measured:
    """Summarises a trace: the median, and the 5th to 95th percentile of the single inferences."""

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`. The trace must hold latencies."""
        if trace is None or not trace.latency_ms:
            raise ValueError("a measured profile needs measured latencies")
        stats = statistics(graph)
        latency_ms = _spread(trace.latency_ms)
        threads = int(conditions.get("threads", 1))
        measured_power = len(trace.power_w) > 0
        power_w = _spread(trace.power_w) if measured_power else energy.power(target, threads)
        observed = sum(op.latency_ms or 0.0 for op in trace.operators)
        # Observing operators costs time of its own: rows are scaled so that they sum up to the whole inference.
        scale = latency_ms.value / observed if observed else 0.0
        operators = [rows.observed(op, stats, (op.latency_ms or 0.0) * scale) for op in trace.operators]
        rows.fill(operators, power_w)
        return Profile(
            target=target.name,
            source=Evidence.DEVICE,
            runtime=trace.runtime,
            conditions=conditions,
            latency_ms=latency_ms,
            energy_mj=energy.energy(latency_ms, power_w),
            power_w=power_w,
            scope=trace.power_scope or energy.scope(target),
            memory={**rows.memory(stats), "peak_ram_bytes": trace.peak_ram_bytes},
            operators=operators,
            basis=f"median of {len(trace.latency_ms)} measured inferences, 5th to 95th percentile; power "
            + ("measured" if measured_power else "from the target's file, not measured"),
        )


def _spread(values: list[float]) -> Figure:
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return Figure(numbers.median(ordered), at(0.05), at(0.95))
