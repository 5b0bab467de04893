"""State in the runtime library: it lasts from one inference to the next, as long as a program does not restart it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from c_programs import LINUX

from edgekit.api.compile import compile
from edgekit.backends import runner_build
from edgekit.graph import tflite
from tests.networks import tabular

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

PROGRAM = """
import json, sys, numpy as np
from edgekit_runtime import Network
found = []
with Network(sys.argv[1]) as network:
    for number in range(6):
        if number == 3:
            network.restart()
        found.append(float(network(np.ones((1, 5), np.float32))[0, 0]))
print(json.dumps(found))
"""


@pytest.mark.parametrize("backend", ["litert", "c99"])
def test_a_resource_variable_lasts_within_a_recording(backend: str, tmp_path: Path) -> None:
    tflite.write(tabular.adding_up(), tmp_path / "model.tflite")
    (bundle,) = compile(tmp_path / "model.tflite", targets=["host"], backend=backend, out=tmp_path / "build")
    library = shutil.copyfile(runner_build.library(platform.machine()).path, tmp_path / "libedgekit.so.1")
    env = {**os.environ, "PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library)}
    command = [sys.executable, "-c", PROGRAM, bundle.path]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found[0] != 0 and found == pytest.approx([found[0] * n for n in (1, 2, 3, 1, 2, 3)], rel=1e-5)
