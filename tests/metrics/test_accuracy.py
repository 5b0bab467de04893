from __future__ import annotations

import numpy as np
import pytest

from edgekit.data import dataset
from edgekit.data.dataset import Dataset
from edgekit.graph import tflite
from edgekit.metrics import accuracy
from edgekit.passes import PassContext
from edgekit.passes.quantize import Quantize
from tests.networks.small import Builder, classifier, dense, digits


@pytest.mark.parametrize("params", [{}, {"io": "float32"}, {"activations": "int16"}])
def test_a_known_network_gets_the_labels_it_computes(params, tmp_path):
    graph = dense(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    x = np.random.default_rng(0).permuted(np.tile(np.arange(4, dtype=np.float32), (40, 1)), axis=1)
    labels = x.argmax(axis=1)
    labels[:10] = (labels[:10] + 1) % 4
    data = Dataset([x[:, None]], labels)
    for network in (graph, Quantize().apply(graph, PassContext(data=data, params=params)).graph):
        found = accuracy.evaluate(network, data)
        assert found is not None and found.value == 0.75 and found.samples == 40 and found.metric == "top1"
    tflite.write(graph, tmp_path / "m.tflite")
    from_file = accuracy.evaluate(tmp_path / "m.tflite", data)
    assert from_file is not None and from_file.value == 0.75


def test_compare_is_what_the_json_says(tmp_path):
    graph = classifier(tmp_path)
    x, y = digits(4000)
    data = Dataset([x[3000:].reshape(-1, 1, 28, 28, 1)], y[3000:])
    quantized = Quantize().apply(graph, PassContext(data=data)).graph
    found = accuracy.compare(graph, quantized, data)
    assert found is not None and {"metric", "samples", "float", "compiled", "flips"} <= set(found)
    assert found["metric"] == "top1" and found["samples"] == 1000 and found["float"] > 0.9
    assert sum(row["samples"] for row in found["classes"]) == 1000 and found["groups"] is None
    assert found["flips"] >= round(abs(found["float"] - found["compiled"]) * 1000)
    same = accuracy.compare(graph, graph, data)
    assert same is not None and same["flips"] == 0 and same["float"] == same["compiled"]


def test_no_labels_and_no_classifier_give_none():
    graph = dense(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    assert accuracy.evaluate(graph, dataset.random(graph)) is None
    regression = dense(np.ones((1, 4), np.float32), np.zeros(1, np.float32))
    assert accuracy.evaluate(regression, Dataset([np.ones((2, 1, 4), np.float32)], np.array([0, 1]))) is None
    b = Builder()
    x = b.tensor((1, 4, 4, 3))
    picture = b.graph((x,), (b.add("RELU", (x,), (1, 4, 4, 3)),))
    assert accuracy.evaluate(picture, Dataset([np.ones((2, 1, 4, 4, 3), np.float32)], np.array([0, 1]))) is None


@pytest.mark.parametrize("io", ["int8", "float32"])
def test_one_logistic_output_is_a_probability(io):
    b = Builder()
    x = b.tensor((1, 1), name="x")
    graph = b.graph((x,), (b.add("LOGISTIC", (x,), (1, 1)),))
    values = np.linspace(-4, 4, 20, dtype=np.float32).reshape(20, 1, 1)
    data = Dataset([values], np.asarray(values[:, 0, 0] > 0, np.int64))
    for network in (graph, Quantize().apply(graph, PassContext(data=data, params={"io": io})).graph):
        found = accuracy.evaluate(network, data)
        assert found is not None and found.value == 1.0
