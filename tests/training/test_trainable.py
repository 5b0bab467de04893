"""A Trainable computes what LiteRT computes, with true gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph import Graph, tflite
from edgekit.passes.float32 import restore
from edgekit.runners.reference import reference_outputs
from edgekit.training.trainable import check
from tests.small_networks import Builder, classifier, digits, unary

pytest.importorskip("tensorflow")
LIMITS = sandbox.Limits(seconds=240, memory_mb=8192)
RNG = np.random.default_rng(7)


def normal(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


def behind_dense(op: str, **options: Any) -> Graph:
    """A dense layer, then one operator: it is passed by the gradient of the weights."""
    b = Builder()
    x = b.tensor((1, 6), name="x")
    y = b.add("FULLY_CONNECTED", (x, b.constant(normal(5, 6)), b.constant(normal(5))), (1, 5), options="FullyConnected")
    extra = (b.constant(normal(1, 5)),) if op in ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "PRELU") else ()
    return b.graph((x,), (b.add(op, (y, *extra), (1, 5), **options),))


def convolution(op: str, out: tuple[int, ...], weights: NDArray[np.float32], **options: Any) -> Graph:
    b = Builder()
    x = b.tensor((1, 7, 9, 4), name="x")
    kind = "Conv2D" if op == "CONV_2D" else "DepthwiseConv2D"
    given = (x, b.constant(weights), b.constant(normal(out[-1])))
    settings = {"dilationHFactor": 1, "dilationWFactor": 1, "strideH": 1, "strideW": 1, **options}
    return b.graph((x,), (b.add(op, given, out, options=kind, **settings),))


def spatial(op: str, out: tuple[int, ...], constant: NDArray[np.int32] | None = None, **options: Any) -> Graph:
    """A 1x1 convolution to [1, 7, 9, 4], then one operator."""
    b = Builder()
    x = b.tensor((1, 7, 9, 4), name="x")
    y = b.add(
        "CONV_2D", (x, b.constant(normal(4, 1, 1, 4)), b.constant(normal(4))), (1, 7, 9, 4),
        options="Conv2D", strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip
    given = (y, y) if op == "CONCATENATION" else (y,) if constant is None else (y, b.constant(constant))
    return b.graph((x,), (b.add(op, given, out, **options),))


POOL = {"options": "Pool2D", "strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 2}
NETWORKS = {
    **{op: behind_dense(op) for op in ("RELU", "RELU6", "ELU", "LOGISTIC", "TANH", "HARD_SWISH", "PRELU")},
    **{op: behind_dense(op, options="MaximumMinimum") for op in ("MAXIMUM", "MINIMUM")},
    **{op: behind_dense(op, options=op.title()) for op in ("ADD", "SUB", "MUL", "DIV")},
    **{f"fused{n}": behind_dense("ADD", options="Add", fusedActivationFunction=n) for n in (1, 2, 3)},
    "SOFTMAX": behind_dense("SOFTMAX", options="Softmax", beta=0.5),
    "LEAKY_RELU": behind_dense("LEAKY_RELU", options="LeakyRelu", alpha=0.2),
    "CONV_2D": convolution("CONV_2D", (1, 4, 5, 3), normal(3, 3, 2, 4), strideH=2, strideW=2),
    "CONV_2D valid": convolution("CONV_2D", (1, 3, 7, 3), normal(3, 3, 2, 4), padding=1, dilationHFactor=2,
                                 dilationWFactor=2),
    "DEPTHWISE_CONV_2D": convolution("DEPTHWISE_CONV_2D", (1, 4, 5, 8), normal(1, 3, 3, 8), strideH=2, strideW=2,
                                     depthMultiplier=2),
    "MAX_POOL_2D": spatial("MAX_POOL_2D", (1, 4, 5, 4), **POOL),
    "AVERAGE_POOL_2D": spatial("AVERAGE_POOL_2D", (1, 4, 5, 4), **POOL),
    "MEAN": spatial("MEAN", (1, 4), np.array([1, 2], np.int32), options="Reducer"),
    "PAD": spatial("PAD", (1, 8, 12, 4), np.array([[0, 0], [1, 0], [1, 2], [0, 0]], np.int32)),
    "RESHAPE": spatial("RESHAPE", (1, 252), np.array([1, 252], np.int32), options="Reshape", newShape=[1, 252]),
    "EXPAND_DIMS": spatial("EXPAND_DIMS", (1, 1, 7, 9, 4), np.array(1, np.int32)),
    "CONCATENATION": spatial("CONCATENATION", (1, 7, 9, 8), options="Concatenation", axis=3),
}  # fmt: skip


def packed(graphs: list[Graph], inputs: list[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    files = {f"g{i}": np.frombuffer(tflite.dumps(g), np.uint8) for i, g in enumerate(graphs)}
    return files | {f"x{i}": x for i, x in enumerate(inputs)}


def samples(graph: Graph, count: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(count, *graph.inputs[0].shape[1:])).astype(np.float32)


def assert_parity(graphs: list[Graph], names: list[str], folder: Path) -> None:
    """A batch of 8 gives what 8 single runs of LiteRT's reference kernels give."""
    inputs = [samples(g, 8) for g in graphs]
    _, found = sandbox.call(
        "tests.training.trainable_child:forward", {"count": len(graphs)}, packed(graphs, inputs), limits=LIMITS
    )
    for i, (graph, x, name) in enumerate(zip(graphs, inputs, names, strict=True)):
        tflite.write(graph, folder / "m.tflite")
        # LiteRT's plain kernels have no ELU.
        expected = reference_outputs(folder / "m.tflite", [x[:, None]], optimized=name == "ELU")[0][:, 0]
        error = np.abs(found[f"y{i}"] - expected).max() / np.abs(expected).max()
        assert error < 1e-5, f"{name}: {error}"


