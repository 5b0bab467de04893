"""The estimate: an analytic roofline of the target, per operator, with nothing run.

An operator takes the longer of its arithmetic and its data movement, plus a fixed cost:

    t = max(MACs / (peak * efficiency), bytes / bandwidth) + overhead

(Williams, Waterman & Patterson, "Roofline", CACM 2009). Peak MACs per cycle, clock, cores, caches and memory
bandwidth come from the target's file, the efficiencies from ``targets/costs/roofline.toml``: round assumptions of what
well-written kernels reach, not fits. So the interval is wide: from the hardware's bound, which nothing can beat, to
``high`` times the estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.files.tables import number
from edgekit.graph import Graph
from edgekit.graph.stats import OperatorStats, Statistics, statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, energy, rows
from edgekit.runners import Trace
from edgekit.target import Target

LOOPS = "; a loop or branch that runs an unknown number of times was counted once, so the interval may not hold"


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """What is assumed of kernels; by operator, with ``default`` for those not listed."""

    high: float = number("upper end of the interval, as a multiple of the estimate")
    cache_bytes_per_cycle: float = number("sustained rate from the last-level cache of one core, bytes per cycle")
    overhead_cycles: float = number("cost of dispatching one operator, cycles", zero=True)
    thread_efficiency: float = number("gain of each thread after the first", most=1, zero=True)
    int16_macs_per_cycle: float = number("multiplications with addition per cycle with int16 activations")
    efficiency: Mapping[str, float]
    int16_efficiency: Mapping[str, float]


class Roofline:
    """Predicts a profile from the Graph and the target alone."""

    def __init__(self, coefficients: Coefficients) -> None:
        self._coefficients = coefficients

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`; ``trace`` is ignored. Conditions: ``threads``."""
        assumed = self._coefficients
        stats = statistics(graph)
        threads = max(1, min(int(conditions.get("threads", 1)), target.processor.cores))
        operators, bound = [], 0.0
        for row in stats.operators:
            latency, fastest, limit = _operator(row, stats, target, threads, assumed)
            bound += fastest
            operators.append(
                OperatorProfile(row.index, row.name, row.op, row.macs, row.bytes, latency, 0.0, bound=limit)
            )
        power_w = energy.power(target, threads)
        total = rows.fill(operators, power_w)
        latency_ms = Figure(total, min(bound, total), total * assumed.high)
        return Profile(
            target=target.name,
            source=Evidence.ESTIMATE,
            runtime=str(conditions.get("runtime", "any")),
            conditions={"threads": threads, "clock_mhz": target.processor.clock_mhz, **conditions},
            latency_ms=latency_ms,
            energy_mj=energy.energy(latency_ms, power_w),
            power_w=power_w,
            scope=energy.scope(target),
            memory=rows.memory(stats),
            operators=operators,
            basis=f"analytic roofline, uncalibrated: from the hardware's bound to {assumed.high:g} times the estimate"
            + ("" if all(row.counted for row in stats.operators) else LOOPS),
        )


def _operator(
    row: OperatorStats, stats: Statistics, target: Target, threads: int, assumed: Coefficients
) -> tuple[float, float, str]:
    """Return the estimate and the hardware's bound in ms, and what limits the operator."""
    hertz, peaks = target.processor.hertz, target.processor.macs_per_cycle
    integer = row.weights_dtype.startswith("int") and row.dtype.startswith(("int", "uint"))
    peak, efficiencies = float(peaks.integer if integer else peaks.float32), assumed.efficiency
    if integer and row.dtype == "int16":
        peak, efficiencies = assumed.int16_macs_per_cycle, assumed.int16_efficiency
    efficiency = efficiencies.get(row.op, efficiencies["default"])
    peak *= hertz
    speedup = 1 + assumed.thread_efficiency * (threads - 1)
    dram, best_dram = target.memory.sustained, target.memory.best
    cache = assumed.cache_bytes_per_cycle * hertz
    fits = stats.weights_bytes + stats.peak_activation_bytes <= target.cache.last_level_bytes
    compute = row.macs / (peak * efficiency * speedup)
    movement = row.bytes / (cache * speedup if fits else dram)
    fastest = max(row.macs / (peak * threads), 0.0 if fits else row.weights_bytes / best_dram)
    overhead = row.executions * assumed.overhead_cycles / hertz
    seconds = max(compute, movement) + overhead
    limit = max((compute, "compute"), (movement, "memory"), (overhead, "overhead"))[1]
    return seconds * 1e3, fastest * 1e3, limit
