"""Recurrent networks of ONNX: LiteRT's default kernels compute what the ONNX model computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from edgekit.graph import Graph, tflite
from edgekit.graph.onnx_operators import has_onnx
from edgekit.readers import ReadOptions
from edgekit.readers.onnx import read_all
from edgekit.readers.recurrent import zeros_folded
from edgekit.reference.litert import reference_outputs
from tests.networks.small import Builder
from tests.readers import onnx_models

STEPS, FEATURES, UNITS = 6, 5, 7
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(
    path: Path, kind: str, outputs: str, direction: str = "forward", batch: int = 1, layers: int = 1,
    steps: int = STEPS,
) -> Path:  # fmt: skip
    """``[batch, steps, FEATURES]`` -> layers of ``kind`` -> those of Y, Y_h and Y_c that are asked for, as they are."""
    count = 2 if direction == "bidirectional" else 1
    nodes = [onnx_models.node("Transpose", ["x"], ["layer0"], perm=[1, 0, 2])]
    weights: list[Any] = []
    for layer in range(layers):
        size = FEATURES if layer == 0 else count * UNITS
        weights += [
            onnx_models.weight(f"w{layer}", count, GATES[kind] * UNITS, size),
            onnx_models.weight(f"r{layer}", count, GATES[kind] * UNITS, UNITS),
            onnx_models.weight(f"b{layer}", count, 2 * GATES[kind] * UNITS),
        ]
        last = layer == layers - 1
        results = [name if last else f"{name}_{layer}" for name in ("Y", "Y_h", "Y_c")[: 3 if kind == "LSTM" else 2]]
        operands = [f"layer{layer}", f"w{layer}", f"r{layer}", f"b{layer}"]
        nodes.append(onnx_models.node(kind, operands, results, hidden_size=UNITS, direction=direction))
        if not last:
            shape = onnx.numpy_helper.from_array(np.array([steps, batch, count * UNITS]), f"shape{layer}")
            nodes.append(onnx_models.node("Transpose", [results[0]], [f"moved{layer}"], perm=[0, 2, 1, 3]))
            nodes.append(onnx_models.node("Reshape", [f"moved{layer}", f"shape{layer}"], [f"layer{layer + 1}"]))
            weights.append(shape)
    shapes: dict[str, list[int | str]] = {"Y": [steps, count, batch, UNITS]}
    ends = [onnx_models.value(name, shapes.get(name, [count, batch, UNITS])) for name in outputs.split()]
    return onnx_models.save(path, nodes, [onnx_models.value("x", [batch, steps, FEATURES])], ends, weights)


CASES: dict[str, dict[str, Any]] = {
    **{
        f"{kind}-{direction}-{outputs}": {"kind": kind, "direction": direction, "outputs": outputs}
        for kind in ("LSTM", "RNN")
        for direction in ("forward", "reverse", "bidirectional")
        for outputs in ("Y_h", "Y Y_h")
    },
    "GRU-bidirectional-Y Y_h": {"kind": "GRU", "direction": "bidirectional", "outputs": "Y Y_h"},
    "LSTM-Y_c": {"kind": "LSTM", "outputs": "Y_c"},
    "LSTM-all": {"kind": "LSTM", "outputs": "Y Y_h Y_c", "direction": "bidirectional"},
    "LSTM-batch": {"kind": "LSTM", "outputs": "Y_h", "batch": 3},
    "LSTM-layers": {"kind": "LSTM", "outputs": "Y_h", "layers": 2, "direction": "bidirectional"},
    "LSTM-one-step": {"kind": "LSTM", "outputs": "Y_h", "steps": 1},
}


@pytest.mark.slow
def test_default_kernels_compute_what_the_model_computes(onnx_converter: None, tmp_path: Path) -> None:
    paths = [recurrent(tmp_path / f"{number}.onnx", **case) for number, case in enumerate(CASES.values())]
    for name, path, graph in zip(CASES, paths, read_all(paths, ReadOptions()), strict=True):
        assert isinstance(graph, Graph), f"{name}: {graph}"
        assert not has_onnx(graph) or "Y_c" in CASES[name]["outputs"], name
        tflite.write(graph, tmp_path / "m.tflite")
        x = np.random.default_rng(1).normal(size=(2, *graph.inputs[0].shape)).astype(np.float32)
        found = reference_outputs(tmp_path / "m.tflite", [x], optimized=True)
        for number, sample in enumerate(x):
            expected: list[Any] = ReferenceEvaluator(str(path)).run(None, {"x": sample})
            for output, value in zip(found, expected, strict=True):
                np.testing.assert_allclose(output[number], value, atol=2e-6, err_msg=name)


def test_a_variable_that_nothing_writes_is_zero() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    state = b.tensor((1, 4), name="state", is_variable=True)
    weights = b.constant(np.ones((4, 4), np.float32))
    fresh = b.add("BATCH_MATMUL", (x, weights), (1, 4), options="BatchMatMul")
    old = b.add("BATCH_MATMUL", (state, weights), (1, 4), options="BatchMatMul")
    both = b.add("ADD", (fresh, old), (1, 4), options="Add")
    gated = b.add("MUL", (both, state), (1, 4), options="Mul")
    moved = b.add("ADD", (both, gated), (1, 4), options="Add", fusedActivationFunction=1)
    y = b.add("CONCATENATION", (moved, state), (1, 8), options="Concatenation", axis=1)
    graph = b.graph((x,), (y,))
    folded = zeros_folded(graph)
    assert [o.op for o in folded.operators] == ["BATCH_MATMUL", "ADD", "CONCATENATION"]
    assert not any(t.is_variable for t in folded.tensors)
    written = folded.tensors[folded.operators[2].inputs[1]]
    assert written.data is not None and not written.array().any()


def test_a_variable_that_an_operator_keeps_its_state_in_stays() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    state = b.tensor((1, 4), name="state", is_variable=True)
    weights = b.constant(np.ones((4, 4), np.float32))
    y = b.add("RNN", (x, weights, weights, b.constant(np.ones(4, np.float32)), state), (1, 4), options="RNN")
    graph = b.graph((x,), (y,))
    assert zeros_folded(graph) is graph
