"""The LiteRT backend: a bundle that runs the network with LiteRT on a Linux board.

The artifact is a small C runner (``firmware_stubs/linux``), LiteRT's shared library for the board, and a Python
runner for systems whose C library is too old for that one.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import resources
from edgekit.backends import Artifact, Unsupported
from edgekit.backends.litert import build, library, operators
from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target


RUN = (
    "artifact/edgekit-run", "--library", "artifact/libLiteRt.so", "--model", "model.tflite", "--inputs", "in.bin",
    "--outputs", "out.bin", "--samples", "1",
)  # fmt: skip
"""The command line on the device, from the bundle's folder."""


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
        arch = build.native_arch(target.arch)
        runner = build.get(arch)
        runtime = library.get(arch)
        _copy(runner.path, folder / build.NAME, 0o755)
        _copy(runtime, folder / library.FILE, 0o644)
        _copy(resources.folder("firmware_stubs") / "linux" / "run.py", folder / "run.py", 0o755)
        return Artifact(
            tools={"compiler": runner.compiler, "litert": library.litert_version()},
            run=RUN,
            runtime=f"litert {library.litert_version()}",
        )


def _copy(source: Path, target: Path, mode: int) -> None:
    shutil.copyfile(source, target)
    target.chmod(mode)
