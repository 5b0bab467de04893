"""Emulators for GPUs: a bundle's own kernels run on this machine, and what they launch is counted.

The plan, the kernels and the weights are the bundle's; the host program is built from the same source for this
machine. What it computes is checked, and what it launches is counted, kernel by kernel; its times say nothing about a
GPU, so none is reported: :mod:`edgekit.profiling.gpu` estimates them from the counts.
"""

from __future__ import annotations

import platform
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends import runner_build
from edgekit.backends.gpu import host_build, plan
from edgekit.backends.gpu.dialect import Dialect
from edgekit.errors import DeviceError
from edgekit.files import left_behind
from edgekit.runners import (
    Defaults,
    Device,
    Observes,
    OpenOptions,
    OperatorTrace,
    Refusal,
    Run,
    RunOptions,
    Session,
    Source,
    Trace,
    host,
)
from edgekit.runners.linux import attribution, kernels, process
from edgekit.runners.linux import program as programs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.graph import Graph
    from edgekit.target import Target


@dataclass(frozen=True)
class Prepared:
    """What a run needs beside the plan's files: its environment, and folders that it writes to."""

    env: Mapping[str, str]
    writable: Sequence[Path] = ()


class CountedRunner(Defaults):
    """Says ``where`` kernels run, in words, the ``driver`` of the host program and the kernels' ``dialect``."""

    source, observes, proves = Source.EMULATOR, Observes.COUNTS, True
    where: str
    driver: str
    dialect: Dialect

    def tools(self) -> None:
        """:raises ToolMissing: if something that it needs is not installed."""

    def prepare(self, bundle: Bundle, folder: Path) -> Prepared:
        """Put into ``folder``, once for all runs, what is needed beside the plan's files."""
        raise NotImplementedError

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`."""
        return programs.refusal(execution)

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`.

        :raises ToolMissing: see :meth:`tools`. :raises DeviceError: if the bundle is of another backend.
        """
        self.tools()
        files = needed(bundle, self.dialect, f"{self.where} runs bundles of the backend {self.driver} only")
        launches = plan.read(bundle.artifact / plan.PLAN)
        with sandbox.scratch() as folder:
            command = laid_out(bundle, files, self.driver, folder)
            prepared = self.prepare(bundle, folder)
            program, env = programs.of(bundle.execution), {**host.environment(), **prepared.env}
            process = host.Process(
                command, bundle, program, self.where, env, readable=[folder], writable=prepared.writable
            )
            yield CountedSession(process, launches)


@dataclass(frozen=True)
class CountedSession:
    """Runs the host program, and counts the ``launches`` of its plan."""

    process: host.Process
    launches: Sequence[plan.Launch]

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return self.process.info()

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`; ``repeat`` is ignored.

        :raises DeviceError: if it fails, or runs other kernels than those of the plan.
        """
        with sandbox.scratch() as folder:
            run = self.process.execute(inputs, RunOptions(repeat=0, profile=options.profile), folder)
            events = left_behind.document(folder, process.TRACE).get("events") or []
        run.decided = self.process.decided(options)
        run.trace = self._counted(self.process.bundle.graph, run.trace.runtime, events)
        machine = run.conditions["machine"] or platform.machine()
        run.conditions = {"threads": 1, "machine": f"{self.process.where} on {machine}"}
        return run

    def _counted(self, graph: Graph, runtime: str, events: Sequence[dict[str, Any]]) -> Trace:
        """What an inference launched, operator by operator.

        :param events: the kernels that ran, as the C runner tells of them; none where they were not observed.
        :raises DeviceError: if not exactly the plan's kernels ran, in its order.
        """
        trace = Trace(Source.EMULATOR, runtime)
        try:
            ran = [(str(event["tag"]), int(event["node"])) for event in events]
        except (ValueError, KeyError, TypeError) as error:
            raise DeviceError(f"the run's trace is damaged: {error!r}", "compile the bundle again") from error
        if events and ran != [(launch.name, launch.node) for launch in self.launches]:
            raise DeviceError(
                f"the kernels that ran on {self.process.where} are not those of the bundle's plan",
                "compile the bundle again",
            )
        rows = [kernels.Kernel(launch.name, launch.node, 0.0, launch, 1) for launch in self.launches]
        for share in attribution.attribute(graph, rows):
            counts: Counter[str] = Counter()
            for kernel in share.kernels:
                counts.update(kernel.observed.counts())
            name = " + ".join(kernel.name for kernel in share.kernels)
            trace.operators.append(OperatorTrace(share.index, name, counts=dict(counts), fused=tuple(share.fused)))
            trace.counts = dict(Counter(trace.counts) + counts)
        return trace


def laid_out(bundle: Bundle, files: Sequence[Path], driver: str, folder: Path) -> list[str]:
    """Put the plan's ``files`` and a host program for this machine into ``folder``; return the command that runs it."""
    here, library = platform.machine(), folder / host_build.LIBRARY
    shutil.copyfile(host_build.get(here, driver), library)
    for path in files:
        shutil.copyfile(path, folder / path.name)
    return [str(runner_build.get(here).path), *programs.of(bundle.execution).arguments(str(library), "")]


def needed(bundle: Bundle, dialect: Dialect, hint: str) -> list[Path]:
    """The plan's files in a bundle.

    :raises DeviceError: if one is missing, as in a bundle of another backend.
    """
    paths = [bundle.artifact / name for name in plan.files(dialect)]
    for path in paths:
        if not path.is_file():
            raise DeviceError(f"the bundle has no artifact/{path.name}", hint)
    return paths
