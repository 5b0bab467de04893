"""The emulator's cost model: from exact counts to cycles, latency and energy. docs/emulator.md explains it.

For one operator, with n threads on a processor of N cores::

    T(n) = (core + x * private) / n + x * shared + fork          x = e + (1 - e) (n - 1) / (N - 1)

``core`` are the cycles that llvm-mca predicts for the blocks it executed, every load a hit (or, without llvm-mca,
its instructions by class times the target's table ``cycles.cpi``). ``private`` and ``shared`` are the cycles in which
the caches of a core, and those it shares and the memory, serve its misses: a transfer time for misses that continue
a run (a prefetcher hides their latency), the latency for others. ``e``, the target's ``cycles.exposure``, is the part
of that time one thread cannot hide behind arithmetic; where all cores are busy none of it is hidden. ``fork`` is what
it costs to hand an operator to several threads. LiteRT's own kernels and LiteRT itself run on one thread; how many
threads can share a compiled network's kernel is in its trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edgekit.errors import ToolMissing, UsageError
from edgekit.files.tables import number
from edgekit.graph import Graph
from edgekit.graph.stats import Statistics, statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, energy, mca, rows
from edgekit.runners import BlockUse, OperatorTrace, Trace
from edgekit.target import Target, schema
from edgekit.target.schema import CacheLevel

_LEVELS = ("l1", "l2", "l3")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval, as multiples of the estimate."""

    low: float = number("lower end of the interval, as a multiple of the estimate")
    high: float = number("upper end of the interval, as a multiple of the estimate")


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """How much llvm-mca is asked about, and the intervals: with it at one thread, without it, at several threads."""

    coverage: float = number("part of each operator's instructions that llvm-mca is asked about", most=1)
    one_thread: Interval
    without_mca: Interval
    many_threads: Interval


@dataclass(frozen=True)
class Cycles:
    """Cycles of one operator, on one core: computing, and waiting for its own and for shared memories."""

    core: float
    private: float
    shared: float


class Method(StrEnum):
    """How cycles of computing were found, in words."""

    LLVM = "llvm-mca"
    TABLE = "a table (llvm-mca is not installed)"


