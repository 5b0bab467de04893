"""A regression of two layers, as files: healthy, or with one channel so loud that int8 loses the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, tflite
from tests.networks.small import Builder

HIDDEN, INPUTS, LOUD, SAMPLES = 8, 6, 1024, 300
TASK = """schema = 1
task = "regression"
unit = "mm"
mean = 50
std = 10
[row]
columns = [{name = "a"}, {name = "b"}, {name = "c"}, {name = "d"}, {name = "e"}, {name = "f"}]
"""
OWN = """import numpy as np
def near(outputs, y):
    return np.abs(outputs[0].reshape(-1) * 10 + 50 - y) < 0.5
"""


def regression(loud: float = 1) -> tuple[Graph, NDArray[np.float32], NDArray[np.float64]]:
    """The first channel between its layers is ``loud`` times what it was; samples, and noisy targets in mm."""
    rng = np.random.default_rng(5)
    first = rng.normal(size=(HIDDEN, INPUTS)).astype(np.float32)
    last = rng.normal(size=(1, HIDDEN)).astype(np.float32) / 4
    x = rng.normal(size=(SAMPLES, INPUTS)).astype(np.float32)
    values = np.maximum(x @ first.T, 0) @ last.T
    target = 50 + 10 * (values[:, 0] + rng.normal(0, 0.02, SAMPLES))
    first[0] *= loud
    last[:, 0] /= loud
    b = Builder()
    given = b.tensor((1, INPUTS), name="x")
    zeros = (np.zeros(HIDDEN, np.float32), np.zeros(1, np.float32))
    hidden = b.add(
        "FULLY_CONNECTED", (given, b.constant(first), b.constant(zeros[0])), (1, HIDDEN),
        options="FullyConnected", fusedActivationFunction=1,
    )  # fmt: skip
    out = b.add("FULLY_CONNECTED", (hidden, b.constant(last), b.constant(zeros[1])), (1, 1), options="FullyConnected")
    return b.graph((given,), (out,)), x, target


def written(folder: Path) -> Path:
    """``ill.tflite``, ``well.tflite``, ``mm.toml``, ``own.py``, and data; ``rows.csv`` has groups."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, loud in (("ill", LOUD), ("well", 1)):
        graph, x, target = regression(loud)
        tflite.write(graph, folder / f"{name}.tflite")
    np.savez(folder / "rows.npz", x=x, y=target)
    np.savez(folder / "bare.npz", x=x)
    np.savez(folder / "whole.npz", x=x, y=np.rint(target).astype(np.int64))
    lines = ["a,b,c,d,e,f,y,g"]
    for number, (row, y) in enumerate(zip(x, target, strict=True)):
        lines.append(",".join(f"{v:.9g}" for v in [*row, y]) + (",north" if number % 3 else ",south"))
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    (folder / "mm.toml").write_text(TASK)
    (folder / "own.py").write_text(OWN)
    return folder
