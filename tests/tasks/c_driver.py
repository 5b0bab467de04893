"""Compiles the programs beside it, which call parts of the C runtime library for tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgekit import resources

LINUX = resources.folder("firmware_stubs") / "linux"
FLAGS = (
    "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-ffp-contract=off", "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)  # fmt: skip


def compiled(folder: Path, source: str, *parts: str) -> Path:
    """Compile a program and the parts that it calls, with sanitizers; skip the test where there is no compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    to = folder / "driver"
    sources = [Path(__file__).parent / source, *(LINUX / part for part in parts)]
    subprocess.run(["gcc", *FLAGS, f"-I{LINUX}", *sources, "-o", to, "-lm"], check=True)
    return to
