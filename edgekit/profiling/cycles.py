"""The emulator's cost model: from exact counts to cycles, latency and energy. docs/emulator.md explains it.

For one operator, with n threads on a processor of N cores::

    T(n) = (f * core + x * private) / n + x * shared + fork          x = e + (E - e) (n - 1) / (N - 1)

``core`` are the cycles that llvm-mca predicts for the blocks it executed, every load a hit (or, without llvm-mca,
its instructions by class times the target's table ``cycles.cpi``), and ``f``, the target's ``cycles.core_factor``, is
what a core takes for each of them. ``private`` and ``shared`` are the cycles in which the caches of a core, and those
it shares and the memory, serve its misses: a transfer time for misses that continue a run (a prefetcher hides their
latency), the latency for others. ``e``, the target's ``cycles.exposure``, is the part of that time one thread cannot
hide behind arithmetic; ``E``, ``cycles.exposure_all_cores``, that part where all cores are busy. ``fork`` is what it
costs to hand an operator to several threads. LiteRT's own kernels and LiteRT itself run on one thread; how many
threads can share a compiled network's kernel is in its trace. ``bench/emulator_threads.py`` fits these constants.
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
from edgekit.target import Target
from edgekit.target.cores import CacheLevel
from edgekit.target.cores import Cycles as CoreModel
from edgekit.target.listing import HINT

_LEVELS = ("l1", "l2", "l3")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval, as multiples of the estimate."""

    low: float = number("lower end of the interval, as a multiple of the estimate")
    high: float = number("upper end of the interval, as a multiple of the estimate")


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """How much llvm-mca is asked about, and the intervals.

    :param one_thread, many_threads: of targets whose constants were judged by measurements with as many threads, with
        llvm-mca. :param without_mca: of these, without it. :param unjudged: of others.
    """

    coverage: float = number("part of each operator's instructions that llvm-mca is asked about", most=1)
    one_thread: Interval
    without_mca: Interval
    many_threads: Interval
    unjudged: Interval


@dataclass(frozen=True)
class Cycles:
    """Cycles of one operator, on one core: computing, and waiting for its own and for shared memories."""

    core: float
    private: float
    shared: float


@dataclass(frozen=True)
class Taken:
    """Cycles from an operator's start to its end: computing, waiting for memory, handing it to threads."""

    computing: float
    waiting: float
    fork: float

    @property
    def whole(self) -> float:
        """All of them."""
        return self.computing + self.waiting + self.fork


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
        cycles, method = counted(trace, target, self._coefficients.coverage if self._llvm else 0)
        power_w = energy.power(target, threads)
        operators = [_row(op, c, stats, target, threads) for op, c in zip(trace.operators, cycles, strict=True)]
        total = rows.fill(operators, power_w)
        interval, judged = self._interval(target, threads, method)
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
            basis=f"exact instruction counts, cycles from {method} and a cache model, {judged}: "
            f"{low:g} to {high:g} times the estimate",
            instructions=trace.counts.get("instructions"),
            cycles=sum(row.cycles or 0 for row in operators),
        )

    def _interval(self, target: Target, threads: int, method: Method) -> tuple[Interval, str]:
        """The interval, and in words what is known of how far off the model is."""
        known, judged = self._coefficients, _known(target).judged_threads
        if threads > judged:
            many = "one thread" if threads == 1 else f"{threads} threads"
            return known.unjudged, f"no measurement of such a processor on {many} has judged them"
        if method is not Method.LLVM:
            return known.without_mca, "judged by measurements with llvm-mca only"
        return known.one_thread if threads == 1 else known.many_threads, "judged by published measurements"


def counted(trace: Trace, target: Target, coverage: float) -> tuple[list[Cycles], Method]:
    """Cycles of each of a trace's operators, and how they were found.

    :param coverage: part of each operator's instructions that llvm-mca is asked about; 0: use the table.
    """
    core, method = None, Method.LLVM
    if coverage:
        core = _core_by_llvm(trace, target, coverage)
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


def _known(target: Target) -> CoreModel:
    """What the target says of cycles: every one with an emulator does."""
    if target.cycles is None:
        raise UsageError(f"the target {target.name} has no table cycles", HINT)
    return target.cycles


def taken(cycles: Cycles, target: Target, threads: int) -> Taken:
    """What an operator takes that ``threads`` threads share."""
    known = _known(target)
    busy = (threads - 1) / max(1, target.processor.cores - 1)
    exposed = known.exposure + (known.exposure_all_cores - known.exposure) * busy
    return Taken(
        known.core_factor * cycles.core / threads,
        exposed * (cycles.private / threads + cycles.shared),
        known.fork_join_us * 1e-6 * target.processor.hertz if threads > 1 else 0.0,
    )


def _row(op: OperatorTrace, cycles: Cycles, stats: Statistics, target: Target, threads: int) -> OperatorProfile:
    spent = taken(cycles, target, min(threads, op.threads))
    row = rows.observed(op, stats, spent.whole / target.processor.hertz * 1e3)
    row.cycles = round(spent.whole)
    busy = spent.computing + spent.waiting
    row.bound = "overhead" if spent.fork > busy else "memory" if spent.waiting > spent.computing else "compute"
    return row
