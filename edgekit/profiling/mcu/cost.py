"""The cost model of emulated microcontrollers: from executed blocks to cycles, latency and energy.

For one step::

    T = model * (sum over blocks of count * cycles + what its jumps add) + waits

``cycles`` is what the core's pipeline takes for the block (:mod:`edgekit.profiling.mcu.pipeline`), ``waits`` what its
memories add (:mod:`edgekit.profiling.mcu.memory`). Each part is computed three times, with the low, the believed and
the high number of the core's table; instructions that the model does not know have numbers of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgekit.errors import ToolMissing
from edgekit.graph import Graph
from edgekit.graph.stats import Statistics, statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, energy, rows
from edgekit.profiling.mcu import Operation, decode, pipeline, riscv, thumb
from edgekit.profiling.mcu.cores import Bound, Core, Isa, core
from edgekit.profiling.mcu.memory import Memories, Tensors, memories
from edgekit.runners import BlockUse, OperatorTrace, Trace
from edgekit.target import Target

_DIALECTS = {Isa.THUMB_7: decode.THUMB_7, Isa.THUMB_8: decode.THUMB_8, Isa.RISCV: decode.RISCV}

MOST_BYTES = 512 << 10
"""Bytes of executed code, at most, whose instructions are looked at one by one; kernels have some ten thousand."""


@dataclass(frozen=True)
class Step:
    """Cycles of one step at the three bounds, with the target's memories and with memories without wait states.

    :param unknown: executed instructions that the model does not know.
    """

    cycles: tuple[float, float, float]
    zero_wait: tuple[float, float, float]
    unknown: int = 0


class FirmwareCost:
    """Turns the trace of an emulated firmware into a profile."""

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`; the trace must be that of an emulated firmware."""
        if trace is None or not trace.operators:
            raise ValueError("the cost model of firmware needs a trace with operators")
        stats = statistics(graph)
        steps, method = _steps(trace.operators, stats, target)
        hertz, power_w = target.processor.hertz, energy.power(target, 1)
        operators = [
            _row(rows.observed(op, stats, step.cycles[Bound.VALUE] / hertz * 1e3), step)
            for op, step in zip(trace.operators, steps, strict=True)
        ]
        _share_work(operators)
        rows.fill(operators, power_w)
        cycles, zero_wait = _sum(step.cycles for step in steps), _sum(step.zero_wait for step in steps)
        latency_ms = cycles.scaled(1e3 / hertz)
        unknown = sum(step.unknown for step in steps)
        return Profile(
            target=target.name,
            source=Evidence.EMULATOR,
            runtime=trace.runtime,
            conditions={"clock_mhz": target.processor.clock_mhz, **conditions, "threads": 1},
            latency_ms=latency_ms,
            energy_mj=energy.energy(latency_ms, power_w),
            power_w=power_w,
            scope=energy.scope(target),
            memory=rows.memory(stats),
            operators=operators,
            basis=f"exact instruction counts, cycles from {method}, not calibrated on the board"
            + (f"; {unknown:,} executed instructions are unknown to the model" if unknown else ""),
            instructions=trace.counts.get("instructions"),
            cycles=round(cycles.value),
            macs=sum(row.macs for row in stats.operators),
            zero_wait_cycles=zero_wait,
        )


def _steps(operators: Sequence[OperatorTrace], stats: Statistics, target: Target) -> tuple[list[Step], str]:
    """The cycles of each operator, and how they were found."""
    arch = target.microcontroller.arch
    models = tuple(core(arch, bound) for bound in Bound)
    name = models[Bound.VALUE].name
    by_class = [_by_class(op, models) for op in operators], f"a table for {name} by class of instruction"
    codes = {block.code for op in operators for block in op.blocks}
    if not codes or sum(map(len, codes)) // 2 > MOST_BYTES:
        return by_class
    try:
        decoded = operations(sorted(codes), models[Bound.VALUE].isa)
    except ToolMissing:
        return by_class
    emulated = Emulated(decoded, models, memories(target))
    return [emulated.step(op.blocks, _tensors(op, stats)) for op in operators], f"the pipeline model of {name}"


