"""The Android backend: an app's project that runs the model with LiteRT, and a native program to measure it with.

The app is where delegates (GPU, NPU) exist; ``compile/delegates`` says beforehand what they take. The native program
(:mod:`.native`) is there where TVM is installed and has kernels for the network: it needs no app, and ``--on adb``
runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.backends import Artifact, Defaults, Planned, Request, Unsupported, runner_build, tvm
from edgekit.backends.android import native, project
from edgekit.backends.litert import operators
from edgekit.backends.runner_build import litert_version
from edgekit.bundle.execution import Execution, Kind, runner_command
from edgekit.errors import ToolMissing

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target


class Android(Defaults):
    """Compiles for 64-bit Android phones."""

    name = "android"

    def plan(self, graph: Graph, target: Target) -> Planned | list[Unsupported]:
        """Refuse what LiteRT has no kernels for."""
        return operators.unsupported(graph) or Planned(graph, target)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`. Why there is no native program, a warning says in one line."""
        graph, target, model, progress = planned.graph, planned.target, request.model, request.progress
        folder = request.folder
        project.write(graph, model, folder / project.FOLDER)
        runtime = f"litert {litert_version()}"
        kernels = tvm.TVM().plan(graph, target)
        if isinstance(kernels, list):
            progress.warn(f"{target.name}: the bundle has no native program: {kernels[0].words()}")
            return Artifact(runtime=runtime)
        progress.step(f"compile kernels for {target.name}")
        try:
            tools, divided = native.program(kernels, folder / runner_build.NAME)
        except ToolMissing as missing:
            progress.warn(f"{target.name}: the bundle has no native program: {missing.message}; {missing.hint}")
            return Artifact(runtime=runtime)
        execution = Execution(Kind.PROGRAM, runner_command("", model=False), divided=divided)
        return Artifact(tools, execution, f"{runtime} in the app, tvm {tools['tvm']} in the native program")
