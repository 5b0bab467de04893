"""Compiles C for the tests, with AddressSanitizer and UndefinedBehaviorSanitizer where that is wanted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgekit import resources
from edgekit.backends import runner_build
from tests import objects

HERE = Path(__file__).parent
STUBS = resources.folder("firmware_stubs")
LINUX = STUBS / "linux"
SANITIZE = ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
"""Programs that end with ``_exit`` keep their memory on purpose."""


def compiled(to: Path, sources: Sequence[Path], *flags: str) -> Path:
    """Compile and link ``sources``."""
    command = ["gcc", runner_build.STANDARD, "-D_GNU_SOURCE", f"-I{STUBS / 'gpu'}", f"-I{LINUX}", *flags]
    command += [*map(str, sources), "-o", str(to), "-ldl", "-lpthread", "-lm"]
    done = subprocess.run(objects.instead(command, Path.cwd()), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return to


def runtime_driver(folder: Path, *flags: str) -> Path:
    """The program that drives edgekit's runtime library."""
    parts = [path for path in sorted(LINUX.glob("*.c")) if path.name not in runner_build.RUNNER_PARTS]
    own = [HERE / f"runtime_{name}.c" for name in ("driver", "plugged", "tasks")]
    return compiled(folder / "driver", [*own, *parts], *flags)
