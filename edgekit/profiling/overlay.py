"""Profiles of the accelerator in an FPGA from its simulation: cycles are counted, not modelled.

    t = cycles / clock;  E = MACs * E_mac + bytes * E_byte + cycles * E_cycle + static power * t

What is not known is the clock, where it was not routed, and the energy per event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.files.tables import number
from edgekit.graph import Graph
from edgekit.graph.stats import statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, rows
from edgekit.runners import Trace
from edgekit.target import Target
from edgekit.target.fpga import Basis, Fpga

CAUSES = {"active": "array", "vector": "vector", "weights": "weights", "sums": "results"}
"""By counter: what an operator spends most of its cycles on, in the column of bounds."""


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """The interval of a clock that was not routed, as multiples of the time."""

    low: float = number("lower end of the interval with an assumed clock, as a multiple", most=1)
    high: float = number("upper end of the interval with an assumed clock, as a multiple")


class OverlayCost:
    """Makes a profile of counters."""

    def __init__(self, coefficients: Coefficients) -> None:
        self._assumed = coefficients

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`; the trace holds counters."""
        if trace is None:
            raise ValueError("a profile of the accelerator needs its counters")
        chip, stats = target.programmable, statistics(graph)
        routed = chip.clock.basis is Basis.ROUTED
        operators: list[OperatorProfile] = []
        joules: list[float] = []
        for one in trace.operators:
            cycles = one.counts["cycles"]
            row = rows.observed(one, stats, cycles / chip.hertz * 1e3)
            causes = {name: one.counts[name] for name in CAUSES}
            row.cycles, row.bound = cycles, CAUSES[max(causes, key=lambda name: causes[name])] if cycles else ""
            row.counts = {**one.counts, "lanes": chip.macs_per_cycle}
            operators.append(row)
            joules.append(_joules(one.counts, chip))
        cycles = trace.counts["cycles"]
        seconds, energy = cycles / chip.hertz, sum(joules)
        low, high = float(chip.energy.low), float(chip.energy.high)
        power = (
            Figure(energy / seconds, energy / seconds * low, energy / seconds * high) if seconds else Figure(0, 0, 0)
        )
        rows.fill(operators, power)
        for row, joule in zip(operators, joules, strict=True):
            row.energy_mj = joule * 1e3
        macs = sum(one.counts["macs"] for one in trace.operators)
        on_host = len(stats.operators) - len({i for one in trace.operators for i in (one.index, *one.fused)} - {None})
        times = Figure(seconds * 1e3, *(seconds * 1e3 * (1 if routed else f) for f in self._interval()))
        return Profile(
            target=target.name,
            source=Evidence.EMULATOR,
            runtime=trace.runtime,
            conditions={**conditions, "clock_mhz": chip.clock.mhz},
            latency_ms=times,
            energy_mj=Figure(energy * 1e3, energy * 1e3 * low, energy * 1e3 * high),
            power_w=power,
            scope=target.power.scope,
            memory=rows.memory(stats),
            operators=operators,
            basis=_basis(chip, macs, cycles, on_host, routed=routed),
            cycles=cycles,
            macs=macs,
        )

    def _interval(self) -> tuple[float, float]:
        return self._assumed.low, self._assumed.high


def _basis(chip: Fpga, macs: int, cycles: int, on_host: int, *, routed: bool) -> str:
    used = macs / cycles / chip.macs_per_cycle if cycles else 0.0
    per_block = macs / cycles / chip.multipliers if cycles else 0.0
    clock = f"{chip.clock.mhz:g} MHz, {'as routed' if routed else 'which is assumed'}"
    rest = f"; {on_host} operators on the host or without work are not in it" if on_host else ""
    return (
        f"cycles counted in the simulation of the RTL ({chip.input_lanes}x{chip.output_lanes} lanes) at {clock}: "
        f"{used:.0%} of the array's multiplications, {per_block:.2f} MACs per multiplier block and cycle{rest}; energy "
        "by events, of which no figure is measured"
    )


def _joules(counts: dict[str, int], chip: Fpga) -> float:
    """Energy of an operator: the array reads a word per bank and cycle, sums are read and written at 4 bytes each."""
    active, vector = counts["active"], counts["vector"]
    read = active * chip.array_bytes + vector * 4
    moved = counts["beats"] * chip.memory_bits / 8
    cycles = counts["cycles"]
    return chip.energy.joules(counts["macs"], read + moved, moved, cycles, cycles / chip.hertz)
