"""Compiles a network in C as a shared library: for the C runner on Linux, and for tests."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from edgekit import resources, sandbox
from edgekit.backends import runner_build
from edgekit.backends.c99.emit import Source
from edgekit.files.documents import write_text

LIBRARY = "network.so"
STANDARD = ("-std=c99", "-pedantic", "-ffreestanding")
"""Of every file that a microcontroller compiles."""


def link(source: Source, arch: str, result: Path, flags: Sequence[str] = ("-O2",)) -> None:
    """Write the shared library of a network.

    :raises ToolMissing: if there is no compiler.
    """
    tool = runner_build.compiler(arch)
    stubs = resources.folder("firmware_stubs")
    upper = source.name.upper()
    shim = [
        f'-DEK_MODEL_HEADER="{source.name}.h"', f"-DEK_MODEL={source.name}_model",
        *(f"-DEK_MODEL_{size}={upper}_{size}" for size in ("STEPS", "INPUTS", "OUTPUTS")),
    ]  # fmt: skip
    common = ["-fPIC", "-fvisibility=hidden", "-fno-ident", f"-I{stubs / 'kernels'}", f"-I{stubs / 'linux'}", "-I."]
    with sandbox.scratch() as folder:
        write_text(folder / f"{source.name}.c", source.code)
        write_text(folder / f"{source.name}.h", source.header)
        shutil.copyfile(stubs / "kernels" / "linux" / "library.c", folder / "library.c")
        objects = [
            [*tool.argv, *STANDARD, *flags, *common, "-c", f"{source.name}.c"],
            [*tool.argv, "-std=gnu11", *flags, *common, *shim, "-c", "library.c"],
            [*tool.argv, *flags, "-shared", "-s", "-Wl,--build-id=none", "-Wl,-z,noexecstack", f"{source.name}.o",
             "library.o", "-o", LIBRARY, "-lm"],
        ]  # fmt: skip
        for command in objects:
            runner_build.run_compiler(command, folder, "the network's C does not compile")
        shutil.copyfile(folder / LIBRARY, result)


def put_kernels(folder: Path) -> None:
    """Copy the kernel library, which is headers only, into a folder that is made for it."""
    folder.mkdir()
    for header in sorted((resources.folder("firmware_stubs") / "kernels").glob("*.h")):
        runner_build.put(header, folder, header.name)
