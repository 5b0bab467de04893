"""The typed kernels say all that it takes: an interpreter of them has LiteRT's own bits on other people's networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.codegen.lower import lower
from edgekit.graph import tflite
from edgekit.reference.litert import reference_outputs
from tests.codegen.interpreter import run

MODELS = Path(__file__).parents[3] / "shared" / "models"
NAMES = [
    "mlperf_tiny/ad01_int8", "mlperf_tiny/ic_resnet8_int8", "mlperf_tiny/kws_int8", "tflite_micro/hello_world_int8",
    "tflite_micro/person_detect",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_bit_exact_on_the_shared_networks(name: str, tmp_path: Path) -> None:
    path = MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("the shared models are not there")
    graph = tflite.read(path)
    tflite.write(graph, tmp_path / "read.tflite")  # repaired where the file needs it
    network, rng = lower(graph), np.random.default_rng(0)
    samples = []
    for index in network.inputs:
        tensor = network.tensors[index]
        samples.append(rng.integers(-128, 128, (4, *tensor.shape)).astype(tensor.dtype))
    expected = reference_outputs(tmp_path / "read.tflite", samples)
    for number in range(4):
        for output, wanted in zip(run(network, [s[number] for s in samples]), expected, strict=True):
            assert output.dtype == wanted.dtype
            np.testing.assert_array_equal(output, wanted[number].reshape(output.shape))