@pytest.mark.tensorflow
def test_every_operator_computes_what_litert_computes(tmp_path: Path) -> None:
    assert_parity(list(NETWORKS.values()), list(NETWORKS), tmp_path)


@pytest.mark.tensorflow
def test_gradients_are_those_of_finite_differences() -> None:
    graphs = list(NETWORKS.values())
    arrays = packed(graphs, [samples(g, 2) for g in graphs])
    answer, _ = sandbox.call("tests.training.trainable_child:gradients", {"count": len(graphs)}, arrays, limits=LIMITS)
    names = list(NETWORKS)
    for i, index, analytic, numeric in answer["found"]:
        assert analytic == pytest.approx(numeric, rel=1e-5, abs=1e-6), (names[i], index)


@pytest.mark.tensorflow
def test_whole_networks_in_batches(models: Path, tmp_path: Path) -> None:
    names = ["ic_resnet8_fp32", "kws_fp32", "ad01_fp32"]
    graphs = [restore(tflite.read(models / "mlperf_tiny" / f"{n}.tflite"))[0] for n in names]  # kws is a hybrid
    assert_parity(graphs, names, tmp_path)


@pytest.mark.tensorflow
def test_it_learns_and_is_written_back(tmp_path: Path) -> None:
    graph = classifier(tmp_path, 500)
    before = tflite.dumps(graph)
    x, labels = digits(64)
    arrays = packed([graph], [x[..., None]]) | {"labels": labels}
    answer, found = sandbox.call(
        "tests.training.trainable_child:learn", {"steps": 12, "rate": 0.002}, arrays, limits=LIMITS
    )
    assert answer["losses"][-1] < 0.9 * answer["losses"][0]
    assert tflite.dumps(graph) == before
    written = tflite.loads(found["graph"].tobytes())
    assert [o.op for o in written.operators] == [o.op for o in graph.operators]
    assert found["graph"].tobytes() != before


def test_what_cannot_be_trained_is_named() -> None:
    with pytest.raises(ModelError, match=r"operator 0 \(TOPK_V2\) cannot be trained: edgekit has no gradient"):
        check(unary("TOPK_V2", (1, 4)))
    with pytest.raises(ModelError, match="no parameters"):
        check(unary("RELU", (1, 4)))
    b = Builder()
    x = b.tensor((1, 6), name="x")
    y = b.add("FULLY_CONNECTED", (x, x), (1, 1), options="FullyConnected")
    with pytest.raises(ModelError, match="its weights are computed from the network's input"):
        check(b.graph((x,), (y,)))
