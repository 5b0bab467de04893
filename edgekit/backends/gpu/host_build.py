"""Builds the host programs ``network.so`` of ``firmware_stubs/gpu``, once for each driver and architecture."""

from __future__ import annotations

from pathlib import Path

from edgekit import resources
from edgekit.backends import runner_build as build

LIBRARY = "network.so"
SHARED = ("plan.c", "network.c", "plan.h", "network.h")
"""What all host programs have in common."""
FLAGS = [
    build.STANDARD, "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-ident", "-s",
    "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-I..", "-I../../linux",
]  # fmt: skip


def get(arch: str, driver: str) -> Path:
    """Return the library for ``arch``, compiled on first use.

    :param driver: the folder of its sources, ``opencl`` or ``cuda``.
    :raises ToolMissing: if there is no compiler for ``arch``.
    """
    stubs = resources.folder("firmware_stubs")
    shared = [stubs / "gpu" / name for name in SHARED]
    sources = [f"../{path.name}" for path in shared if path.suffix == ".c"]
    also = [*shared, stubs / "linux" / "compiled_network.h"]
    return build.built(arch, stubs / "gpu" / driver, [*FLAGS, *sources], LIBRARY, also=also).path


def cuda_emulator(arch: str) -> Path:
    """Return the library that stands in for ``libcuda.so.1`` (see ``firmware_stubs/gpu/cuda_emulator``)."""
    # Its calls stay its own, whatever else in the process has functions of these names.
    flags = [*FLAGS, "-Wl,-Bsymbolic"]
    return build.built(arch, resources.folder("firmware_stubs") / "gpu" / "cuda_emulator", flags, "libcuda.so.1").path
