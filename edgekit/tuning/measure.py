"""Times of loop nests: by any of edgekit's runners, or on boards of TVM's RPC tracker (:mod:`.farm`)."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.backends.runner_build import native_arch
from edgekit.codegen.program import ITEM, Program
from edgekit.errors import DeviceError, UsageError
from edgekit.graph import Graph, Operator, Subgraph, Tensor
from edgekit.runners import Run, Runner, RunOptions
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
"""At most: a round on a board is a connection of its own."""


@dataclass(frozen=True)
class Times:
    """Microseconds ``[rounds, forms]`` and, form by form, whether it computes what the first one does."""

    us: NDArray[np.float64]
    same: list[bool]

    def ratio(self, form: int) -> float:
        """The median over the rounds of a form's time to the first one's."""
        return float(np.median(self.us[:, form] / self.us[:, 0]))


class Measure(Protocol):
    """A way to time forms of a kernel; ``exact``: every round would be the same."""

    name: str
    exact: bool

    def times(self, forms: Sequence[Form], rounds: int) -> Times:
        """:raises ModelError: if a form cannot be compiled; :raises DeviceError: if running them fails."""


class ByRunner:
    """Times forms of a kernel, and whole networks, as networks that a runner runs."""

    def __init__(self, on: str, target: Target, processor: Processor) -> None:
        self.name, self.exact = on.partition(":")[0], on == "emulator"
        self._target, self._processor = target, processor
        if self.name not in (*target.runners, "host") or self.name in ("null", "estimate"):
            raise UsageError(f"kernels cannot be measured on {on}", "use host, emulator, ssh://... or tracker://...")
        if self.name == "host" and native_arch(target.arch) != platform.machine():
            raise DeviceError(
                f"kernels for {target.name} do not run on this machine ({platform.machine()})",
                "use --on emulator, ssh://user@host or tracker://host:port",
            )
        self._runner: Runner = get_runner(on)

    def times(self, forms: Sequence[Form], rounds: int) -> Times:
        """See :class:`Measure`. The first form runs twice, because what runs first in an inference pays for others."""
        made = batches.batch([forms[0], *forms])
        with sandbox.scratch() as folder:
            bundle = batches.build(made.program, made.graph, self._processor, self._target, folder / "batch")
            run, us = self._rounds(bundle, rounds)
        same = [batches.same(run.outputs[0][0], output[0]) for output in run.outputs]
        return Times(us[:, 1:], same[1:])

    def network(self, program: Program, folder: Path) -> Bundle:
        """A whole network, to be given to :meth:`kernels`."""
        made = whole(program)
        return batches.build(made.program, made.graph, self._processor, self._target, folder)

    def kernels(self, bundle: Bundle, repeat: int) -> NDArray[np.float64]:
        """One round of a whole network: microseconds of each kernel."""
        return self._times(bundle, self._run(bundle, repeat))

    def _rounds(self, bundle: Bundle, rounds: int) -> tuple[Run, NDArray[np.float64]]:
        run = self._run(bundle, 3)
        first = self._times(bundle, run)
        if self.exact:
            return run, first[None, :]
        rounds = rounds if self.name == "host" else min(rounds, REMOTE_ROUNDS)
        repeat = max(3, min(REPEAT, int(BURST_US / max(float(first.sum()), 1e-3))))
        return run, np.stack([self._times(bundle, self._run(bundle, repeat)) for _ in range(rounds)])

    def _run(self, bundle: Bundle, repeat: int) -> Run:
        options = RunOptions(repeat=repeat, warmup=2, profile=True)
        with one_core(self.name == "host"):
            return self._runner.run(bundle, batches.inputs(bundle.graph), options)

    def _times(self, bundle: Bundle, run: Run) -> NDArray[np.float64]:
        """Microseconds of each operator of the network, in order."""
        if self.exact:
            from edgekit.profiling.cycles import EmulatedCost

            rows = EmulatedCost().profile(bundle.graph, run.trace, self._target, {"threads": 1}).operators
            found = {row.index: row.latency_ms for row in rows}
        else:
            found = {row.index: row.latency_ms or 0.0 for row in run.trace.operators}
        if any(n not in found for n in range(len(bundle.graph.operators))):
            raise DeviceError("the kernels' times cannot be told apart", "report this to edgekit")
        return np.array([max(found[n], 1e-6) * 1e3 for n in range(len(bundle.graph.operators))])


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
