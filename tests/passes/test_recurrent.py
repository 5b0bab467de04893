"""Fused recurrent operators in int8: weights of 8 bits, results near those of the float network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.data import dataset
from edgekit.graph import Graph, tflite
from edgekit.passes import PassContext
from edgekit.passes.quantize import Quantize
from edgekit.passes.recurrent import hybrid
from edgekit.reference.litert import reference_outputs
from tests.networks.small import Builder

STEPS, FEATURES, UNITS = 6, 16, 24


def lstm(*, peephole: bool = False) -> Graph:
    """``[1, STEPS, FEATURES]`` -> fused LSTM -> a dense layer of 3."""
    b, rng = Builder(), np.random.default_rng(0)
    x = b.tensor((1, STEPS, FEATURES), name="x")

    def weights(*shape: int) -> int:
        return b.constant((rng.normal(size=shape) * 0.3).astype(np.float32))

    operands = [x, *(weights(UNITS, FEATURES) for _ in range(4)), *(weights(UNITS, UNITS) for _ in range(4))]
    operands += [weights(UNITS) if peephole else -1 for _ in range(3)]
    operands += [weights(UNITS) for _ in range(4)] + [-1, -1]
    operands += [b.tensor((1, UNITS), name=name, is_variable=True) for name in ("h", "c")] + [-1] * 4
    y = b.add(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", tuple(operands), (1, STEPS, UNITS),
        options="UnidirectionalSequenceLSTM", fusedActivationFunction=4,
    )  # fmt: skip
    y = b.add("FULLY_CONNECTED", (y, weights(3, UNITS), -1), (1, STEPS, 3), options="FullyConnected", keepNumDims=True)
    return b.graph((x,), (y,))


@pytest.mark.parametrize("activations", ["int8", "float"])
def test_weights_of_a_fused_lstm_take_8_bits(tmp_path: Path, activations: str) -> None:
    graph = lstm()
    data = dataset.random(graph, seed=1, samples=8)
    context = PassContext(data=data, params={"activations": activations, "io": "float32"})
    passed = Quantize().apply(graph, context)
    quantized = passed.graph
    assert passed.report.json()["hybrid_operators"] == 1
    assert len(tflite.dumps(quantized)) < 0.5 * len(tflite.dumps(graph))
    for name, network in (("float", graph), ("int8", quantized)):
        tflite.write(network, tmp_path / f"{name}.tflite")
    inputs = dataset.as_network_inputs(data, graph)
    (expected,) = reference_outputs(tmp_path / "float.tflite", inputs)
    for optimized in (False, True):
        (found,) = reference_outputs(tmp_path / "int8.tflite", inputs, optimized=optimized)
        assert 0 < np.abs(found - expected).max() < 0.05 * np.ptp(expected)


def test_precise_activations_keep_the_weights() -> None:
    graph = lstm()
    data = dataset.random(graph, seed=1, samples=2)
    context = PassContext(data=data, params={"activations": "int16", "io": "float32"})
    quantized = Quantize().apply(graph, context).graph
    recurrent = next(o for o in quantized.operators if o.op == "UNIDIRECTIONAL_SEQUENCE_LSTM")
    assert quantized.tensors[recurrent.inputs[1]].dtype == "float32"


def test_an_lstm_with_peepholes_stays_in_float() -> None:
    graph = lstm(peephole=True)
    assert hybrid(graph) == (graph, 0)
