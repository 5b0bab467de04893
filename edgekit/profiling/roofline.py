"""The estimate: an analytic roofline of the target, per operator, with nothing run.

An operator takes the longer of its arithmetic and its data movement, plus a fixed cost:

    t = max(MACs / (peak * efficiency), bytes / bandwidth) + overhead

(Williams, Waterman & Patterson, "Roofline", CACM 2009). Peak MACs per cycle, clock, cores, caches and memory
bandwidth come from the target's file. The efficiencies are round assumptions of what well-written kernels
reach, not fits; calibration against published boards will replace them. Until then the interval is wide: from
the hardware's bound, which nothing can beat, to ``HIGH`` times the estimate.
"""

from __future__ import annotations

from typing import Any

from edgekit.graph import Graph
from edgekit.graph.stats import OperatorStats, Statistics, statistics
from edgekit.profiling import Figure, OperatorProfile, Profile, energy, rows
from edgekit.profiling.accelerator import AcceleratorCost
from edgekit.profiling.gpu import GpuCost
from edgekit.runners import Trace
from edgekit.target import Target

EFFICIENCY = {"CONV_2D": 0.5, "FULLY_CONNECTED": 0.5, "BATCH_MATMUL": 0.5, "TRANSPOSE_CONV": 0.4,
              "DEPTHWISE_CONV_2D": 0.25}  # fmt: skip
DEFAULT_EFFICIENCY = 0.3
INT16_EFFICIENCY = {"FULLY_CONNECTED": 0.75}
INT16_DEFAULT_EFFICIENCY = 0.33
"""Of one MAC a cycle: LiteRT has plain loops only for int16 activations. Emulated on rpi4: 1.0 to 1.4 cycles a MAC in
the dense layers of ad01, 2 to 4.4 (the first layers 7 to 9) in the convolutions of ResNet-8 and the MNIST example."""
CACHE_BYTES_PER_CYCLE = 8.0
"""Assumed sustained rate from the last-level cache, per core."""
OVERHEAD_CYCLES = 3000
"""Assumed cost of dispatching one operator."""
HIGH = 3.0
"""The interval's upper end, as a multiple of the estimate."""
LOOPS = "; a loop or branch that runs an unknown number of times was counted once, so the interval may not hold"
THREAD_EFFICIENCY = 0.8
"""Assumed gain of each thread after the first."""


class Roofline:
    """Predicts a profile from the Graph and the target alone."""

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`; ``trace`` is ignored. Conditions: ``threads``."""
        if target.kind == "gpu":
            return GpuCost().profile(graph, None, target, conditions)
        if target.kind == "accelerator":
            return AcceleratorCost().profile(graph, target, conditions)
        stats = statistics(graph)
        threads = max(1, min(int(conditions.get("threads", 1)), int(target.get("cpu.cores", 1))))
        operators, bound = [], 0.0
        for row in stats.operators:
            latency, fastest, limit = _operator(row, stats, target, threads)
            bound += fastest
            operators.append(
                OperatorProfile(row.index, row.name, row.op, row.macs, row.bytes, latency, 0.0, bound=limit)
            )
        power_w = energy.power(target, threads)
        total = rows.fill(operators, power_w)
        latency_ms = Figure(total, min(bound, total), total * HIGH)
        return Profile(
            target=target.name,
            source="estimate",
            runtime=str(conditions.get("runtime", "any")),
            conditions={"threads": threads, "clock_mhz": target.get("cpu.clock_mhz"), **conditions},
            latency_ms=latency_ms,
            energy_mj=energy.energy(latency_ms, power_w),
            power_w=power_w,
            scope=energy.scope(target),
            memory=rows.memory(stats),
            operators=operators,
            basis=f"analytic roofline, uncalibrated: from the hardware's bound to {HIGH:g} times the estimate"
            + ("" if all(row.counted for row in stats.operators) else LOOPS),
        )


def _operator(row: OperatorStats, stats: Statistics, target: Target, threads: int) -> tuple[float, float, str]:
    """Return the estimate and the hardware's bound in ms, and what limits the operator."""
    hertz = float(target.get("cpu.clock_mhz")) * 1e6
    peaks = target.get("cpu.macs_per_cycle")
    integer = row.weights_dtype.startswith("int") and row.dtype.startswith(("int", "uint"))
    peak, efficiency = float(peaks["int8" if integer else "float32"]), EFFICIENCY.get(row.op, DEFAULT_EFFICIENCY)
    if integer and row.dtype == "int16":
        peak, efficiency = 1.0, INT16_EFFICIENCY.get(row.op, INT16_DEFAULT_EFFICIENCY)
    peak *= hertz
    speedup = 1 + THREAD_EFFICIENCY * (threads - 1)
    dram = float(target.get("memory.sustained_gbps")) * 1e9
    best_dram = float(target.get("memory.bandwidth_gbps")) * 1e9
    cache = CACHE_BYTES_PER_CYCLE * hertz
    fits = stats.weights_bytes + stats.peak_activation_bytes <= _last_level_bytes(target)
    compute = row.macs / (peak * efficiency * speedup)
    movement = row.bytes / (cache * speedup if fits else dram)
    fastest = max(row.macs / (peak * threads), 0.0 if fits else row.weights_bytes / best_dram)
    overhead = row.executions * OVERHEAD_CYCLES / hertz
    seconds = max(compute, movement) + overhead
    limit = max((compute, "compute"), (movement, "memory"), (overhead, "overhead"))[1]
    return seconds * 1e3, fastest * 1e3, limit


def _last_level_bytes(target: Target) -> int:
    caches = target.get("cache", {})
    return max((int(c["kib"]) << 10 for c in caches.values()), default=0)
