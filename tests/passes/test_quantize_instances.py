"""One operator that cannot be quantized stays in float; others of its kind do not follow it."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.data import dataset
from edgekit.graph import Graph, tflite
from edgekit.passes import PassContext
from edgekit.passes.quantize import Quantize
from tests.networks.small import Builder

rng = np.random.default_rng(4)


def quantized(graph: Graph, data: dataset.Dataset | None = None) -> tuple[Graph, dict[str, Any]]:
    samples = data or dataset.random(graph, seed=0, samples=8)
    context = PassContext(data=samples, params={"weights": "int8", "activations": "int8"})
    passed = Quantize().apply(graph, context)
    return passed.graph, passed.report.json()


def convolutions(dead: int, count: int = 4) -> Graph:
    """CONV_2D in a row; number ``dead`` gives nothing but zeros."""
    b = Builder()
    y = x = b.tensor((1, 8, 8, 4), name="x")
    for number in range(count):
        weights = rng.normal(size=(4, 1, 1, 4)).astype(np.float32)
        bias = np.full(4, -1e4 if number == dead else 0.1, np.float32)
        y = b.add("CONV_2D", (y, b.constant(weights), b.constant(bias)), (1, 8, 8, 4), options="Conv2D",
                  strideH=1, strideW=1, padding=1, fusedActivationFunction=1)  # fmt: skip
    return b.graph((x,), (y,))


def kinds(graph: Graph) -> dict[str, list[str]]:
    """For each kind of operator the dtypes of its results, in order."""
    found: dict[str, list[str]] = {}
    for operator in graph.operators:
        found.setdefault(operator.op, []).append(graph.tensors[operator.outputs[0]].dtype)
    return found


def test_a_dead_layer_alone_stays_in_float() -> None:
    made, report = quantized(convolutions(3))
    assert kinds(made)["CONV_2D"].count("int8") >= 3
    left = report["float_operators"]
    assert len(left) <= 1 and all(row["reason"] == "LiteRT has no integer kernel" for row in left)


def test_a_mask_beyond_every_scale_stays_in_float() -> None:
    """-3.4e38 in a mask: LiteRT would end the process; the softmax without a mask is quantized."""
    b = Builder()
    x = b.tensor((1, 16), name="x")
    mask = b.constant(np.where(np.arange(16) % 3, 0, np.finfo(np.float32).min).astype(np.float32)[None])
    masked = b.add("SOFTMAX", (b.add("ADD", (x, mask), (1, 16), options="Add"),), (1, 16), options="Softmax", beta=1.0)
    plain = b.add("SOFTMAX", (x,), (1, 16), options="Softmax", beta=1.0)
    y = b.add("ADD", (masked, plain), (1, 16), options="Add")
    made, report = quantized(b.graph((x,), (y,)))
    assert sorted(kinds(made)["SOFTMAX"]) == ["float32", "int8"]
    assert sorted(kinds(made)["ADD"]) == ["float32", "int8"]
    reasons = {(row["op"], row["reason"]) for row in report["float_operators"]}
    assert reasons == {
        ("ADD", "its values lie beyond what a scale can be"),
        ("SOFTMAX", "its values lie beyond what a scale can be"),
    }


def test_an_operator_that_the_quantizer_lacks_leaves_its_neighbours_alone() -> None:
    b = Builder()
    x = b.tensor((1, 8, 8, 4), name="x")
    y = x
    for number in range(3):
        weights = b.constant(rng.normal(size=(1, 3, 3, 4)).astype(np.float32))
        y = b.add("DEPTHWISE_CONV_2D", (y, weights, b.constant(np.zeros(4, np.float32))), (1, 8, 8, 4),
                  options="DepthwiseConv2D", strideH=1, strideW=1, depthMultiplier=1, padding=0)  # fmt: skip
        if number == 1:
            y = b.add("LEAKY_RELU", (y,), (1, 8, 8, 4), options="LeakyRelu", alpha=0.2)
    made, report = quantized(b.graph((x,), (y,)))
    assert kinds(made)["DEPTHWISE_CONV_2D"] == ["int8"] * 3
    assert [row["op"] for row in report["float_operators"]] == ["LEAKY_RELU"]
    assert tflite.loads(tflite.dumps(made))
