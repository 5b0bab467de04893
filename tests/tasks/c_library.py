"""Programs in Python that use the C runtime library of this checkout."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

from edgekit import resources
from edgekit.backends import runner_build


def called(program: str, bundle: str, given: object = None) -> Any:
    """What a program in Python that uses the C library prints, as JSON."""
    python = resources.folder("firmware_stubs") / "linux" / "python"
    library = runner_build.library(platform.machine()).path
    done = subprocess.run(
        [sys.executable, "-c", program, bundle], input=json.dumps(given),
        env={**os.environ, "PYTHONPATH": str(python), "EDGEKIT_LIBRARY": str(library)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
