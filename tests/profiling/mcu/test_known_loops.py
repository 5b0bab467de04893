"""The model's cycles of loops whose kind was measured on a board: CMSIS-NN's, and a plain one that cannot be as fast.

MLPerf Tiny on NUCLEO-L4R5ZI (120 MHz): ONNC (v1.1, Zephyr) ResNet-8 296.56 ms and the autoencoder 8.006 ms; microTVM
with CMSIS-NN (v1.0) 389.56 ms and 8.605 ms.
The loops here have the structure of CMSIS-NN's kernels, not their code, so that a fifth of difference is no surprise.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from edgekit import runners, target
from edgekit.backends.c99 import firmware
from edgekit.bundle import Bundle
from edgekit.bundle.execution import Execution, FirmwareStep, Kind
from edgekit.errors import ToolMissing
from edgekit.graph import tflite
from edgekit.profiling import Profile, registry
from edgekit.runners import RunOptions
from tests.networks.small import Builder

LOOPS = Path(__file__).parent / "loops"
BOARD, MHZ = "nucleo-l4r5zi", 120
pytestmark = pytest.mark.emulator


def profiled(loop: int, flags: list[str], folder: Path) -> Profile:
    files = {name: (LOOPS / name).read_text() for name in ("loops.c", "loops.h")}
    files["loops.c"] = f"#define LOOP {loop}\n" + files["loops.c"]
    network = firmware.Network("loops", files, 67856, [FirmwareStep("loop", 0)], hashlib.sha256(b"loops").digest())
    b = Builder()
    x = b.tensor((1, 1), "int8", name="x")
    graph = b.graph((x,), (b.add("RELU", (x,), (1, 1), dtype="int8"),))
    (folder / "artifact").mkdir(parents=True)
    tflite.write(graph, folder / "model.tflite")
    try:
        firmware.build(network, target.load(BOARD), folder / "artifact", flags)
    except ToolMissing as error:
        pytest.skip(error.message)
    manifest = {"target": BOARD, "backend": "c99", "runtime": "c99", "execution": Execution(Kind.FIRMWARE).json()}
    made = Bundle(folder, manifest)
    run = runners.once(runners.get("emulator"), made, [np.zeros((1, 1, 1), np.int8)], RunOptions(profile=True))
    run.trace.operators[0].index = None  # the loop's tensors are not the Graph's
    return registry.observed(graph, run.trace, made.target, run.conditions)


@pytest.mark.parametrize(("loop", "measured_ms"), [(1, (296.56, 389.56)), (2, (8.006, 8.605))])
def test_loops_as_in_cmsis_nn_take_what_was_measured(
    loop: int, measured_ms: tuple[float, float], tmp_path: Path
) -> None:
    found = profiled(loop, ["-O2"], tmp_path / "bundle").latency_ms
    least, most = measured_ms
    assert 0.8 * least <= found.value <= 1.2 * most
    assert any(found.low < measured < found.high for measured in measured_ms)


def test_a_plain_loop_cannot_be_what_the_reference_submission_ran(tmp_path: Path) -> None:
    """It took 704.2 ms for ResNet-8: fewer cycles than a plain loop executes instructions."""
    found = profiled(0, ["-O3"], tmp_path / "bundle")
    assert found.instructions is not None and found.instructions > 1.2 * 704.2e-3 * MHZ * 1e6
