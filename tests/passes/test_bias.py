"""Biases beyond 32 bits: the quantizer alone saturates them."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.data.dataset import Dataset
from edgekit.metrics import quality
from edgekit.passes import PassContext
from edgekit.passes.quantize import Quantize
from tests.networks.small import dense


def network():
    """Ordinary channels, and some with tiny weights beside a bias of ordinary size."""
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(16, 32)).astype(np.float32)
    weights[::4] *= 1e-9
    return dense(weights, rng.normal(size=16).astype(np.float32))


@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_channels_with_tiny_weights_keep_their_bias(activations, weights):
    graph = network()
    data = Dataset([np.random.default_rng(0).normal(size=(64, 1, 32)).astype(np.float32)])
    context = PassContext(data=data, params={"activations": activations, "weights": weights})
    passed = Quantize().apply(graph, context)
    quantized = passed.graph
    assert passed.report.json()["repaired_biases"] == 1
    bias = next(t for t in quantized.constants() if t.dtype == ("int32" if activations == "int8" else "int64"))
    source = next(t for t in graph.constants() if t.shape == (16,))
    assert bias.quantization is not None
    error = np.abs(bias.quantization.dequantize(bias.array()) - source.array())
    assert (error <= 0.501 * bias.quantization.scale + 1e-6).all(), "more than half a step off"
    weight = next(t for t in quantized.constants() if t.shape == (16, 32))
    assert weight.quantization is not None and quantized.inputs[0].quantization is not None
    np.testing.assert_allclose(
        bias.quantization.scale, quantized.inputs[0].quantization.scale * weight.quantization.scale, rtol=1e-6
    )
    sqnr = quality.measure(graph, quantized, data).outputs[0].sqnr_db
    assert sqnr is not None and sqnr > (30 if weights == "int8" else 15)


def test_ordinary_biases_are_left_alone():
    graph = dense(np.eye(4, dtype=np.float32), np.ones(4, np.float32))
    context = PassContext(data=Dataset([np.ones((2, 1, 4), np.float32)]))
    assert Quantize().apply(graph, context).report.json()["repaired_biases"] == 0
