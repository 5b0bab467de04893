"""The LiteRT backend: a bundle that runs the network with LiteRT on a Linux board.

The artifact is a small C runner (``firmware_stubs/linux``), LiteRT's shared library for the board, and a Python
runner for systems whose C library is too old for that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit import resources
from edgekit.backends import Artifact, Defaults, Planned, Request, Unsupported, runner_build
from edgekit.backends.litert import library, operators
from edgekit.backends.runner_build import litert_version
from edgekit.bundle.execution import Execution, Kind, runner_command

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target


class LiteRT(Defaults):
    """Compiles for Linux on any architecture that has a compiler and a LiteRT library."""

    name = "litert"

    def plan(self, graph: Graph, target: Target) -> Planned | list[Unsupported]:
        """Refuse operators and types that LiteRT has no kernels for.

        LiteRT itself, when the golden outputs are made, also refuses single combinations of types and versions.
        """
        return operators.unsupported(graph) or Planned(graph, target)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`."""
        arch, folder = runner_build.native_arch(planned.target.arch), request.folder
        runner = runner_build.get(arch)
        runner_build.put(runner.path, folder, runner_build.NAME, 0o755)
        runner_build.put(library.get(arch), folder, library.FILE)
        runner_build.put(resources.folder("firmware_stubs") / "linux" / "run.py", folder, "run.py", 0o755)
        return Artifact(
            tools={"compiler": runner.compiler, "litert": litert_version()},
            execution=Execution(Kind.RUNTIME, runner_command(library.FILE, model=True), library.FILE),
            runtime=f"litert {litert_version()}",
        )
