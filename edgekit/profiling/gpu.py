"""What a network costs on a GPU: a roofline over kernels, from their counts.

    t = max(flops / (peak * efficiency * filled), bytes / bandwidth) + launch

``filled`` is the part of the GPU's multipliers that so many work-items can occupy. With a trace (``--on pocl``) flops,
bytes, work-items and launches are those of the kernels that ran; without one they are counted on the Graph, one kernel
an operator. ``efficiency`` and ``launch`` come from the target's file, where the source says what they were fitted to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.files.tables import number
from edgekit.graph import Graph
from edgekit.graph.stats import Statistics, statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, energy, rows
from edgekit.runners import Trace
from edgekit.target import Target

FREE = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "DEQUANTIZE")
"""Operators that move nothing: they only name memory anew, or are done when the network is compiled."""


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """The interval, as multiples of the value; a remark for the profile's basis."""

    low: float = number("lower end of the interval, as a multiple of the value")
    high: float = number("upper end of the interval, as a multiple of the value")
    remark: str = ""


@dataclass(frozen=True)
class Device:
    """A GPU's figures in base units.

    :param lanes: multipliers that run at once. :param peak: flops a second. :param bandwidth: bytes a second.
    """

    lanes: float
    peak: float
    bandwidth: float
    launch_s: float

    def seconds(self, counts: dict[str, int]) -> tuple[float, str]:
        """Time of an operator's kernels, and what bounds it."""
        launches = counts["launches"]
        filled = min(1.0, counts["work_items"] / max(1, launches) / self.lanes) if "work_items" in counts else 1.0
        compute = counts["flops"] / (self.peak * max(filled, 1 / self.lanes))
        moved = (counts["read_bytes"] + counts["written_bytes"]) / self.bandwidth
        overhead = launches * self.launch_s
        limit = max((compute, "compute"), (moved, "memory"), (overhead, "overhead"))[1]
        return max(compute, moved) + overhead, limit


class GpuCost:
    """Predicts a profile of a GPU, from the Graph or from what its emulator counted."""

    def __init__(self, coefficients: Coefficients) -> None:
        self._coefficients = coefficients

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`."""
        low, high = self._coefficients.low, self._coefficients.high
        stats, device = statistics(graph), _device(target)
        operators = _observed(trace, stats, device) if trace and trace.operators else _counted(stats, device)
        power_w = energy.power(target, 1)
        total = rows.fill(operators, power_w)
        latency_ms = Figure(total, total * low, total * high)
        emulated = trace is not None
        runtime = trace.runtime if trace else str(conditions.get("runtime", "any"))
        place = str(conditions.get("machine", "this machine")).split(" on ")[0]
        return Profile(
            target=target.name,
            source=Evidence.EMULATOR if emulated else Evidence.ESTIMATE,
            runtime=runtime,
            conditions={**conditions, "clock_mhz": target.graphics.clock_mhz, "threads": 1},
            latency_ms=latency_ms,
            energy_mj=energy.energy(latency_ms, power_w),
            power_w=power_w,
            scope=energy.scope(target),
            memory=rows.memory(stats),
            operators=operators,
            basis=(
                f"kernels, work-items, flops and bytes counted while the kernels ran on {place}; " if emulated else ""
            )
            + f"a roofline of {target.graphics.name} with the figures of its file, no kernel of ours was timed on "
            f"it: {low:g} to {high:g} times the value"
            + (f"; {self._coefficients.remark}" if self._coefficients.remark else ""),
        )


def _device(target: Target) -> Device:
    gpu = target.graphics
    rate = float(gpu.flops_per_cycle)
    peak = rate * float(gpu.clock_mhz) * 1e6 * float(gpu.efficiency)
    return Device(rate / 2, peak, target.memory.sustained, float(gpu.launch_us) * 1e-6)


def _observed(trace: Trace, stats: Statistics, device: Device) -> list[OperatorProfile]:
    made = []
    for op in trace.operators:
        seconds, limit = device.seconds(op.counts)
        row = rows.observed(op, stats, seconds * 1e3)
        row.bytes = op.counts["read_bytes"] + op.counts["written_bytes"]
        row.bound, row.kernels, row.counts = limit, op.name, dict(op.counts)
        made.append(row)
    return made


def _counted(stats: Statistics, device: Device) -> list[OperatorProfile]:
    made = []
    for row in stats.operators:
        free = row.op in FREE
        counts = {"launches": 0 if free else row.executions, "flops": 2 * row.macs,
                  "read_bytes": 0 if free else row.bytes, "written_bytes": 0}  # fmt: skip
        seconds, limit = device.seconds(counts)
        made.append(OperatorProfile(row.index, row.name, row.op, row.macs, row.bytes, seconds * 1e3, 0.0, bound=limit))
    return made
