"""Builds the host program ``network.so`` of ``firmware_stubs/gpu``, once for each architecture."""

from __future__ import annotations

from pathlib import Path

from edgekit import resources
from edgekit.backends import runner_build as build

LIBRARY = "network.so"
FLAGS = [
    "-std=gnu99", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-ident", "-s",
    "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-I../linux",
]  # fmt: skip


def get(arch: str) -> Path:
    """Return the library for ``arch``, compiled on first use.

    :raises ToolMissing: if there is no compiler for ``arch``.
    """
    stubs = resources.folder("firmware_stubs")
    return build.built(arch, stubs / "gpu", FLAGS, LIBRARY, also=[stubs / "linux" / "compiled_network.h"]).path
