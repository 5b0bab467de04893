"""Compiles a network in C as a shared library: for the C runner on Linux, and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit import resources
from edgekit.backends import compilation, runner_build
from edgekit.backends.c99.emit import Source

LIBRARY = "network.so"
STANDARD = ("-std=c99", "-pedantic", "-ffreestanding")
"""Of every file that a microcontroller compiles."""


def link(source: Source, arch: str, result: Path, flags: Sequence[str] = ("-O2",)) -> None:
    """Write the shared library of a network.

    :raises ToolMissing: if there is no compiler.
    """
    upper = source.name.upper()
    shim = [
        f'-DEK_MODEL_HEADER="{source.name}.h"', f"-DEK_MODEL={source.name}_model",
        *(f"-DEK_MODEL_{size}={upper}_{size}" for size in ("STEPS", "INPUTS", "OUTPUTS")),
    ]  # fmt: skip
    common = ["-fPIC", "-fvisibility=hidden", "-fno-ident", "-Ikernels", "-Ilinux", "-I."]
    commands = [
        [*STANDARD, *flags, *common, "-c", f"{source.name}.c"],
        ["-std=gnu11", *flags, *common, *shim, "-c", "kernels/linux/library.c"],
        [*flags, "-shared", "-s", "-Wl,--build-id=none", "-Wl,-z,noexecstack", f"{source.name}.o", "library.o",
         "-o", LIBRARY, "-lm"],
    ]  # fmt: skip
    inputs = {
        **compilation.sources("kernels", "linux"), **compilation.sources("kernels/linux", suffixes=(".c",)),
        f"{source.name}.c": source.code.encode(), f"{source.name}.h": source.header.encode(),
    }  # fmt: skip
    job = compilation.Compilation(commands, inputs, [LIBRARY], "the network's C does not compile")
    result.write_bytes(compilation.compiled(runner_build.compiler(arch), job)[LIBRARY])


def put_kernels(folder: Path) -> None:
    """Copy the kernel library, which is headers only, into a folder that is made for it."""
    folder.mkdir()
    for header in sorted((resources.folder("firmware_stubs") / "kernels").glob("*.h")):
        runner_build.put(header, folder, header.name)
