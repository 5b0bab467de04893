"""The usual networks, made by Keras and read, can be trained as a whole: every parameter of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.errors import ToolMissing
from edgekit.graph import tflite
from edgekit.readers import ReadOptions, onnx2tf
from edgekit.readers.onnx import OnnxReader
from edgekit.training.trainable import parameters
from tests.installed import needed
from tests.training.judging import assert_litert_agrees, run, samples

needed("tensorflow", "train")
pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
FIXED = {
    "efficientnet": [(1, 1, 1, 3), (1, 1, 1, 3)],
    "convnext": [(1, 1, 1, 2, 4), (1, 1, 1, 2, 4)],
    "transformer": [(7, 8)],
}
"""Shapes of the constants of several float values that are not trained: what scales the input, scale and offset of a
group norm, a table of positions that the converter has looked up."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("networks")
    script = Path(__file__).with_name("keras_networks.py")
    done = subprocess.run([sys.executable, str(script), str(made)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return made


def test_parameters_are_found(folder: Path) -> None:
    fixed = {}
    for path in sorted(folder.glob("*.tflite")):
        graph = tflite.read(path)
        values = {i for operator in graph.operators for i in operator.inputs if i >= 0} - set(parameters(graph))
        tensors = [graph.tensors[i] for i in sorted(values) if graph.tensors[i].data is not None]
        fixed[path.stem] = [t.shape for t in tensors if t.dtype == "float32" and t.elements > 1]
    assert {name: shapes for name, shapes in fixed.items() if shapes} == FIXED


def test_a_step_trains_every_parameter(folder: Path, tmp_path: Path) -> None:
    paths = sorted(folder.glob("*.tflite"))
    assert len(paths) == 12
    graphs, names = [tflite.read(path) for path in paths], [path.stem for path in paths]
    inputs = [samples(graph, 4, below=30) for graph in graphs]
    answer, found = run("step", graphs, inputs)
    assert_litert_agrees(graphs, names, inputs, found, tmp_path)
    assert [(names[i], *rest) for i, *rest in answer["faults"]] == []
    for name, (before, after) in zip(names, answer["losses"], strict=True):
        assert after < before, name


def test_an_onnx_network_of_bytes(models: Path, tmp_path: Path) -> None:
    """Magika's type of file from 2,048 integers. Its layer norms take E[x^2] - E[x]^2, so bytes must differ."""
    try:
        onnx2tf.ensure_onnx2tf()
    except ToolMissing as error:
        pytest.skip(error.message)
    graph = OnnxReader().read(models / "onnx" / "magika.onnx", ReadOptions())
    inputs = samples(graph, 2, below=256)
    answer, found = run("step", [graph], [inputs])
    assert_litert_agrees([graph], ["magika"], [inputs], found, tmp_path)
    assert answer["faults"] == []
    assert answer["losses"][0][1] < answer["losses"][0][0]
