"""Sparsity: the pattern asked for, the least lost, sizes told honestly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data import dataset
from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, tflite
from edgekit.graph.check import check
from edgekit.metrics import accuracy
from edgekit.passes import PassContext
from edgekit.passes.sparsify import Sparsify
from edgekit.reference.litert import reference_outputs
from tests.installed import needed
from tests.networks.small import classifier, convolutional, dense, digits

RNG = np.random.default_rng(0)


def apply(graph: Graph, data: dataset.Dataset | None = None, **params: Any) -> tuple[Graph, dict[str, Any]]:
    context = PassContext(data=data, params=params)
    passed = Sparsify().apply(graph, context)
    made = passed.graph
    check(made)
    return made, passed.report.json()


def weights(graph: Graph, operator: int = 0) -> np.ndarray:
    return graph.tensors[graph.operators[operator].inputs[1]].array()


@given(out=st.integers(1, 9), into=st.integers(2, 40), sparsity=st.floats(0.05, 0.95))
def test_every_row_loses_its_share(out: int, into: int, sparsity: float) -> None:
    w = 1 + RNG.random((out, into), np.float32)
    made, _ = apply(dense(w, np.zeros(out, np.float32)), sparsity=sparsity)
    kept = np.sum(weights(made) != 0, axis=1)
    np.testing.assert_array_equal(kept, max(1, into - round(sparsity * into)))


def test_the_largest_stay() -> None:
    w = RNG.normal(size=(6, 20)).astype(np.float32)
    made, _ = apply(dense(w, np.zeros(6, np.float32)), sparsity=0.5)
    found = weights(made)
    for before, after in zip(w, found, strict=True):
        assert np.min(np.abs(before[after != 0])) >= np.max(np.abs(before[after == 0]))
    np.testing.assert_array_equal(found[found != 0], w[found != 0])


def test_threshold() -> None:
    w = np.array([[0.1, -0.6, 0.49, 2.0]], np.float32)
    made, _ = apply(dense(w, np.zeros(1, np.float32)), threshold=0.5)
    np.testing.assert_array_equal(weights(made), np.array([[0, -0.6, 0, 2.0]], np.float32))


def test_two_of_four() -> None:
    """Of each four neighbours two stay; a tail of fewer than four stays whole."""
    made, _ = apply(dense(RNG.normal(size=(5, 22)).astype(np.float32), np.zeros(5, np.float32)), pattern="2:4")
    found = weights(made) != 0
    np.testing.assert_array_equal(found[:, :20].reshape(5, 5, 4).sum(axis=2), 2)
    assert found[:, 20:].all()


def test_blocks_share_a_pattern() -> None:
    w = RNG.normal(size=(10, 30)).astype(np.float32)
    made, _ = apply(dense(w, np.zeros(10, np.float32)), pattern="block", sparsity=0.5)
    found = weights(made) != 0
    for start in (0, 4):
        assert (found[start : start + 4] == found[start]).all()
        assert found[start].sum() == 15
    assert found[8:].all()


def test_refitting_follows_the_inputs(tmp_path: Path) -> None:
    """Inputs that live in few directions: with samples half of the weights carry nearly all, on unseen inputs too."""
    graph = dense(RNG.normal(size=(20, 60)).astype(np.float32), np.zeros(20, np.float32))
    basis = RNG.normal(size=(12, 60))

    def inputs(count: int) -> np.ndarray:
        return (2 + RNG.normal(size=(count, 12)) @ basis).astype(np.float32)[:, None]

    x, fresh = inputs(300), inputs(50)

    def outputs(which: Graph) -> np.ndarray:
        tflite.write(which, tmp_path / "m.tflite")
        return reference_outputs(tmp_path / "m.tflite", [fresh])[0]

    wanted = outputs(graph)

    def error(data: dataset.Dataset | None, **params: Any) -> float:
        return float(np.linalg.norm(outputs(apply(graph, data, **params)[0]) - wanted) / np.linalg.norm(wanted))

    samples = dataset.Dataset([x], None, source="test")
    assert error(samples, sparsity=0.5) < 0.1 * error(None, sparsity=0.5)
    assert error(samples, sparsity=0.5) < error(samples, sparsity=0.5, refit=False)


def test_sizes_are_honest() -> None:
    graph = convolutional(RNG.normal(size=(10, 577)).astype(np.float32))
    made, report = apply(graph, sparsity=0.8)
    assert report["dense_bytes"] >= sum(t.data.size for t in graph.constants() if t.data is not None)
    assert report["packed_bytes"] < 0.5 * report["packed_bytes_before"]
    assert len(tflite.dumps(made)) > 0.95 * len(tflite.dumps(graph))
    assert [round(row["sparsity"], 1) for row in report["layers"]] == [0.8, 0.8]


@pytest.mark.parametrize("name", ["ic_resnet8_fp32", "kws_fp32"])
def test_trained_networks_still_answer_alike(models: Path, tmp_path: Path, name: str) -> None:
    graph = tflite.read(models / "mlperf_tiny" / f"{name}.tflite")
    data = dataset.random(graph, seed=1, samples=60)
    made, _ = apply(graph, data, sparsity=0.3)
    x = dataset.as_network_inputs(dataset.random(graph, seed=2, samples=8), graph)
    found = []
    for each in (graph, made):
        tflite.write(each, tmp_path / "m.tflite")
        found.append(reference_outputs(tmp_path / "m.tflite", x)[0].ravel())
    assert float(found[0] @ found[1] / np.linalg.norm(found[0]) / np.linalg.norm(found[1])) > 0.95


@pytest.mark.parametrize(
    "params",
    [
        {"sparsity": 0}, {"sparsity": 1.0}, {"sparsity": True}, {"threshold": -1}, {"pattern": "3:7"}, {"ratio": 1},
        {"sparsity": 0.5, "threshold": 0.1}, {"pattern": "2:4", "sparsity": 0.5}, {"refit": "yes"},
        {"pattern": "block", "threshold": 0.1},
    ],
)  # fmt: skip
def test_wrong_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        apply(dense(np.ones((4, 4), np.float32), np.zeros(4, np.float32)), **params)


def test_quantized_networks_are_refused(models: Path) -> None:
    with pytest.raises(ModelError, match="already quantized"):
        apply(tflite.read(models / "mlperf_tiny" / "kws_int8.tflite"))


@pytest.mark.slow
@pytest.mark.tensorflow
def test_trained_zeros_cost_less(tmp_path: Path) -> None:
    needed("tensorflow", "train")
    graph = classifier(tmp_path)
    x, y = digits(1500, 21)
    data = dataset.Dataset([x.reshape(-1, 1, 28, 28, 1)], y, source="digits")
    tests = dataset.Dataset([(t := digits(1000, 22))[0].reshape(-1, 1, 28, 28, 1)], t[1], source="digits")
    once = Sparsify().apply(graph, PassContext(params={"sparsity": 0.9})).graph
    context = PassContext(data=data, params={"sparsity": 0.9, "epochs": 4, "learning_rate": 1e-3}, source=graph)
    passed = Sparsify().apply(graph, context)
    trained = passed.graph
    before, after = accuracy.evaluate(once, tests), accuracy.evaluate(trained, tests)
    assert before is not None
    assert after is not None
    assert after.value > before.value + 0.05
    assert all(layer["sparsity"] == pytest.approx(0.9, abs=0.05) for layer in passed.report.json()["layers"])
    with pytest.raises(UsageError, match="cannot be combined with epochs"):
        Sparsify().apply(graph, PassContext(data=data, params={"threshold": 0.1, "epochs": 1}))
