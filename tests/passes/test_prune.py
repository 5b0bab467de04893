"""Structured pruning: dependencies are followed, dead and redundant channels cost nothing, MACs fall as asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data import dataset
from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, stats, tflite
from edgekit.graph.check import check
from edgekit.metrics import accuracy
from edgekit.passes import PassContext
from edgekit.passes.channels import analyze
from edgekit.passes.prune import Prune
from edgekit.reference.litert import reference_outputs
from tests.networks.small import Builder, dense, digits

RNG = np.random.default_rng(0)


def apply(graph: Graph, data: dataset.Dataset | None = None, **params: Any) -> tuple[Graph, dict[str, Any]]:
    context = PassContext(data=data, params=params)
    passed = Prune().apply(graph, context)
    made = passed.graph
    check(made)
    return made, passed.report.json()


def run(graph: Graph, x: np.ndarray, folder: Path) -> np.ndarray:
    tflite.write(graph, folder / "m.tflite")
    return reference_outputs(folder / "m.tflite", [x])[0]


def conv(b: Builder, x: int, weights: np.ndarray, size: int) -> int:
    kernel, bias = b.constant(weights.astype(np.float32)), b.constant(RNG.normal(size=len(weights)).astype(np.float32))
    return b.add(
        "CONV_2D", (x, kernel, bias), (1, size, size, len(weights)),
        options="Conv2D", strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=1,
    )  # fmt: skip


def everything(dead: tuple[int, ...] = ()) -> Graph:
    """Residual addition, concatenation, depthwise convolution, a constant factor, pooling, flattening, dense.

    :param dead: channels of the residual trunk that are made zero everywhere.
    """
    b = Builder()
    x = b.tensor((1, 6, 6, 3), name="x")
    first = RNG.normal(size=(8, 3, 3, 3))
    second = RNG.normal(size=(8, 3, 3, 8)) / 8
    trunk = conv(b, x, first, 6)
    branch = conv(b, trunk, second, 6)
    for index in (trunk, branch):
        for constant in b.operators[-1 if index == branch else -2].inputs[1:]:
            values = b.tensors[constant].array().copy()
            values[list(dead)] = 0
            b.tensors[constant].data = values.reshape(-1).view(np.uint8)
    y = b.add("ADD", (trunk, branch), (1, 6, 6, 8), options="Add")
    deep = b.constant(RNG.normal(size=(1, 3, 3, 8)).astype(np.float32))
    zero = b.constant(np.zeros(8, np.float32))
    z = b.add(
        "DEPTHWISE_CONV_2D", (y, deep, zero), (1, 6, 6, 8), options="DepthwiseConv2D",
        strideH=1, strideW=1, depthMultiplier=1, dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip
    z = b.add("MUL", (z, b.constant(RNG.normal(size=(1, 1, 1, 8)).astype(np.float32))), (1, 6, 6, 8), options="Mul")
    both = b.add("CONCATENATION", (y, z), (1, 6, 6, 16), options="Concatenation", axis=-1)
    pooled = b.add(
        "MAX_POOL_2D", (both,), (1, 3, 3, 16),
        options="Pool2D", strideH=2, strideW=2, filterHeight=2, filterWidth=2, padding=1,
    )  # fmt: skip
    flat = b.add(
        "RESHAPE", (pooled, b.constant(np.array([1, 144], np.int32))), (1, 144), options="Reshape", newShape=[1, 144]
    )
    head = b.constant((RNG.normal(size=(5, 144)) / 12).astype(np.float32))
    out = b.add("FULLY_CONNECTED", (flat, head, b.constant(np.zeros(5, np.float32))), (1, 5), options="FullyConnected")
    return b.graph((x,), (out,))


def pictures(count: int = 60) -> np.ndarray:
    return RNG.normal(size=(count, 1, 6, 6, 3)).astype(np.float32)


def test_channels_that_are_added_or_strung_together_are_one_group() -> None:
    graph = everything()
    found = analyze(graph)
    trunk, branch = graph.operators[0].outputs[0], graph.operators[1].outputs[0]
    np.testing.assert_array_equal(found.groups(trunk), found.groups(branch))
    flat = graph.operators[-2].outputs[0]
    np.testing.assert_array_equal(found.groups(flat), np.tile(np.tile(found.groups(trunk), 2), 9))
    assert found.removable() == set(found.groups(trunk).tolist())


@pytest.mark.parametrize("with_data", [False, True])
def test_dead_channels_go_and_nothing_changes(tmp_path: Path, with_data: bool) -> None:
    graph = everything(dead=(1, 4, 6))
    x = pictures()
    data = dataset.Dataset([x], None, source="test") if with_data else None
    found = stats.statistics(graph)
    made, report = apply(graph, data, macs=0.75)
    assert report["layers"][0]["channels_after"] >= 5
    assert stats.statistics(made).macs < found.macs
    if report["layers"][0]["channels_after"] == 5:
        np.testing.assert_allclose(run(made, x, tmp_path), run(graph, x, tmp_path), rtol=1e-3, atol=1e-3)


def test_redundant_channels_are_made_up_for(tmp_path: Path) -> None:
    """Twice the same channel: with samples one goes and the layer behind it does not notice."""
    b = Builder()
    x = b.tensor((1, 6, 6, 3), name="x")
    once = RNG.normal(size=(4, 1, 1, 3))
    y = conv(b, x, np.concatenate([once, once]), 6)
    bias = b.tensors[b.operators[0].inputs[2]]
    half = bias.array()[:4]
    bias.data = np.concatenate([half, half]).view(np.uint8)
    z = conv(b, y, RNG.normal(size=(5, 3, 3, 8)), 6)
    graph = b.graph((x,), (z,))
    samples = pictures()
    made, report = apply(graph, dataset.Dataset([samples], None, source="test"), macs=0.88)
    assert report["layers"][0]["channels_after"] == 7
    fresh = pictures(10)
    found, wanted = run(made, fresh, tmp_path), run(graph, fresh, tmp_path)
    blind, _ = apply(graph, macs=0.88)
    error = float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    assert error < 0.05
    assert error < 0.3 * float(np.linalg.norm(run(blind, fresh, tmp_path) - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("name", ["ic_resnet8_fp32", "kws_fp32", "ad01_fp32"])
def test_macs_fall_for_real(models: Path, tmp_path: Path, name: str, share: float) -> None:
    """Residual additions, depthwise convolutions, a bottleneck: the network runs, and costs what was asked."""
    graph = tflite.read(models / "mlperf_tiny" / f"{name}.tflite")
    made, report = apply(graph, macs=share)
    found = stats.statistics(made)
    assert found.macs == report["macs_after"]
    assert share - 0.1 < found.macs / stats.statistics(graph).macs <= share
    assert [t.shape for t in made.outputs] == [t.shape for t in graph.outputs]
    x = dataset.as_network_inputs(dataset.random(made, seed=0, samples=2), made)[0]
    assert np.isfinite(run(made, x, tmp_path)).all()


def test_half_the_macs_keep_the_digits() -> None:
    """Two hidden layers on real digits: half of the arithmetic goes, at most two points of accuracy go with it."""
    x, y = digits(4000, seed=3)
    flat = x.reshape(len(x), -1)
    b = Builder()
    image = b.tensor((1, 784), name="image")
    first = (RNG.normal(size=(192, 784)) / 28).astype(np.float32)
    hidden = np.maximum(flat @ first.T, 0).astype(np.float64)
    last = np.linalg.solve(hidden.T @ hidden + np.eye(192), hidden.T @ (8 * np.eye(10)[y] - 4)).T.astype(np.float32)
    middle = b.add(
        "FULLY_CONNECTED", (image, b.constant(first), b.constant(np.zeros(192, np.float32))), (1, 192),
        options="FullyConnected", fusedActivationFunction=1,
    )  # fmt: skip
    scores = b.add(
        "FULLY_CONNECTED", (middle, b.constant(last), b.constant(np.zeros(10, np.float32))), (1, 10),
        options="FullyConnected",
    )  # fmt: skip
    graph = b.graph((image,), (scores,))
    unseen, labels = digits(2000, seed=4)
    tests = dataset.Dataset([unseen.reshape(-1, 1, 784)], labels, source="digits")
    made, _ = apply(graph, dataset.Dataset([x[:300].reshape(-1, 1, 784)], None, source="digits"), macs=0.5)
    blind, _ = apply(graph, macs=0.5)
    before, after, without = (accuracy.evaluate(g, tests) for g in (graph, made, blind))
    assert before is not None and after is not None and without is not None
    assert before.value > 0.8
    assert after.value > before.value - 0.08
    assert after.value > without.value + 0.05  # the samples are what saves it


def test_deterministic_and_the_input_untouched() -> None:
    graph = everything()
    before = tflite.dumps(graph)
    assert tflite.dumps(apply(graph)[0]) == tflite.dumps(apply(graph)[0])
    assert tflite.dumps(graph) == before


def test_what_is_not_understood_stays() -> None:
    b = Builder()
    x = b.tensor((1, 6, 6, 3), name="x")
    y = conv(b, x, RNG.normal(size=(8, 3, 3, 3)), 6)
    out = b.add("TRANSPOSE", (y, b.constant(np.array([0, 3, 1, 2], np.int32))), (1, 8, 6, 6), options="Transpose")
    with pytest.raises(ModelError, match="no channel"):
        apply(b.graph((x,), (out,)))


def test_one_layer_has_nothing_to_give() -> None:
    with pytest.raises(ModelError, match="no channel"):
        apply(dense(np.ones((4, 4), np.float32), np.zeros(4, np.float32)))


@pytest.mark.parametrize("params", [{"macs": 0}, {"macs": 1}, {"macs": True}, {"share": 0.5}])
def test_wrong_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        apply(everything(), **params)


def test_quantized_networks_are_refused(models: Path) -> None:
    with pytest.raises(ModelError, match="already quantized"):
        apply(tflite.read(models / "mlperf_tiny" / "kws_int8.tflite"))
