"""Latency estimates for an accelerator in an FPGA: a roofline of its array of multipliers and of its memory port.

    t = sum over operators of max(MACs / (lanes * efficiency), bytes moved / bytes per cycle) / clock

At least it is the time of the array at its peak, or that of the port: weights may be moved while others are in use.

Depthwise convolutions use a part of the array, so their efficiency is one of its own. Activations stay in the
device's memory; weights are moved through the port in every inference, beside the computation. Energy is events times
energy per event, plus static power times time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.files.tables import number
from edgekit.graph import Graph
from edgekit.graph.stats import OperatorStats, statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, rows
from edgekit.runners import Trace
from edgekit.target import Target
from edgekit.target.fpga import Basis, Fpga


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """What operators reach of the array, and the interval as multiples of the estimate."""

    efficiency: float = number("part of the array's peak that operators reach", most=1)
    depthwise_efficiency: float = number("part of the array's peak that depthwise convolutions reach", most=1)
    bytes_per_cycle: float = number("bytes of activations moved on the chip per cycle by operators without products")
    operator_cycles: float = number("cycles of an operator beside its work: commands, filling and draining", zero=True)
    high: float = number("upper end of the interval, as a multiple of the estimate")


@dataclass(frozen=True)
class _Row:
    cycles: float
    best: float
    port: float
    bound: str


class FpgaEstimate:
    """Predicts a profile by the array's peak and the port."""

    def __init__(self, coefficients: Coefficients) -> None:
        self._assumed = coefficients

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`; ``trace`` is ignored."""
        chip, stats = target.programmable, statistics(graph)
        found = [self._row(row, chip) for row in stats.operators]
        operators = [
            OperatorProfile(
                row.index, row.name, row.op, row.macs, row.bytes, cost.cycles / chip.hertz * 1e3, 0.0,
                cycles=round(cost.cycles), bound=cost.bound,
            )
            for row, cost in zip(stats.operators, found, strict=True)
        ]  # fmt: skip
        joules = [self._joules(row, cost, chip) for row, cost in zip(stats.operators, found, strict=True)]
        seconds = sum(cost.cycles for cost in found) / chip.hertz
        power = sum(joules) / seconds if seconds else float(target.power.watts(1, 1))
        low, high = float(chip.energy.low), float(chip.energy.high)
        total = rows.fill(operators, Figure(power, power * low, power * high))
        for operator, energy in zip(operators, joules, strict=True):
            operator.energy_mj = energy * 1e3
        least = max(sum(cost.best for cost in found), sum(cost.port for cost in found)) / chip.hertz * 1e3
        latency = Figure(total, least, total * self._assumed.high)
        return Profile(
            target=target.name,
            source=Evidence.ESTIMATE,
            runtime=str(conditions.get("runtime", "any")),
            conditions={**conditions, "threads": 1, "clock_mhz": chip.clock.mhz},
            latency_ms=latency,
            energy_mj=Figure(sum(joules) * 1e3, sum(joules) * 1e3 * low, sum(joules) * 1e3 * high),
            power_w=Figure(power, power * low, power * high),
            scope=target.power.scope,
            memory=rows.memory(stats),
            operators=operators,
            basis=self._basis(chip),
        )

    def _basis(self, chip: Fpga) -> str:
        clock = "routed" if chip.clock.basis is Basis.ROUTED else "assumed"
        packed = ", two products per multiplier" if chip.packed else ""
        return (
            f"a roofline of {chip.input_lanes}x{chip.output_lanes} multipliers{packed} at {chip.clock.mhz:g} MHz "
            f"({clock}), of which operators reach {self._assumed.efficiency:.0%}, and of a port of "
            f"{chip.port.bytes_per_cycle:g} bytes per cycle for weights; energy by events: no figure is measured"
        )

    def _row(self, row: OperatorStats, chip: Fpga) -> _Row:
        assumed = self._assumed
        part = assumed.depthwise_efficiency if row.op == "DEPTHWISE_CONV_2D" else assumed.efficiency
        best = row.macs / chip.macs_per_cycle
        busy = best / part if row.macs else row.activation_bytes / assumed.bytes_per_cycle
        port = row.weights_bytes / chip.port.bytes_per_cycle
        bound = "compute" if busy >= port else "memory"
        return _Row(max(busy, port) + assumed.operator_cycles, best, port, bound)

    def _joules(self, row: OperatorStats, cost: _Row, chip: Fpga) -> float:
        """A full array's memory, what goes in and out, and weights, which are moved once and stay in the array."""
        read = row.macs / chip.macs_per_cycle * chip.array_bytes + row.bytes
        return chip.energy.joules(row.macs, read, row.weights_bytes, cost.cycles, cost.cycles / chip.hertz)
