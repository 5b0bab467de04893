"""The runtime library runs networks that were compiled by TVM, with threads, and those on GPUs, on emulated drivers."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_programs import compiled, runtime_driver

import edgekit
from edgekit import bundle as bundles
from edgekit.backends import runner_build
from edgekit.bundle import Bundle
from edgekit.bundle.samples import pack
from edgekit.graph import tflite
from edgekit.runners import RunOptions, once
from edgekit.runners.counted import CountedRunner, laid_out, needed
from edgekit.runners.cuda_emulator import CudaEmulator
from edgekit.runners.host import HostRunner
from edgekit.runners.pocl import PoclRunner
from edgekit.tools import toolchain
from tests.installed import needed as needs
from tests.networks.building import given
from tests.networks.small import convolutional

PAGE = Path(__file__).parents[2] / "docs" / "runtime.md"
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def bundle_for(backend: str, board: str, folder: Path) -> Bundle:
    tflite.write(convolutional(), folder / "net.tflite")
    (made,) = edgekit.compile(folder / "net.tflite", targets=[board], backend=backend, out=folder / "out")
    return bundles.load(made.path)


def for_this_machine(bundle: Bundle, runner: CountedRunner, folder: Path) -> tuple[Path, dict[str, str]]:
    """A copy of a GPU's bundle with the host program of this machine, and what its driver needs."""
    place = folder / "b" / "artifact"
    shutil.copytree(bundle.path, folder / "b")
    files = needed(bundle, runner.dialect, "another backend")
    laid_out(bundle, files, runner.driver, place)
    env = dict(runner.prepare(bundle, place).env)
    manifest = json.loads((folder / "b" / "manifest.json").read_text())
    for path in place.iterdir():
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            manifest["files"][f"artifact/{path.name}"] = {"bytes": path.stat().st_size, "sha256": digest}
    (folder / "b" / "manifest.json").write_text(json.dumps(manifest))
    return folder / "b", env


def agrees(bundle: Path, env: dict[str, str], expected: np.ndarray, inputs: list[np.ndarray], folder: Path) -> None:
    """The documentation's program computes the bits of a runner; so do four threads, each with an instance."""
    (code,) = re.findall(r"^```c\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (folder / "classify.c").write_text(code)
    shutil.copyfile(runner_build.library(platform.machine()).path, folder / "libedgekit.so.1")
    (folder / "libedgekit.so").symlink_to("libedgekit.so.1")
    made = compiled(folder / "classify", [folder / "classify.c"], f"-L{folder}", "-Wl,--no-as-needed", "-ledgekit")
    (folder / "in.bin").write_bytes(pack(inputs))
    paths = [env["LD_LIBRARY_PATH"]] if "LD_LIBRARY_PATH" in env else []
    environment = {**os.environ, **env, "LD_LIBRARY_PATH": ":".join([str(folder), *paths])}
    command = [made, bundle, folder / "in.bin", folder / "out.bin"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "out.bin").read_bytes() == np.ascontiguousarray(expected).tobytes()
    driver = runtime_driver(folder, "-O1")
    done = subprocess.run([driver, "threads", bundle], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("runner", "board", "tool"), [(CudaEmulator(), "jetson-orin-nano", "nvrtc"), (PoclRunner(), "mali-g610", "pocl")],
    ids=["cuda", "opencl"],
)  # fmt: skip
@pytest.mark.slow
def test_networks_on_gpus(runner: CountedRunner, board: str, tool: str, tmp_path: Path) -> None:
    if not (toolchain.load(tool).found() and toolchain.load("host-cxx").found()):
        pytest.skip(f"{tool} or a C++ compiler is not installed")
    bundle = bundle_for(runner.driver, board, tmp_path)
    inputs = given(bundle.graph, samples=2)
    expected = once(runner, bundle, inputs, RunOptions()).outputs[0]
    own, env = for_this_machine(bundle, runner, tmp_path)
    agrees(own, env, expected, inputs, tmp_path)


@pytest.mark.slow
def test_networks_of_tvm(tmp_path: Path) -> None:
    needs("tvm", "tvm")
    bundle = bundle_for("tvm", "host", tmp_path)
    inputs = given(bundle.graph, samples=2)
    agrees(bundle.path, {}, once(HostRunner(), bundle, inputs, RunOptions()).outputs[0], inputs, tmp_path)
