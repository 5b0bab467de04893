"""The network taken apart computes, operator by operator, what the whole computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.data import dataset
from edgekit.graph import tflite
from edgekit.graph.explode import explode
from edgekit.reference.litert import reference_outputs, reference_tensors
from tests.networks.small import Builder


@pytest.mark.parametrize("name", ["mlperf_tiny/ic_resnet8_int8", "mlperf_tiny/kws_fp32", "tflite_micro/person_detect"])
def test_parts_equal_the_whole(models: Path, tmp_path: Path, name: str) -> None:
    graph = tflite.read(models / f"{name}.tflite")
    whole = tmp_path / "whole.tflite"
    tflite.write(graph, whole)
    parts = explode(graph)
    assert parts is not None
    assert len(parts.operators) == len(graph.operators)
    inputs = dataset.as_network_inputs(dataset.random(graph, seed=3, samples=2), graph)
    values = reference_tensors(whole, inputs) | dict(zip(graph.main.inputs, inputs, strict=True))
    tflite.write(parts.graph, tmp_path / "parts.tflite")
    outputs = reference_outputs(tmp_path / "parts.tflite", [values[i] for i in parts.inputs])
    for index, output in zip(parts.outputs, outputs, strict=True):
        np.testing.assert_array_equal(output, values[index])


def test_state_is_left_out(models: Path) -> None:
    parts = explode(tflite.read(models / "tflite_micro" / "keyword_scrambled_8bit.tflite"))
    assert parts is not None
    assert "SVDF" not in {operator.op for operator in parts.graph.operators}


def test_weights_behind_a_dequantize_stay_constants() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    wide = b.add("DEQUANTIZE", (b.constant(np.ones((3, 4), np.float16)),), (3, 4))
    y = b.add("FULLY_CONNECTED", (x, wide, -1), (1, 3), options="FullyConnected")
    graph = b.graph((x,), (b.add("RELU", (y,), (1, 3)),))
    parts = explode(graph)
    assert parts is not None
    assert parts.inputs == (x, y) and parts.operators == (1, 2), "nor are they outputs"


def test_open_sizes_of_a_signature_are_not_handed_on() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x", shape_signature=(-1, 4))
    y = b.add("RELU", (x,), (1, 4))
    z = b.add("TANH", (y,), (1, 4))
    b.tensors[y].shape_signature = b.tensors[z].shape_signature = (-1, 4)
    parts = explode(b.graph((x,), (z,)))
    assert parts is not None
    assert [t.shape_signature for t in (*parts.graph.inputs, *parts.graph.outputs)] == [None] * 4


def test_operators_of_one_name_are_fed_apart() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    y = b.add("RELU", (x,), (1, 4))
    z = b.add("RELU", (y,), (1, 4))
    b.tensors[y].name = b.tensors[z].name = "block/Relu"
    parts = explode(b.graph((x,), (b.add("RELU", (z,), (1, 4)),)))
    assert parts is not None
    for tensors in (parts.graph.inputs, parts.graph.outputs):
        assert len({t.name for t in tensors}) == len(tensors) == 3
