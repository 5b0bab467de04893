"""The emulator for GPUs: a bundle's own kernels run on PoCL, an OpenCL for processors, on this machine.

The plan, the kernels and the weights are the bundle's; the host program is built from the same source for this
machine. What it computes is checked, and what it launches is counted, kernel by kernel; its times say nothing about a
GPU, so none is reported: :mod:`edgekit.profiling.gpu` estimates them from the counts.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox, toolchain
from edgekit.backends import runner_build
from edgekit.backends.opencl import host_build, plan
from edgekit.errors import DeviceError
from edgekit.runners import OperatorTrace, Run, RunOptions, Trace, host
from edgekit.runners.linux import attribution, kernels, process
from edgekit.runners.linux import program as programs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.graph import Graph

DRIVER = "/etc/OpenCL/vendors/pocl.icd"


class PoclRunner:
    """Runs bundles of the backend ``opencl``. Registered as ``pocl``."""

    name = "pocl"

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """See :class:`edgekit.runners.Runner`; ``repeat`` is ignored.

        :raises ToolMissing: if PoCL is not installed.
        :raises DeviceError: if the bundle is not for OpenCL, or it fails.
        """
        toolchain.load("pocl").find()
        program = programs.of(bundle)
        missing = [name for name in plan.FILES if not (bundle.artifact / name).is_file()]
        if missing:
            raise DeviceError(
                f"the bundle has no artifact/{missing[0]}", "PoCL runs bundles of the backend opencl only"
            )
        launches = plan.read(bundle.artifact / plan.PLAN)
        here = platform.machine()
        with sandbox.scratch() as folder:
            shutil.copyfile(host_build.get(here), folder / host_build.LIBRARY)
            for name in plan.FILES:
                shutil.copyfile(bundle.artifact / name, folder / name)
            command = [str(runner_build.get(here).path), *program.arguments(str(folder / host_build.LIBRARY), "")]
            once = RunOptions(repeat=0, profile=options.profile)
            run = host.execute(command, bundle, program, inputs, once, folder, _environment(folder), "PoCL")
            events = json.loads((folder / process.TRACE).read_text())["events"]
        run.trace = _counted(bundle.graph, run.trace.runtime, launches, events)
        run.conditions = {"threads": 1, "machine": f"PoCL on {run.conditions['machine'] or here}"}
        return run


def _environment(folder: Path) -> dict[str, str]:
    """PoCL is the only driver, and writes its compiled kernels to the scratch folder."""
    return {**host.environment(), "OCL_ICD_VENDORS": DRIVER, "POCL_CACHE_DIR": str(folder / "pocl"),
            "TMPDIR": str(folder), "HOME": str(folder)}  # fmt: skip


def _counted(graph: Graph, runtime: str, launches: Sequence[plan.Launch], events: Sequence[dict[str, Any]]) -> Trace:
    """What an inference launched, operator by operator.

    :param events: the kernels that ran, as the C runner tells of them; none where they were not observed.
    :raises DeviceError: if not exactly the plan's kernels ran, in its order.
    """
    trace = Trace("emulator", runtime)
    ran = [(str(event["tag"]), int(event["node"])) for event in events]
    if events and ran != [(launch.name, launch.node) for launch in launches]:
        raise DeviceError("the kernels that ran on PoCL are not those of the bundle's plan", "compile the bundle again")
    rows = [kernels.Kernel(launch.name, launch.node, 0.0, launch) for launch in launches]
    for share in attribution.attribute(graph, rows):
        counts: Counter[str] = Counter()
        for kernel in share.kernels:
            counts.update(kernel.observed.counts())
        name = " + ".join(kernel.name for kernel in share.kernels)
        trace.operators.append(OperatorTrace(share.index, name, counts=dict(counts), fused=tuple(share.fused)))
        trace.counts = dict(Counter(trace.counts) + counts)
    return trace