class EmulatedCost:
    """Turns the emulator's trace into a profile. ``llvm`` False: use the table of cycles per instruction."""

    def __init__(self, coefficients: Coefficients, *, llvm: bool = True) -> None:
        self._coefficients, self._llvm = coefficients, llvm

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`; the trace must be the emulator's. Conditions: ``threads``."""
        if trace is None or not trace.operators:
            raise ValueError("the emulator's cost model needs a trace with operators")
        threads = max(1, min(int(conditions.get("threads", 1)), target.processor.cores))
        stats = statistics(graph)
        cycles, method = self._cycles(trace, target)
        power_w = energy.power(target, threads)
        operators = [_row(op, c, stats, target, threads) for op, c in zip(trace.operators, cycles, strict=True)]
        total = rows.fill(operators, power_w)
        known = self._coefficients
        one = known.one_thread if method is Method.LLVM else known.without_mca
        interval = known.many_threads if threads > 1 else one
        low, high = interval.low, interval.high
        latency_ms = Figure(total, total * low, total * high)
        return Profile(
            target=target.name,
            source=Evidence.EMULATOR,
            runtime=trace.runtime,
            conditions={"clock_mhz": target.processor.clock_mhz, **conditions, "threads": threads},
            latency_ms=latency_ms,
            energy_mj=energy.energy(latency_ms, power_w),
            power_w=power_w,
            scope=energy.scope(target),
            memory=rows.memory(stats),
            operators=operators,
            basis=f"exact instruction counts, cycles from {method} and a cache model, not calibrated: "
            f"{low:g} to {high:g} times the estimate"
            + ("; how operators scale with threads is not known" if threads > 1 else ""),
            instructions=trace.counts.get("instructions"),
            cycles=sum(row.cycles or 0 for row in operators),
        )

    def _cycles(self, trace: Trace, target: Target) -> tuple[list[Cycles], Method]:
        """Cycles of each of the trace's operators, and how they were found."""
        core, method = None, Method.LLVM
        if self._llvm:
            core = _core_by_llvm(trace, target, self._coefficients.coverage)
        if core is None:
            core, method = [_core_by_table(op, target) for op in trace.operators], Method.TABLE
        found = [Cycles(c, *memory_cycles(op.counts, target)) for c, op in zip(core, trace.operators, strict=True)]
        return found, method


def memory_cycles(counts: dict[str, int], target: Target) -> tuple[float, float]:
    """Cycles in which a core's own caches, and what it shares with others, serve an operator's misses."""
    private = shared = 0.0
    caches = target.cache.data
    for place in range(len(caches)):
        below = caches[place + 1] if place + 1 < len(caches) else None
        misses, streamed = (counts.get(f"{_LEVELS[place]}_{kind}", 0) for kind in ("misses", "streamed"))
        if below is None:
            latency, transfer = _memory_cycles(caches[0], target)
        else:
            misses -= counts.get(f"{_LEVELS[place + 1]}_misses", 0)
            streamed -= counts.get(f"{_LEVELS[place + 1]}_streamed", 0)
            assert below.latency_cycles is not None and below.transfer_cycles is not None, target.name
            latency, transfer = float(below.latency_cycles), float(below.transfer_cycles)
        cost = (misses - streamed) * latency + streamed * transfer
        if below is not None and not below.shared:
            private += cost
        else:
            shared += cost
    return private, shared


def _memory_cycles(first: CacheLevel, target: Target) -> tuple[float, float]:
    """Cycles of a random access to the memory, and of the transfer of a cache's line."""
    memory, hertz = target.memory, target.processor.hertz
    assert memory.latency_ns is not None and first.line_bytes is not None, target.name
    return float(memory.latency_ns) * 1e-9 * hertz, first.line_bytes / memory.sustained * hertz


def _core_by_llvm(trace: Trace, target: Target, coverage: float) -> list[float] | None:
    """Cycles of each operator by llvm-mca; None where it is not installed or knows none of the blocks."""
    core = mca.Core(_known(target).llvm_cpu, _known(target).llvm_features)
    try:
        known = mca.block_cycles([b.code for op in trace.operators for b in _hot(op, coverage)], core)
    except ToolMissing:
        return None
    if not known:
        return None
    found = []
    for op in trace.operators:
        judged = [(b.count * _length(b), b.count * known[b.code]) for b in op.blocks if b.code in known]
        instructions, cycles = sum(n for n, _ in judged), sum(c for _, c in judged)
        every = op.counts.get("instructions", 0)
        found.append(cycles * every / instructions if instructions else _core_by_table(op, target))
    return found


def _hot(op: OperatorTrace, coverage: float) -> Iterator[BlockUse]:
    """The blocks, largest first, that hold ``coverage`` of an operator's instructions."""
    left = coverage * op.counts.get("instructions", 0)
    for block in op.blocks:
        if left <= 0:
            return
        yield block
        left -= block.count * _length(block)


def _length(block: BlockUse) -> int:
    return len(block.code) // 8


def _core_by_table(op: OperatorTrace, target: Target) -> float:
    table = _known(target).cpi
    if not table:
        raise UsageError(f"the target {target.name} has no table cycles.cpi", "install llvm-mca, or add it")
    return sum(float(cpi) * op.counts.get(name, 0) for name, cpi in table.items())


def _known(target: Target) -> schema.Cycles:
    """What the target says of cycles: every one with an emulator does."""
    if target.cycles is None:
        raise UsageError(f"the target {target.name} has no table cycles", schema.HINT)
    return target.cycles


def _row(op: OperatorTrace, cycles: Cycles, stats: Statistics, target: Target, threads: int) -> OperatorProfile:
    cores, hertz, exposure = target.processor.cores, target.processor.hertz, float(_known(target).exposure)
    used = min(threads, op.threads)
    exposed = exposure + (1 - exposure) * (used - 1) / max(1, cores - 1)
    computing, waiting = cycles.core / used, exposed * (cycles.private / used + cycles.shared)
    fork = float(_known(target).fork_join_us) * 1e-6 * hertz if used > 1 else 0.0
    row = rows.observed(op, stats, (computing + waiting + fork) / hertz * 1e3)
    row.cycles = round(computing + waiting + fork)
    row.bound = "overhead" if fork > computing + waiting else "memory" if waiting > computing else "compute"
    return row
