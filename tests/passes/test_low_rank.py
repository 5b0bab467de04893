"""Low rank: exact where nothing is lost, best where something is, and cheaper in every case."""

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
from edgekit.passes.decompose import patches
from edgekit.passes.low_rank import LowRank
from edgekit.reference.litert import reference_outputs
from tests.networks.small import Builder, dense, digits


def apply(graph: Graph, data: dataset.Dataset | None = None, **params: Any) -> tuple[Graph, dict[str, Any]]:
    context = PassContext(data=data, params=params)
    passed = LowRank().apply(graph, context)
    made = passed.graph
    check(made)
    return made, passed.report.json()


def outputs(graph: Graph, folder: Path, samples: int = 4) -> np.ndarray:
    tflite.write(graph, folder / "m.tflite")
    inputs = dataset.as_network_inputs(dataset.random(graph, seed=5, samples=samples), graph)
    return reference_outputs(folder / "m.tflite", inputs)[0]


def matrix(rank: int, out: int, into: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(out, rank)) @ rng.normal(size=(rank, into))).astype(np.float32)


def convolution(weights: np.ndarray, size: int, stride: int = 1, dilation: int = 1, padding: int = 0) -> Graph:
    """``[1, size, size, in]`` -> CONV_2D, relu; padding 0 is SAME."""
    out, kh, _, into = weights.shape
    b = Builder()
    x = b.tensor((1, size, size, into), name="x")
    reach = (kh - 1) * dilation + 1
    side = -(-size // stride) if padding == 0 else -(-(size - reach + 1) // stride)
    bias = b.constant(np.linspace(-1, 1, out).astype(np.float32))
    options = {"strideH": stride, "strideW": stride, "dilationHFactor": dilation, "dilationWFactor": dilation}
    y = b.add(
        "CONV_2D", (x, b.constant(weights), bias), (1, side, side, out),
        options="Conv2D", padding=padding, fusedActivationFunction=1, **options,
    )  # fmt: skip
    return b.graph((x,), (y,))


def test_a_matrix_of_low_rank_is_found_exactly(tmp_path: Path) -> None:
    graph = dense(matrix(5, 64, 96), np.arange(64, dtype=np.float32), relu=True)
    made, report = apply(graph, energy=1.0)
    assert [layer["ranks"] for layer in report["layers"]] == [[5]]
    assert [o.op for o in made.operators] == ["FULLY_CONNECTED"] * 2
    assert stats.statistics(made).macs == 5 * (64 + 96)
    np.testing.assert_allclose(outputs(made, tmp_path), outputs(graph, tmp_path), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "stride", "dilation", "padding", "kernel"),
    [(8, 1, 1, 0, 3), (9, 2, 1, 0, 3), (9, 2, 1, 1, 3), (10, 1, 2, 0, 3), (8, 2, 1, 0, 1), (8, 1, 1, 0, 1)],
)
def test_convolutions_keep_stride_dilation_and_padding(
    tmp_path: Path, size: int, stride: int, dilation: int, padding: int, kernel: int
) -> None:
    rng = np.random.default_rng(1)
    core = rng.normal(size=(3, kernel, kernel, 2))
    weights = np.einsum("or,ryxs,is->oyxi", rng.normal(size=(24, 3)), core, rng.normal(size=(16, 2))).astype(np.float32)
    graph = convolution(weights, size, stride, dilation, padding)
    made, report = apply(graph, energy=1.0)
    assert len(made.operators) == (3 if kernel > 1 else 2)
    assert report["weights_after"] < report["weights_before"]
    assert stats.statistics(made).macs < stats.statistics(graph).macs
    np.testing.assert_allclose(outputs(made, tmp_path), outputs(graph, tmp_path), rtol=1e-3, atol=1e-3)


def test_full_rank_stays_as_it_is() -> None:
    graph = dense(np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32), np.zeros(32, np.float32))
    made, report = apply(graph, energy=1.0)
    assert report["layers"] == []
    assert tflite.dumps(made) == tflite.dumps(graph)


@pytest.mark.parametrize("budget", [0.2, 0.5, 0.8])
def test_the_budget_is_kept(budget: float) -> None:
    rng = np.random.default_rng(0)
    graph = dense(rng.normal(size=(100, 200)).astype(np.float32), np.zeros(100, np.float32))
    _, report = apply(graph, parameters=budget)
    assert budget - 0.02 <= report["weights_after"] / report["weights_before"] <= budget


def test_samples_make_the_error_smaller_where_it_counts(tmp_path: Path) -> None:
    """Inputs that live in few directions: weighed by them, the same rank loses far less."""
    rng = np.random.default_rng(0)
    graph = dense(rng.normal(size=(40, 60)).astype(np.float32), np.zeros(40, np.float32))
    x = (rng.normal(size=(200, 8)) @ rng.normal(size=(8, 60))).astype(np.float32)
    samples = dataset.Dataset([x[:, None, :]], None, source="test")
    tflite.write(graph, tmp_path / "m.tflite")
    wanted = reference_outputs(tmp_path / "m.tflite", [x[:, None, :]])[0]

    def error(data: dataset.Dataset | None) -> float:
        made, _ = apply(graph, data, parameters=0.4)
        tflite.write(made, tmp_path / "low.tflite")
        found = reference_outputs(tmp_path / "low.tflite", [x[:, None, :]])[0]
        return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))

    assert error(samples) < 0.1 * error(None)


