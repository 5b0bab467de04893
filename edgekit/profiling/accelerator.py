"""Latency estimates for an accelerator that keeps parameters in memory of its own (the Edge TPU).

    t = call + host transfer + sum over operators of (max(compute, on-chip movement, parameter streaming) + dispatch)

The memory on the chip holds the program, the activations and as many parameters as still fit, operator by operator
in the order of execution, each operator's entirely or not at all, as the vendor's compiler caches them
(coral.ai/docs/edgetpu/compiler, "Parameter data caching"). The others are streamed from the host in every inference,
while the operator computes. Activations never leave the chip; the network's inputs and outputs cross the link once.
The coefficients are the target's ``[accelerator]`` table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.files.tables import number
from edgekit.graph import Graph
from edgekit.graph.stats import OperatorStats, Statistics, statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, energy, rows
from edgekit.runners import Trace
from edgekit.target import Target

FREE = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
"""Operators that move nothing: they only name memory anew."""
TAKEN = ("int8", "uint8")
"""Types that the accelerator computes with; an operator with a float result runs on the host."""


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """The interval, as multiples of the estimate."""

    low: float = number("lower end of the interval, as a multiple of the estimate")
    high: float = number("upper end of the interval, as a multiple of the estimate")


@dataclass(frozen=True)
class Chip:
    """An accelerator's figures in base units: MACs, bytes and seconds.

    :param parameter_bytes: memory left for parameters, beside the program and the activations.
    :param link: bytes per second between host and chip that programs reach. :param best_link: what none exceeds.
    """

    peak: float
    efficiency: float
    depthwise_efficiency: float
    host_peak: float
    on_chip: float
    parameter_bytes: int
    link: float
    best_link: float
    dispatch_s: float
    call_s: float

    def seconds(self, row: OperatorStats, streamed: int) -> tuple[float, str]:
        """Time of one operator of which ``streamed`` bytes of parameters are not on the chip, and what bounds it."""
        if row.op in FREE:
            return 0.0, "overhead"
        if row.dtype not in TAKEN:
            return row.macs / self.host_peak + row.executions * self.dispatch_s, "compute"
        depthwise = row.op == "DEPTHWISE_CONV_2D"
        compute = row.macs / (self.peak * (self.depthwise_efficiency if depthwise else self.efficiency))
        moved = max(row.activation_bytes / self.on_chip, streamed / self.link)
        dispatch = row.executions * self.dispatch_s
        limit = max((compute, "compute"), (moved, "memory"), (dispatch, "overhead"))[1]
        return max(compute, moved) + dispatch, limit


class AcceleratorCost:
    """Predicts the profile of an accelerator alone, as if it took every operator on 8-bit integers."""

    def __init__(self, coefficients: Coefficients) -> None:
        self._coefficients = coefficients

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`; ``trace`` is ignored."""
        low, high = self._coefficients.low, self._coefficients.high
        stats = statistics(graph)
        chip = _chip(target, stats)
        streamed = _streamed(stats, chip.parameter_bytes)
        operators = []
        for row in stats.operators:
            seconds, limit = chip.seconds(row, streamed[row.index])
            operators.append(
                OperatorProfile(row.index, row.name, row.op, row.macs, row.bytes, seconds * 1e3, 0.0, bound=limit)
            )
        ends = sum(tensor.nbytes for tensor in (*graph.inputs, *graph.outputs))
        call = chip.call_s + ends / chip.link
        operators.append(OperatorProfile(None, "call", "", 0, ends, call * 1e3, 0.0, bound="overhead"))
        power_w = energy.power(target, 1)
        total = rows.fill(operators, power_w)
        bound = _bound(stats, chip, target, ends) * 1e3
        latency_ms = Figure(total, max(min(bound, total), total * low), total * high)
        left = sum(streamed.values())
        kept = sum(row.weights_bytes for row in _taken(stats)) - left
        return Profile(
            target=target.name,
            source=Evidence.ESTIMATE,
            runtime=str(conditions.get("runtime", "any")),
            conditions={**conditions, "threads": 1, "clock_mhz": target.processor.clock_mhz},
            latency_ms=latency_ms,
            energy_mj=energy.energy(latency_ms, power_w),
            power_w=power_w,
            scope=energy.scope(target),
            memory=rows.memory(stats),
            operators=operators,
            basis=f"{target.processor.core} alone, as if it took every operator: {kept / 1e6:.2f} MB of parameters "
            f"kept on the chip, {left / 1e6:.2f} MB sent to it in every inference; fitted to the vendor's "
            f"published latencies: {low:g} (no less than the hardware's bound) to {high:g} times the estimate",
        )


def _taken(stats: Statistics) -> list[OperatorStats]:
    return [row for row in stats.operators if row.dtype in TAKEN]


def _streamed(stats: Statistics, room: int) -> dict[int, int]:
    """Bytes of parameters that each operator fetches from the host in every inference, by the operator's index."""
    streamed = {row.index: 0 for row in stats.operators}
    for row in _taken(stats):
        if row.weights_bytes <= room:
            room -= row.weights_bytes
        else:
            streamed[row.index] = row.weights_bytes
    return streamed


def _bound(stats: Statistics, chip: Chip, target: Target, ends: int) -> float:
    """Return the seconds that nothing can beat.

    All multipliers are busy, or all the chip's memory is full of parameters and the link runs at its data sheet's rate.
    """
    compute = sum(row.macs for row in _taken(stats)) / chip.peak
    parameters = sum(row.weights_bytes for row in _taken(stats))
    streamed = max(0, parameters - _on_chip_bytes(target))
    return max(compute, (streamed + ends) / chip.best_link)


def _chip(target: Target, stats: Statistics) -> Chip:
    cpu, own = target.processor, target.accelerator
    assert own is not None, target.name
    room = _on_chip_bytes(target) - int(own.program_kib) * 1024 - stats.peak_activation_bytes
    return Chip(
        peak=float(cpu.macs_per_cycle.integer) * cpu.hertz,
        efficiency=float(own.efficiency),
        depthwise_efficiency=float(own.depthwise_efficiency),
        host_peak=float(cpu.macs_per_cycle.float32) * cpu.hertz,
        on_chip=float(own.bytes_per_cycle) * cpu.hertz,
        parameter_bytes=max(0, room),
        link=target.memory.sustained,
        best_link=target.memory.best,
        dispatch_s=float(own.operator_us) * 1e-6,
        call_s=float(own.call_us) * 1e-6,
    )


def _on_chip_bytes(target: Target) -> int:
    """The memory on the chip, which the target's file calls its second cache."""
    assert target.cache.l2 is not None, target.name
    return target.cache.l2.kib << 10
