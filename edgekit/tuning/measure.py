"""Times of loop nests: by any of edgekit's runners, or on boards of TVM's RPC tracker (:mod:`.farm`)."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.codegen.program import ITEM, Program
from edgekit.errors import DeviceError, UsageError
from edgekit.graph import Graph, Operator, Subgraph, Tensor
from edgekit.runners import Observes, Run, Runner, RunOptions, Session, Source, opened
from edgekit.runners import get as get_runner
from edgekit.tuning import batch as batches
from edgekit.tuning.batch import Batch, Form

if TYPE_CHECKING:
    from edgekit.backends.tvm.processors import Processor
    from edgekit.bundle import Bundle
    from edgekit.target import Target

ROUNDS, REPEAT, BURST_US = 5, 400, 20_000.0
"""Rounds of a trial; in each the forms take turns, at most so often and about so long."""
REMOTE_ROUNDS = 3
"""At most: each round on a board goes there and back."""
HERE = "host"
"""Runs on this machine, whether a target names it or not."""


@dataclass(frozen=True)
class Times:
    """Microseconds ``[rounds, variants]``, and for each variant whether it computes what the first one does."""

    us: NDArray[np.float64]
    same: list[bool]

    def ratio(self, form: int) -> float:
        """The median over the rounds of a variant's time relative to the first one's."""
        return float(np.median(self.us[:, form] / self.us[:, 0]))


class Measure(Protocol):
    """A way to time variants of a kernel; ``exact``: every round would be the same."""

    name: str
    exact: bool

    def times(self, forms: Sequence[Form], rounds: int) -> Times:
        """:raises ModelError: if a form cannot be compiled; :raises DeviceError: if running them fails."""


class ByRunner:
    """Times variants of a kernel, and whole networks, as networks that a runner runs."""

    def __init__(self, on: str, target: Target, processor: Processor) -> None:
        self.name = on.partition(":")[0]
        self._target, self._processor = target, processor
        if self.name not in (*target.runners, HERE):
            raise _unmeasured(on)
        self._runner: Runner = get_runner(on)
        if self._runner.observes is Observes.NOTHING:
            raise _unmeasured(on)
        self.exact = self._runner.observes is Observes.COUNTS
        self._here = self._runner.source is Source.HOST
        if self._here and self._runner.accepts(batches.EXECUTION, target):
            raise DeviceError(
                f"kernels for {target.name} do not run on this machine ({platform.machine()})",
                "use --on emulator, ssh://user@host or tracker://host:port",
            )

    def times(self, forms: Sequence[Form], rounds: int) -> Times:
        """See :class:`Measure`. The first form runs twice, because what runs first in an inference pays for others."""
        with self._opened(batches.batch([forms[0], *forms])) as measured:
            run, us = self._rounds(measured, rounds)
        same = [batches.same(run.outputs[0][0], output[0]) for output in run.outputs]
        return Times(us[:, 1:], same[1:])

    def network(self, program: Program) -> AbstractContextManager[Measured]:
        """A whole network, ready to be timed."""
        return self._opened(whole(program))

    @contextmanager
    def _opened(self, batch: Batch) -> Iterator[Measured]:
        with sandbox.scratch() as folder:
            bundle = batches.build(batch.program, batch.graph, self._processor, self._target, folder / "batch")
            with opened(self._runner, bundle) as session:
                yield Measured(bundle, session, exact=self.exact, here=self._here)

    def _rounds(self, measured: Measured, rounds: int) -> tuple[Run, NDArray[np.float64]]:
        run = measured.run(3)
        first = measured.times(run)
        if self.exact:
            return run, first[None, :]
        rounds = rounds if self._here else min(rounds, REMOTE_ROUNDS)
        repeat = max(3, min(REPEAT, int(BURST_US / max(float(first.sum()), 1e-3))))
        return run, np.stack([measured.kernels(repeat) for _ in range(rounds)])


def _unmeasured(on: str) -> UsageError:
    return UsageError(f"kernels cannot be measured on {on}", "use host, emulator, ssh://... or tracker://...")


@dataclass(frozen=True)
class Measured:
    """A network in a session; ``exact``: counts make its times; ``here``: on this machine."""

    bundle: Bundle
    session: Session
    exact: bool
    here: bool

    def kernels(self, repeat: int) -> NDArray[np.float64]:
        """One round: microseconds of each operator of the network, in order."""
        return self.times(self.run(repeat))

    def run(self, repeat: int) -> Run:
        """One round."""
        with one_core(self.here):
            return self.session.run(batches.inputs(self.bundle.graph), RunOptions(repeat, warmup=2, profile=True))

    def times(self, run: Run) -> NDArray[np.float64]:
        """Microseconds of each operator in a round."""
        graph = self.bundle.graph
        if self.exact:
            from edgekit.profiling import registry

            rows = registry.observed(graph, run.trace, self.bundle.target, {"threads": 1}).operators
            found = {row.index: row.latency_ms for row in rows}
        else:
            found = {row.index: row.latency_ms or 0.0 for row in run.trace.operators}
        if any(n not in found for n in range(len(graph.operators))):
            raise DeviceError("the kernels' times cannot be distinguished", "please report this")
        return np.array([max(found[n], 1e-6) * 1e3 for n in range(len(graph.operators))])


@contextmanager
def one_core(here: bool) -> Iterator[None]:
    """Keep what this thread starts on one core, so that no time is lost in moves."""
    if not here:
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def whole(program: Program) -> Batch:
    """A program with a Graph that has one operator for each call."""
    from dataclasses import replace

    def tensor(buffer: int) -> Tensor:
        kept = program.buffers[buffer]
        return Tensor(f"t{buffer}", (kept.nbytes // ITEM[kept.dtype],), kept.dtype)

    ends = [*program.inputs, *program.outputs]
    count = len(program.inputs)
    operators = [
        Operator(batches.OPERATOR, tuple(range(count)), tuple(range(count, len(ends))), custom=True)
        for _ in program.calls
    ]
    main = Subgraph("main", [tensor(s) for s in ends], operators, tuple(range(count)), tuple(range(count, len(ends))))
    calls = [replace(call, node=number) for number, call in enumerate(program.calls)]
    return Batch(replace(program, calls=calls), Graph([main]))
