"""Bundles whose network is a library written by hand (``compiled/network.c``), for this machine and for boards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgekit import target
from edgekit.backends import runner_build
from edgekit.bundle import Bundle
from edgekit.bundle.execution import runner_command
from edgekit.errors import ToolMissing
from edgekit.graph import Graph, tflite
from edgekit.tools import toolchain
from tests.networks.small import Builder

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "firmware_stubs" / "linux"
ROWS, COLUMNS = 256, 96


def network() -> tuple[Graph, np.ndarray, np.ndarray]:
    """The network as a Graph: FULLY_CONNECTED, ADD, RELU; outputs in another order than they are computed in."""
    random = np.random.default_rng(7)
    weights = random.standard_normal((COLUMNS, ROWS)).astype(np.float32)
    bias = random.standard_normal(COLUMNS).astype(np.float32)
    b = Builder()
    x, s = b.tensor((1, ROWS), name="x"), b.tensor((1, COLUMNS), name="s")
    t = b.add("FULLY_CONNECTED", (x, b.constant(weights), b.constant(bias)), (1, COLUMNS), options="FullyConnected")
    summed = b.add("ADD", (t, s), (1, COLUMNS), options="Add")
    y = b.add("RELU", (summed,), (1, COLUMNS))
    return b.graph((x, s), (y, t)), weights, bias


def library(path: Path, arch: str, *defines: str) -> None:
    """Compile the library; ``defines`` sets what goes wrong. Skips where there is no compiler for ``arch``."""
    _, weights, bias = network()
    header = f"enum {{ ROWS = {ROWS}, COLUMNS = {COLUMNS} }};\n"
    for name, array in (("weights[COLUMNS][ROWS]", weights), ("bias[COLUMNS]", bias)):
        header += f"static const float {name} = {{{', '.join(f'{v:.9e}f' for v in array.ravel())}}};\n"
    (path.parent / "weights.h").write_text(header)
    kind = "host-cc" if arch == runner_build.native_arch("native") else f"{arch}-cc"
    try:
        compiler = toolchain.load(kind).find().argv
    except ToolMissing as error:
        pytest.skip(error.message)
    flags = ["-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wno-missing-braces"]
    command = [*compiler, *flags, *(f"-D{d}" for d in defines), f"-I{SOURCES}", f"-I{path.parent}"]
    subprocess.run([*command, "-o", path, HERE / "compiled" / "network.c"], check=True)
    (path.parent / "weights.h").unlink()


def compiled_bundle(folder: Path, board: str, *defines: str) -> Bundle:
    """A bundle as a compiling backend makes it: the runner, the library, no LiteRT."""
    (folder / "artifact").mkdir(parents=True)
    tflite.write(network()[0], folder / "model.tflite")
    arch = runner_build.native_arch(target.load(board).arch)
    library(folder / "artifact" / "network.so", arch, *defines)
    runner = runner_build.get(arch).path
    runner_build.put(runner, folder / "artifact", runner_build.NAME, 0o755)
    run = runner_command("network.so", model=False)
    return Bundle(folder, {"target": board, "backend": "by-hand", "run": list(run)})
