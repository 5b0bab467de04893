"""The LiteRT backend: a bundle that runs the network with LiteRT on a Linux board.

The artifact is a small C runner (``firmware_stubs/linux``), LiteRT's shared library for the board, and a Python
runner for systems whose C library is too old for that one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import resources
from edgekit.backends import Artifact, Unsupported, runner_build
from edgekit.backends.litert import library, operators
from edgekit.backends.runner_build import litert_version
from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target


class LiteRT:
    """Compiles for Linux on any architecture that has a compiler and a LiteRT library."""

    name = "litert"
    bit_exact = False

    def unsupported(self, graph: Graph, target: Target) -> list[Unsupported]:
        """Operators and types LiteRT has no kernels for. LiteRT itself, when the golden outputs are made, also
        refuses single combinations of types and versions."""
        return operators.unsupported(graph)

    def compile(
        self, graph: Graph, model: Path, target: Target, folder: Path, progress: Progress = Silent()
    ) -> Artifact:
        """See :class:`edgekit.backends.Backend`."""
        arch = runner_build.native_arch(target.arch)
        runner = runner_build.get(arch)
        runner_build.put(runner.path, folder, runner_build.NAME, 0o755)
        runner_build.put(library.get(arch), folder, library.FILE)
        runner_build.put(resources.folder("firmware_stubs") / "linux" / "run.py", folder, "run.py", 0o755)
        return Artifact(
            tools={"compiler": runner.compiler, "litert": litert_version()},
            run=runner_build.command(library.FILE, model=True),
            runtime=f"litert {litert_version()}",
        )
