"""The measurements, against what is known without them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data.dataset import Dataset
from edgekit.diagnosis.local import local_samples, locals_, tensors
from edgekit.diagnosis.measure import Judge, decibels, effect_samples, effects, loss, noise
from edgekit.diagnosis.spread import spreads
from edgekit.diagnosis.versions import Versions
from edgekit.graph import Graph
from edgekit.passes import PassContext
from edgekit.passes.quantize import Settings, measured
from edgekit.progress import Silent
from tests.networks import tabular
from tests.networks.small import Builder, convolutional, dense


def versions(graph: Graph, data: Dataset) -> Versions:
    context = PassContext(data=data)
    return Versions(graph, Settings(), measured(graph, Settings(), context)[0], context)


@given(st.floats(1e-6, 1e3), st.integers(1, 50))
def test_noise_is_relative_power(scale, count):
    x = np.linspace(-1, 1, count + 1) * scale
    assert noise(x, x) == 0
    assert noise(x, 1.1 * x) == pytest.approx(0.01)
    assert decibels(noise(x, 1.1 * x)) == pytest.approx(20)


def test_noise_without_a_signal():
    zero = np.zeros(3)
    assert noise(zero, zero) == 0 and noise(zero, zero + 1) == math.inf
    assert noise(np.ones(3), np.array([1, np.nan, 1])) == math.inf
    assert decibels(0.0) is None and decibels(math.inf) is None and decibels(None) is None


def test_spreads_are_what_numpy_says():
    rng = np.random.default_rng(0)
    weights, bias = rng.normal(size=(3, 5)).astype(np.float32), np.array([1, -1, 0], np.float32)
    x = rng.normal(size=(40, 1, 5)).astype(np.float32)
    graph = dense(weights, bias)
    found = spreads(graph, Dataset([x]), Silent())
    y = x.reshape(40, 5) @ weights.T + bias
    for index, values in ((graph.main.inputs[0], x.reshape(40, 5)), (graph.main.outputs[0], y)):
        spread = found[index]
        np.testing.assert_allclose(spread.low, values.min(axis=0), rtol=1e-5)
        np.testing.assert_allclose(spread.high, values.max(axis=0), rtol=1e-5)
        np.testing.assert_allclose(spread.mean, np.abs(values).mean(axis=0), rtol=1e-4)
        assert spread.tail == pytest.approx(float(np.median(np.abs(values).max(axis=1))), rel=1e-4)
        assert spread.span == pytest.approx(float(max(values.max(), 0) - min(values.min(), 0)), rel=1e-5)


def test_spreads_of_what_a_resource_variable_holds_are_those_of_samples_alone():
    graph, values = tabular.adding_up(), np.array([1, 4, 2], np.float32)[:, None, None] * np.ones((1, 5), np.float32)
    summed = next(o for o in graph.main.operators if o.op == "ADD").outputs[0]
    for x in (values, values[::-1]):
        found = spreads(graph, Dataset([x]), Silent())[summed]
        assert found.low.tolist() == [1] * 5 and found.high.tolist() == [4] * 5 and found.tail == 2
        np.testing.assert_allclose(found.mean, 7 / 3, rtol=1e-6)


def test_parts_of_a_dense_layers_noise_are_those_of_the_formula():
    """Rounding to a step s is noise of power s^2 / 12; weights and inputs pass through the other factor."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, size=(64, 256)).astype(np.float32)
    x = rng.uniform(-1, 1, size=(64, 1, 256)).astype(np.float32)
    graph, data = dense(weights, np.zeros(64, np.float32)), Dataset([x])
    v = versions(graph, data)
    exact = tensors(graph, data)
    (local,) = locals_(v, "int8", exact, data)
    y = x.reshape(64, 256) @ weights.T
    power = float((y**2).mean())
    step_x, step_w = 2 / 255, 1 / 127
    step_y = float(y.max() - y.min()) / 255
    assert local.inputs == pytest.approx(step_x**2 / 12 * 256 / 3 / power, rel=0.1)
    assert local.weights == pytest.approx(step_w**2 / 12 * 256 / 3 / power, rel=0.1)
    assert local.output == pytest.approx(step_y**2 / 12 / power, rel=0.1)
    assert local.alone == pytest.approx(local.inputs + local.weights + local.output, rel=0.1)
    assert local.network == pytest.approx(local.alone, rel=1e-6)
    assert local.kernel is not None and local.kernel < 0.01


def test_the_effect_of_the_only_operator_is_that_of_the_network():
    rng = np.random.default_rng(1)
    graph = dense(rng.normal(size=(4, 8)).astype(np.float32), rng.normal(size=4).astype(np.float32))
    data = Dataset([rng.normal(size=(30, 1, 8)).astype(np.float32)])
    v, judge = versions(graph, data), Judge(graph, data)
    alone = effects(v, judge, "int8", [0])[0]
    assert alone == judge(v.mix(["int8"]).graph)
    assert 0 < alone.noise < 0.01
    assert loss(alone, judge.float) == pytest.approx(100 * alone.noise)  # no softmax, no labels: the noise counts


def test_what_cannot_be_quantized_has_no_effect():
    b = Builder()
    x = b.tensor((1, 4), name="x")
    graph = b.graph((x,), (b.add("EXP", (b.add("RELU", (x,), (1, 4)),), (1, 4), options="Exp"),))
    data = Dataset([np.random.default_rng(0).normal(size=(10, 1, 4)).astype(np.float32)])
    found = effects(versions(graph, data), Judge(graph, data), "int8", [0, 1])
    assert list(found) == [0]


def test_work_bounds_the_samples():
    graph = convolutional()
    assert effect_samples(graph, 5) == 256 and local_samples(graph) == 32
    assert effect_samples(graph, 10**9) == 8
