"""A network and its runner in one program without any library: what runs on Android from a shell.

Android's C library is bionic, so neither the runner of the Linux boards nor LiteRT's library for them load there. A
statically linked program asks nothing but the kernel. The network is TVM's (:mod:`edgekit.backends.tvm`), the runner
``firmware_stubs/linux`` without LiteRT.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import sandbox
from edgekit.backends import runner_build, tvm
from edgekit.tools import toolchain

if TYPE_CHECKING:
    from edgekit.backends import Planned


def _sources() -> list[Path]:
    """C files of the runner that need neither LiteRT nor a library to load."""
    without = {*runner_build.BUNDLE_PARTS, "litert_api.c", "litert_engine.c", "network.c", "start.c", "variables.c"}
    return sorted(path for path in runner_build.sources().glob("*.c") if path.name not in without)


def program(kernels: Planned, path: Path) -> tuple[dict[str, str], bool]:
    """Write the program; return the versions of the tools that made it, and whether threads can share its work.

    :param kernels: what :class:`edgekit.backends.tvm.TVM` planned.
    :raises ToolMissing: if TVM or the compiler is missing.
    """
    tool = toolchain.load("aarch64-static-cc").find()
    made = tvm.pieces(kernels)
    with sandbox.scratch() as folder:
        made.write(folder)
        sources = _sources()
        for source in [*runner_build.sources().glob("*.h"), *sources]:
            shutil.copyfile(source, folder / source.name)
        command = [
            *tool.argv, runner_build.STANDARD, "-O2", "-D_GNU_SOURCE", "-DEDGEKIT_STATIC_NETWORK", "-static",
            "-fno-ident", "-s", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-I.", "-ffp-contract=off",
            *(source.name for source in sources), "network.c", "kernels.o",
            "-o", "program", "-lpthread", "-lm",
        ]  # fmt: skip
        runner_build.run_compiler(command, folder, "the network's program does not link")
        runner_build.put(folder / "program", path.parent, path.name, 0o755)
    return {"compiler": runner_build.describe(tool), "tvm": made.version}, made.divided
