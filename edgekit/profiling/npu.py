"""Latency estimates for a neural processor beside a microcontroller, from its compiler's own model (Ethos-U, vela).

Vela reports the cycles that each operation takes on the NPU, memory included, in the configuration that the target's
file names. Operators that stay on the core are added by

    t = max(MACs / (peak * efficiency), bytes / bytes per cycle) / clock

and where vela is not installed, or the network is not one that it takes, every operator is estimated in that form for
the NPU: a roofline of its multipliers and of the memory that holds the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.backends.vela import checked, compiler, refused
from edgekit.errors import EdgekitError, ModelError
from edgekit.files.tables import number
from edgekit.graph import Graph
from edgekit.graph.stats import OperatorStats, statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, energy, rows
from edgekit.runners import Trace
from edgekit.target import Target

if TYPE_CHECKING:
    from edgekit.backends.vela.structure import Part


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Intervals as multiples of the estimate, and what is assumed of the core and of the NPU's roofline."""

    low: float = number("lower end of the interval of the compiler's figures, as a multiple")
    high: float = number("upper end of the interval of the compiler's figures, as a multiple")
    core_low: float = number("lower end of the interval of operators on the core, as a multiple")
    core_high: float = number("upper end of the interval of operators on the core, as a multiple")
    core_efficiency: float = number("part of the core's peak that its operators reach", most=1)
    core_bytes_per_cycle: float = number("bytes of tensors that the core moves per cycle")
    roofline_efficiency: float = number("part of the NPU's peak that operators reach, without its compiler", most=1)
    roofline_high: float = number("upper end of the interval without the compiler, as a multiple")


@dataclass(frozen=True)
class _Row:
    seconds: float
    low: float
    high: float
    bound: str
    cycles: int | None = None


class NpuCost:
    """Predicts a profile by the NPU's compiler, or by a roofline where that cannot be asked."""

    def __init__(self, coefficients: Coefficients) -> None:
        self._assumed = coefficients

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`; ``trace`` is ignored."""
        stats = statistics(graph)
        npu, assumed = target.neural, self._assumed
        memory = rows.memory(stats)
        why, compiled = _compiled(graph, target)
        parts: Sequence[Part] = ()
        if compiled is not None:
            try:
                parts = checked(graph, compiled)
            except ModelError as error:
                why, compiled = error.message, None
        if compiled is None:
            found = {row.index: self._roofline(row, target) for row in stats.operators}
            basis = (
                f"a roofline, because {why}: {npu.macs_per_cycle} MACs a cycle, of which operators reach "
                f"{assumed.roofline_efficiency:.0%}; from the hardware's bound to {assumed.roofline_high:g} times "
                f"the estimate"
            )
            total_cycles = None
        else:
            on_npu = {n for part in parts if part.npu for n in part.operators}
            spent: dict[int, int] = {}
            for operation in compiled.operations:
                if operation.source is not None:
                    spent[operation.source] = spent.get(operation.source, 0) + operation.cycles
            found = {
                row.index: self._npu(row, spent.get(row.index, 0), target)
                if row.index in on_npu
                else self._core(row, target)
                for row in stats.operators
            }
            left = len(stats.operators) - len(on_npu)
            version = compiler.ENVIRONMENT.requirement().partition("==")[2]
            basis = (
                f"the cycle model of vela {version} for {npu.accelerator}, {npu.system_config}, {npu.memory_mode} at "
                f"{npu.clock_mhz:g} MHz ({compiled.memory_words()}); Arm says of it that only an FPGA or a chip gives "
                f"accurate figures, so the interval is {assumed.low:g} (no less than all multipliers busy) to "
                f"{assumed.high:g} times the estimate"
            )
            basis += f"; {left} operators on the core are estimated by its peak" if left else ""
            memory = {**memory, "peak_ram_bytes": compiled.ram_bytes, "flash_bytes": compiled.flash_bytes}
            total_cycles = compiled.cycles if not left else None
        operators = [
            OperatorProfile(
                row.index, row.name, row.op, row.macs, row.bytes, found[row.index].seconds * 1e3, 0.0,
                cycles=found[row.index].cycles, bound=found[row.index].bound,
            )
            for row in stats.operators
        ]  # fmt: skip
        power_w = energy.power(target, 1)
        total = rows.fill(operators, power_w)
        latency_ms = Figure(
            total, sum(row.low for row in found.values()) * 1e3, sum(row.high for row in found.values()) * 1e3
        )
        return Profile(
            target=target.name,
            source=Evidence.ESTIMATE,
            runtime=str(conditions.get("runtime", "any")),
            conditions={**conditions, "threads": 1, "clock_mhz": npu.clock_mhz},
            latency_ms=latency_ms,
            energy_mj=energy.energy(latency_ms, power_w),
            power_w=power_w,
            scope=energy.scope(target),
            memory=memory,
            operators=operators,
            basis=basis,
            cycles=total_cycles,
        )

    def _npu(self, row: OperatorStats, cycles: int, target: Target) -> _Row:
        npu = target.neural
        seconds = cycles / npu.hertz
        busy = min(seconds, row.macs / npu.macs_per_cycle / npu.hertz)
        return _Row(seconds, max(busy, seconds * self._assumed.low), seconds * self._assumed.high, "npu", cycles)

    def _core(self, row: OperatorStats, target: Target) -> _Row:
        cpu, assumed = target.processor, self._assumed
        peak = float(cpu.macs_per_cycle.float32 if row.dtype == "float32" else cpu.macs_per_cycle.integer)
        cycles = max(row.macs / (peak * assumed.core_efficiency), row.bytes / assumed.core_bytes_per_cycle)
        seconds = cycles / cpu.hertz
        return _Row(seconds, seconds * assumed.core_low, seconds * assumed.core_high, "core")

    def _roofline(self, row: OperatorStats, target: Target) -> _Row:
        npu, assumed = target.neural, self._assumed
        busy = row.macs / npu.macs_per_cycle / npu.hertz
        fetched = row.weights_bytes / target.memory.sustained
        seconds = max(busy / assumed.roofline_efficiency, fetched)
        bound = "compute" if seconds > fetched else "memory"
        least = max(busy, row.weights_bytes / target.memory.best)
        return _Row(seconds, min(least, seconds), seconds * assumed.roofline_high, bound)


def _compiled(graph: Graph, target: Target) -> tuple[str, compiler.Compiled | None]:
    """What vela makes of the network; or why it cannot be asked, in words."""
    if compiler.ENVIRONMENT.interpreter() is None:
        return "vela is not installed", None
    if any(refused(graph, index) for index in range(len(graph.operators))) or len(graph.subgraphs) > 1:
        return "the network is not one of integers", None
    try:
        return "", compiler.compile(graph, target.neural)
    except EdgekitError as error:
        return error.message, None