def random_hidden_layer(training: int = 3000, hidden: int = 256) -> Graph:
    """Digits -> 256 fixed random features (full rank), relu -> a read-out fitted by ridge regression."""
    rng = np.random.default_rng(0)
    x, y = digits(training)
    first = (rng.normal(size=(hidden, 784)) / 28).astype(np.float32)
    offset = rng.normal(size=hidden).astype(np.float32) / 10
    features = np.maximum(x.reshape(training, -1) @ first.T + offset, 0).astype(np.float64)
    gram = features.T @ features + np.eye(hidden)
    last = np.linalg.solve(gram, features.T @ (8 * np.eye(10)[y] - 4)).T.astype(np.float32)
    b = Builder()
    image = b.tensor((1, 784), name="image")
    middle = b.add(
        "FULLY_CONNECTED", (image, b.constant(first), b.constant(offset)), (1, hidden),
        options="FullyConnected", fusedActivationFunction=1,
    )  # fmt: skip
    scores = b.add(
        "FULLY_CONNECTED", (middle, b.constant(last), b.constant(np.zeros(10, np.float32))), (1, 10),
        options="FullyConnected",
    )  # fmt: skip
    return b.graph((image,), (scores,))


def test_half_the_dense_weights_keep_the_digits() -> None:
    """Half of the weights of a layer of full rank go, and at most two points of accuracy."""
    graph = random_hidden_layer()
    x, y = digits(3000, seed=11)
    samples = dataset.Dataset([x.reshape(-1, 1, 784)], y, source="digits")
    made, report = apply(graph, samples.subset(300), parameters=0.5)
    assert report["weights_after"] <= 0.5 * report["weights_before"]
    blind, _ = apply(graph, parameters=0.5)
    before, after, without = (accuracy.evaluate(g, samples) for g in (graph, made, blind))
    assert before is not None and after is not None and without is not None
    assert before.value > 0.85
    assert after.value > before.value - 0.02
    assert without.value < after.value  # the samples are what saves it


def test_deterministic_and_the_input_untouched(tmp_path: Path) -> None:
    graph = dense(matrix(5, 64, 96), np.zeros(64, np.float32))
    before = tflite.dumps(graph)
    assert tflite.dumps(apply(graph)[0]) == tflite.dumps(apply(graph)[0])
    assert tflite.dumps(graph) == before


@pytest.mark.parametrize(
    "params",
    [{"energy": 0}, {"parameters": 1.5}, {"energy": 0.5, "parameters": 0.5}, {"rank": 3}, {"layers": ["lstm"]}],
)
def test_wrong_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        apply(dense(np.ones((4, 4), np.float32), np.zeros(4, np.float32)), **params)


def test_quantized_networks_are_refused(models: Path) -> None:
    with pytest.raises(ModelError, match="already quantized"):
        apply(tflite.read(models / "mlperf_tiny" / "kws_int8.tflite"))


def test_a_trained_network(models: Path, tmp_path: Path) -> None:
    """MLPerf Tiny's autoencoder: fewer MACs, outputs still alike."""
    graph = tflite.read(models / "mlperf_tiny" / "ad01_fp32.tflite")
    made, report = apply(graph, energy=0.99)
    assert report["layers"]
    assert stats.statistics(made).macs < 0.9 * stats.statistics(graph).macs
    a, b = outputs(graph, tmp_path).ravel(), outputs(made, tmp_path).ravel()
    assert float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) > 0.999


GEOMETRIES = [(1, 1, 0), (2, 1, 0), (2, 1, 1), (1, 2, 0), (1, 2, 1), (3, 1, 0)]


@pytest.mark.parametrize(("stride", "dilation", "padding"), GEOMETRIES)
@pytest.mark.parametrize("size", [9, 10])
def test_patches_are_what_a_convolution_sees(
    tmp_path: Path, stride: int, dilation: int, padding: int, size: int
) -> None:
    weights = np.random.default_rng(0).normal(size=(24, 3, 3, 6)).astype(np.float32)
    graph = convolution(weights, size, stride, dilation, padding)
    x = np.random.default_rng(1).normal(size=(2, 1, size, size, 6)).astype(np.float32)
    tflite.write(graph, tmp_path / "m.tflite")
    wanted = reference_outputs(tmp_path / "m.tflite", [x])[0].reshape(-1, 24)
    rows = patches(x, weights, graph.operators[0].options)
    found = np.maximum(rows @ weights.reshape(24, -1).T + np.linspace(-1, 1, 24), 0)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_convolutions_weighed_by_samples(tmp_path: Path, stride: int, dilation: int) -> None:
    """Pictures that live in few directions, on a pedestal: a convolution of full rank loses nothing at low rank."""
    rng = np.random.default_rng(0)
    graph = convolution(rng.normal(size=(24, 3, 3, 6)).astype(np.float32), 9, stride, dilation, padding=1)
    colours = 3 + rng.normal(size=(40, 2)) @ rng.normal(size=(2, 6))
    x = np.broadcast_to(colours[:, None, None, None, :], (40, 1, 9, 9, 6)).astype(np.float32)
    made, report = apply(graph, dataset.Dataset([x], None, source="test"), energy=0.99)
    assert [layer["ranks"] for layer in report["layers"]] == [[2]]
    found = []
    for each in (graph, made):
        tflite.write(each, tmp_path / "m.tflite")
        found.append(reference_outputs(tmp_path / "m.tflite", [x])[0])
    assert float(np.linalg.norm(found[1] - found[0]) / np.linalg.norm(found[0])) < 0.01