def operations(codes: Iterable[str], isa: Isa) -> dict[str, list[Operation]]:
    """Return what the pipeline must know of each block of code (hex).

    :raises ToolMissing: if the toolchain with the disassembler is not installed.
    """
    read = riscv.operation if isa is Isa.RISCV else thumb.operation
    blocks = decode.disassembled(codes, _DIALECTS[isa])
    return {code: [read(one) for one in instructions] for code, instructions in blocks.items()}


@dataclass(frozen=True)
class Emulated:
    """Code on a core.

    :param decoded: of :func:`operations`. :param models: the core at the three bounds. :param places: its memories.
    """

    decoded: Mapping[str, Sequence[Operation]]
    models: Sequence[Core]
    places: Memories
    _known: dict[tuple[str, int, Bound], float] = field(default_factory=dict)

    def step(self, uses: Sequence[BlockUse], tensors: Tensors) -> Step:
        """Return the cycles of what one operator executed. :param tensors: its own."""
        blocks = [(use, self.decoded[use.code]) for use in uses]
        core_cycles = [sum(self._block(use, bound) for use in uses) * self.models[bound].model for bound in Bound]
        waits = [self.places.waits(blocks, tensors, bound) for bound in Bound]
        knows = self.models[Bound.VALUE].knows
        unknown = sum(use.count * sum(not knows(one.kind) for one in code) for use, code in blocks)
        low, value, high = core_cycles
        return Step((low + waits[0], value + waits[1], high + waits[2]), (low, value, high), unknown)

    def _block(self, use: BlockUse, bound: Bound) -> float:
        """Return the cycles of all executions of a block, with memories without wait states."""
        code, model = self.decoded[use.code], self.models[bound]
        if not code:
            return 0.0
        key = (use.code, use.address % 4, bound)
        if key not in self._known:
            self._known[key] = pipeline.cycles(code, model, use.address)
        jumps = pipeline.refill(code[-1], model, use.count, use.taken)
        return use.count * self._known[key] + jumps + pipeline.misaligned(code[0], use.address, model, use.entered)


def _tensors(op: OperatorTrace, stats: Statistics) -> Tensors:
    indices = {*(() if op.index is None else (op.index,)), *op.fused}
    counted = [row for row in stats.operators if row.index in indices]
    constants = sum(row.weights_bytes for row in counted)
    return Tensors(constants, sum(row.bytes for row in counted) - constants)


def _by_class(op: OperatorTrace, models: Sequence[Core]) -> Step:
    low, value, high = (sum(cpi * op.counts.get(kind, 0) for kind, cpi in model.cpi.items()) for model in models)
    return Step((low, value, high), (low, value, high))


def _row(row: OperatorProfile, step: Step) -> OperatorProfile:
    value, zero_wait = step.cycles[Bound.VALUE], step.zero_wait[Bound.VALUE]
    row.cycles = round(value)
    row.bound = "memory" if value > 2 * zero_wait else "compute"
    return row


def _share_work(operators: Sequence[OperatorProfile]) -> None:
    """Share an operator's MACs and bytes among the steps that compute it, by their instructions."""
    by_index: dict[int, list[OperatorProfile]] = {}
    for row in operators:
        if row.index is not None:
            by_index.setdefault(row.index, []).append(row)
    for steps in by_index.values():
        total, macs, moved = sum(row.instructions or 0 for row in steps), steps[0].macs, steps[0].bytes
        if len(steps) > 1 and total:
            for row in steps:
                row.macs = round(macs * (row.instructions or 0) / total)
                row.bytes = round(moved * (row.instructions or 0) / total)


def _sum(figures: Iterable[tuple[float, float, float]]) -> Figure:
    low, value, high = (sum(column) for column in zip(*figures, strict=True))
    return Figure(value, min(low, value), max(high, value))
