"""Scaled channels change nothing in float, and make what was uneven even."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.data import dataset
from edgekit.data.dataset import as_network_inputs
from edgekit.graph import Graph, tflite
from edgekit.graph.check import check
from edgekit.passes.equalize import equalize
from edgekit.reference.litert import reference_tensors
from tests.networks.small import Builder

CHANNELS = 4


def conv(b: Builder, x: int, weights: np.ndarray, act: int = 0, op: str = "CONV_2D") -> int:
    bias = b.constant(np.linspace(-0.1, 0.1, weights.shape[3] if op != "CONV_2D" else len(weights)).astype(np.float32))
    return b.add(
        op, (x, b.constant(weights.astype(np.float32)), bias), (1, 6, 6, bias and len(b.tensors[bias].array())),
        options="Conv2D" if op == "CONV_2D" else "DepthwiseConv2D", strideH=1, strideW=1, strideX=1,
        fusedActivationFunction=act, padding=0, **({"depthMultiplier": 1} if op != "CONV_2D" else {}),
    )  # fmt: skip


def bottleneck(loudness: np.ndarray, act: int = 1, seed: int = 0) -> Graph:
    """CONV relu -> DEPTHWISE relu -> CONV -> ADD with the first CONV -> MEAN -> FULLY_CONNECTED.

    The first two layers' channels are uneven by ``loudness`` [8].
    """
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.tensor((1, 6, 6, 3), name="image")
    stem = conv(b, x, rng.normal(size=(CHANNELS, 3, 3, 3)), 1)
    wide = conv(b, stem, np.abs(rng.normal(size=(8, 1, 1, CHANNELS))) * loudness[:, None, None, None], act)
    deep = conv(b, wide, np.abs(rng.normal(size=(1, 3, 3, 8))), act, "DEPTHWISE_CONV_2D")
    back = conv(b, deep, rng.normal(size=(CHANNELS, 1, 1, 8)) / loudness)
    total = b.add("ADD", (stem, back), (1, 6, 6, CHANNELS), options="Add", fusedActivationFunction=0)
    axes = b.constant(np.array([1, 2], np.int32))
    mean = b.add("MEAN", (total, axes), (1, CHANNELS), options="Reducer", keepDims=False)
    head = b.constant(rng.normal(size=(3, CHANNELS)).astype(np.float32))
    y = b.add("FULLY_CONNECTED", (mean, head, -1), (1, 3), options="FullyConnected")
    return b.graph((x,), (y,))


def values(graph: Graph, folder: Path) -> dict[int, np.ndarray]:
    data = dataset.random(graph, samples=6)
    tflite.write(graph, folder / "model.tflite")
    inputs = as_network_inputs(data, graph)
    return reference_tensors(folder / "model.tflite", inputs) | dict(zip(graph.main.inputs, inputs, strict=True))


def magnitudes(found: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    return {i: np.abs(v).reshape(-1, v.shape[-1]).max(axis=0) for i, v in found.items()}


def unevenness(channels: np.ndarray) -> float:
    return float(channels.max() / np.median(channels[channels > 0]))


@settings(deadline=None, max_examples=15)
@given(powers=st.lists(st.integers(-12, 12), min_size=8, max_size=8), seed=st.integers(0, 99))
def test_the_network_computes_the_same_bit_for_bit(tmp_path_factory, powers, seed):
    folder = tmp_path_factory.mktemp("equalize")
    graph = bottleneck(2.0 ** np.array(powers), seed=seed)
    before = tflite.dumps(graph)
    found = values(graph, folder)
    made = equalize(graph, magnitudes(found))
    assert tflite.dumps(graph) == before
    check(made.graph)
    output, after = graph.main.outputs[0], values(made.graph, folder)[made.graph.main.outputs[0]]
    # factors are powers of two: the same mantissas are added in the same order
    np.testing.assert_allclose(after, found[output], rtol=1e-5, atol=1e-6 * np.abs(found[output]).max())


def test_a_loud_channel_is_quieted_on_both_sides_of_a_depthwise_convolution(tmp_path):
    loudness = np.ones(8)
    loudness[5] = 1024
    graph = bottleneck(loudness)
    found = magnitudes(values(graph, tmp_path))
    made = equalize(graph, found)
    assert made.channels and made.largest > 100
    after = magnitudes(values(made.graph, tmp_path))
    for number in (1, 2):
        index = graph.operators[number].outputs[0]
        scaled = made.graph.operators[number].outputs[0]
        assert unevenness(found[index]) > 200
        assert unevenness(after[scaled]) < 4


def test_what_does_not_commute_keeps_its_channels(tmp_path):
    """RELU6 clips at 6 whatever the scale: neither of the layers that end in it may change."""
    loudness = np.ones(8)
    loudness[5] = 1024
    graph = bottleneck(loudness, act=3)
    made = equalize(graph, magnitudes(values(graph, tmp_path)))
    for number in (1, 2):
        before, after = graph.operators[number], made.graph.operators[number]
        for position in (1, 2):
            np.testing.assert_array_equal(
                made.graph.tensors[after.inputs[position]].array(), graph.tensors[before.inputs[position]].array()
            )


def test_even_channels_are_left_alone(tmp_path):
    graph = bottleneck(np.ones(8), seed=3)
    even = {i: np.ones(v.shape[-1]) for i, v in values(graph, tmp_path).items()}
    made = equalize(graph, even)
    assert (made.channels, made.graph) == (0, graph)


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
def test_constants_beside_scaled_channels_follow(op, tmp_path):
    rng = np.random.default_rng(1)
    b = Builder()
    x = b.tensor((1, 6, 6, 3), name="image")
    y = conv(b, x, rng.normal(size=(CHANNELS, 1, 1, 3)) * np.array([1, 1, 1, 512.0])[:, None, None, None], 1)
    other = b.constant(np.array([[[[0.5, 1, -1, 700]]]], np.float32))
    y = b.add(op, (y, other), (1, 6, 6, CHANNELS), options=op.capitalize(), fusedActivationFunction=1)
    y = conv(b, y, rng.normal(size=(2, 1, 1, CHANNELS)) / np.array([1, 1, 1, 512.0]))
    graph = b.graph((x,), (y,))
    found = values(graph, tmp_path)
    made = equalize(graph, magnitudes(found))
    assert made.channels
    after = values(made.graph, tmp_path)[made.graph.main.outputs[0]]
    np.testing.assert_allclose(after, found[graph.main.outputs[0]], rtol=1e-4, atol=1e-5)
