"""The estimate for microcontrollers: instructions of edgekit's kernels per MAC or byte, by operator, nothing run.

    t = (MACs * instructions per MAC + bytes * instructions per byte + instructions per operator) * CPI

The instructions were counted in the emulator, by instruction set; cycles per instruction are those of the core's
pipeline model for the same runs. A network with other shapes has other ones, so the interval is wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.files.tables import number
from edgekit.graph import Graph
from edgekit.graph.stats import OperatorStats, statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, energy, rows
from edgekit.runners import Trace
from edgekit.target import Target
from edgekit.target.mcu import Mcu


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """Instructions of the kernels for one instruction set; by operator, with ``default`` for those not listed."""

    per_mac: Mapping[str, float]
    per_byte: float = number("instructions for each byte that operators without MACs read and write")
    per_float_mac: float = number("instructions for each MAC in floating point")


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """``plain``, ``dsp`` and ``mve``: the kernels' variants; ``cpi``: cycles per instruction, by the core's arch."""

    low: float = number("lower end of the interval, as a multiple of the estimate")
    high: float = number("upper end of the interval, as a multiple of the estimate")
    per_operator: float = number("instructions of one operator beside its loops", zero=True)
    soft_float: float = number("by how much floating point takes more instructions without FPU")
    plain: Kernels
    dsp: Kernels
    mve: Kernels
    cpi: Mapping[str, float]


class FirmwareEstimate:
    """Predicts a profile from the Graph and the target alone."""

    def __init__(self, coefficients: Coefficients) -> None:
        self._known = coefficients

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`; ``trace`` is ignored."""
        known, mcu, hertz = self._known, target.microcontroller, target.processor.hertz
        stats = statistics(graph)
        cpi = known.cpi.get(mcu.arch, known.cpi["default"])
        operators = []
        for row in stats.operators:
            instructions = self._instructions(row, mcu)
            found = OperatorProfile(row.index, row.name, row.op, row.macs, row.bytes, 0.0, 0.0, round(instructions))
            found.cycles = round(instructions * cpi)
            found.latency_ms = found.cycles / hertz * 1e3
            operators.append(found)
        power_w = energy.power(target, 1)
        total = rows.fill(operators, power_w)
        latency_ms = Figure(total, total * known.low, total * known.high)
        return Profile(
            target=target.name,
            source=Evidence.ESTIMATE,
            runtime=str(conditions.get("runtime", "any")),
            conditions={"clock_mhz": target.processor.clock_mhz, **conditions, "threads": 1},
            latency_ms=latency_ms,
            energy_mj=energy.energy(latency_ms, power_w),
            power_w=power_w,
            scope=energy.scope(target),
            memory=rows.memory(stats),
            operators=operators,
            basis="instructions per MAC of edgekit's C kernels, counted on other networks, and the core's cycles per "
            f"instruction, without waits for flash: {known.low:g} to {known.high:g} times the estimate",
            instructions=sum(row.instructions or 0 for row in operators),
            cycles=sum(row.cycles or 0 for row in operators),
            macs=sum(row.macs for row in operators),
        )

    def _instructions(self, row: OperatorStats, mcu: Mcu) -> float:
        known = self._known
        kernels = known.mve if mcu.mve else known.dsp if mcu.dsp else known.plain
        per_mac = kernels.per_mac.get(row.op, kernels.per_mac["default"])
        scale = 1.0
        if row.dtype.startswith("float"):
            per_mac = kernels.per_float_mac
            scale = known.soft_float if mcu.fpu == "none" else 1.0
        work = row.macs * per_mac if row.macs else row.bytes * kernels.per_byte
        return row.executions * known.per_operator + work * scale
