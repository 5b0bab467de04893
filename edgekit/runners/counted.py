"""Emulators for GPUs: a bundle's own kernels run on this machine, and what they launch is counted.

The plan, the kernels and the weights are the bundle's; the host program is built from the same source for this
machine. What it computes is checked, and what it launches is counted, kernel by kernel; its times say nothing about a
GPU, so none is reported: :mod:`edgekit.profiling.gpu` estimates them from the counts.
"""

from __future__ import annotations

import platform
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends import runner_build
from edgekit.backends.gpu import host_build, plan
from edgekit.backends.gpu.dialect import Dialect
from edgekit.errors import DeviceError
from edgekit.files import left_behind
from edgekit.runners import OperatorTrace, Run, RunOptions, Trace, host
from edgekit.runners.linux import attribution, kernels, process
from edgekit.runners.linux import program as programs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.graph import Graph


class CountedRunner:
    """Says ``where`` kernels run, in words, the ``driver`` of the host program and the kernels' ``dialect``."""

    name: str
    where: str
    driver: str
    dialect: Dialect

    def tools(self) -> None:
        """:raises ToolMissing: if something that it needs is not installed."""

    def prepare(self, bundle: Bundle, folder: Path) -> dict[str, str]:
        """Put into ``folder`` what is needed beside the plan's files; return the run's environment."""
        raise NotImplementedError

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """See :class:`edgekit.runners.Runner`; ``repeat`` is ignored.

        :raises ToolMissing: see :meth:`tools`.
        :raises DeviceError: if the bundle is of another backend, or it fails.
        """
        self.tools()
        program = programs.of(bundle)
        files = needed(bundle, self.dialect, f"{self.where} runs bundles of the backend {self.driver} only")
        launches = plan.read(bundle.artifact / plan.PLAN)
        here = platform.machine()
        with sandbox.scratch() as folder:
            shutil.copyfile(host_build.get(here, self.driver), folder / host_build.LIBRARY)
            for path in files:
                shutil.copyfile(path, folder / path.name)
            environment = {**host.environment(), **self.prepare(bundle, folder)}
            command = [str(runner_build.get(here).path), *program.arguments(str(folder / host_build.LIBRARY), "")]
            once = RunOptions(repeat=0, profile=options.profile)
            run = host.execute(command, bundle, program, inputs, once, folder, environment, self.where)
            events = left_behind.document(folder, process.TRACE).get("events") or []
        run.trace = self._counted(bundle.graph, run.trace.runtime, launches, events)
        run.conditions = {"threads": 1, "machine": f"{self.where} on {run.conditions['machine'] or here}"}
        return run

    def _counted(
        self, graph: Graph, runtime: str, launches: Sequence[plan.Launch], events: Sequence[dict[str, Any]]
    ) -> Trace:
        """What an inference launched, operator by operator.

        :param events: the kernels that ran, as the C runner tells of them; none where they were not observed.
        :raises DeviceError: if not exactly the plan's kernels ran, in its order.
        """
        trace = Trace("emulator", runtime)
        try:
            ran = [(str(event["tag"]), int(event["node"])) for event in events]
        except (ValueError, KeyError, TypeError) as error:
            raise DeviceError(f"the run's trace is damaged: {error!r}", "compile the bundle again") from error
        if events and ran != [(launch.name, launch.node) for launch in launches]:
            raise DeviceError(
                f"the kernels that ran on {self.where} are not those of the bundle's plan", "compile the bundle again"
            )
        rows = [kernels.Kernel(launch.name, launch.node, 0.0, launch) for launch in launches]
        for share in attribution.attribute(graph, rows):
            counts: Counter[str] = Counter()
            for kernel in share.kernels:
                counts.update(kernel.observed.counts())
            name = " + ".join(kernel.name for kernel in share.kernels)
            trace.operators.append(OperatorTrace(share.index, name, counts=dict(counts), fused=tuple(share.fused)))
            trace.counts = dict(Counter(trace.counts) + counts)
        return trace


def needed(bundle: Bundle, dialect: Dialect, hint: str) -> list[Path]:
    """The plan's files in a bundle.

    :raises DeviceError: if one is missing, as in a bundle of another backend.
    """
    paths = [bundle.artifact / name for name in plan.files(dialect)]
    for path in paths:
        if not path.is_file():
            raise DeviceError(f"the bundle has no artifact/{path.name}", hint)
    return paths
