"""A network and its runner in one program without any library: what runs on Android from a shell.

Android's C library is bionic, so neither the runner of the Linux boards nor LiteRT's library for them load there. A
statically linked program asks nothing but the kernel. The network is TVM's (:mod:`edgekit.backends.tvm`), the runner
``firmware_stubs/linux`` without LiteRT.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import sandbox
from edgekit.backends import runner_build, tvm
from edgekit.backends.compilation import Compilation, compiled
from edgekit.tools import toolchain

if TYPE_CHECKING:
    from edgekit.backends import Planned
    from edgekit.tools.toolchain import Tool


_FLAGS = (
    runner_build.STANDARD,
    "-O2",
    "-D_GNU_SOURCE",
    "-DEDGEKIT_STATIC_NETWORK",
    "-fno-ident",
    "-I.",
    "-ffp-contract=off",
)
_LINK = ("-static", "-s", "-Wl,--build-id=none", "-Wl,-z,noexecstack")
_PROGRAM = "program"


def program(kernels: Planned, path: Path) -> tuple[dict[str, str], bool]:
    """Write the program; return the versions of the tools that made it, and whether threads can share its work.

    :param kernels: what :class:`edgekit.backends.tvm.TVM` planned.
    :raises ToolMissing: if TVM or the compiler is missing.
    """
    tool = toolchain.load("aarch64-static-cc").find()
    made = tvm.pieces(kernels)
    runner = _runner(tool)
    command = [*_FLAGS, *_LINK, *runner, "network.c", "kernels.o", "-o", _PROGRAM, "-lpthread", "-lm"]
    job = Compilation(
        [command], {**_headers(), **runner, **made.files()}, [_PROGRAM], "the network's program does not link"
    )
    with sandbox.scratch() as folder:
        (folder / _PROGRAM).write_bytes(compiled(tool, job)[_PROGRAM])
        runner_build.put(folder / _PROGRAM, path.parent, path.name, 0o755)
    return {"compiler": runner_build.describe(tool), "tvm": made.version}, made.divided


def _runner(tool: Tool) -> dict[str, bytes]:
    """The object files of the runner: the same for every network."""
    without = {*runner_build.BUNDLE_PARTS, "litert_api.c", "litert_engine.c", "network.c", "start.c", "variables.c"}
    sources = {path.name: path.read_bytes() for path in runner_build.sources().glob("*.c") if path.name not in without}
    names = sorted(sources)
    commands = [[*_FLAGS, "-c", name] for name in names]
    objects = [f"{name.removesuffix('.c')}.o" for name in names]
    return compiled(tool, Compilation(commands, {**_headers(), **sources}, objects, "the runner does not compile"))


def _headers() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in runner_build.sources().glob("*.h")}
