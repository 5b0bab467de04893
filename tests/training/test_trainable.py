"""A Trainable takes whole networks in batches, learns, and says what it cannot take."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.graph import Graph, tflite
from edgekit.graph.floats import restore
from edgekit.training.trainable import check, parameters
from tests.installed import needed
from tests.networks.small import Builder, classifier, digits, unary
from tests.training.judging import assert_litert_agrees, run, samples
from tests.training.networks import NETWORKS, beside, dense, lookup, normal, several

needed("tensorflow", "train")


@pytest.mark.tensorflow
def test_whole_networks_in_batches(models: Path, tmp_path: Path) -> None:
    names = ["ic_resnet8_fp32", "kws_fp32", "ad01_fp32"]
    graphs = [restore(tflite.read(models / "mlperf_tiny" / f"{n}.tflite"))[0] for n in names]  # kws is a hybrid
    inputs = [samples(graph, 8) for graph in graphs]
    _, found = run("forward", graphs, inputs)
    assert_litert_agrees(graphs, names, inputs, found, tmp_path)


@pytest.mark.tensorflow
def test_it_learns_and_is_written_back(tmp_path: Path) -> None:
    graph = classifier(tmp_path, 500)
    before = tflite.dumps(graph)
    x, labels = digits(64)
    answer, found = run("learn", [graph], [[x]], labels=labels, steps=12, rate=0.002)
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
    with pytest.raises(ModelError, match="no float32 output"):
        b = Builder()
        x = b.tensor((1, 4), name="x")
        check(b.graph((x,), (b.add("CAST", (dense(b, x, (1, 4)),), (1, 4), "int32", options="Cast"),)))


def test_computed_weights_and_axes_are_named() -> None:
    b = Builder()
    x = b.tensor((1, 6), name="x")
    y = b.add("FULLY_CONNECTED", (x, x), (1, 1), options="FullyConnected")
    with pytest.raises(ModelError, match="its weights are computed from the network's input"):
        check(b.graph((x,), (y,)))
    b = Builder()
    x, axis = b.tensor((1, 6), name="x"), b.tensor((1,), "int32", name="axis")
    y = b.add("SUM", (dense(b, x, (1, 6)), axis), (1,), options="Reducer")
    with pytest.raises(ModelError, match=r"operator 1 \(SUM\).*computed, not constant"):
        check(b.graph((x, axis), (y,)))


def shapes(graph: Graph) -> list[tuple[int, ...]]:
    return [graph.tensors[i].shape for i in parameters(graph)]


def test_parameters_are_weights_and_the_vectors_behind_them() -> None:
    assert shapes(lookup("GATHER")) == [(9, 4)]
    assert shapes(NETWORKS["normalised"]) == [(6, 1, 1, 3), (6,), (6,), (1, 1, 6)]  # not the single 0.5
    b = Builder()
    x = b.tensor((1, 3, 4), name="x")
    y = b.add("MUL", (x, b.constant(normal(4))), (1, 3, 4), options="Mul")  # scales the input: nothing trained before
    y = dense(b, y, (1, 3, 4))
    mask = b.add("ADD", (y, b.constant(normal(3, 4))), (1, 3, 4), options="Add")  # not a vector
    assert shapes(b.graph((x,), (mask,))) == [(4, 4), (4,)]


def test_parameters_that_no_gradient_reaches_stay() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    first = dense(b, x, (1, 4))
    flat = b.add("FLOOR", (first,), (1, 4))
    unused = dense(b, x, (1, 4))
    out = b.add("ADD", (dense(b, flat, (1, 4)), x), (1, 4), options="Add")
    graph = b.graph((x,), (out,))
    trained = parameters(graph)
    assert [graph.operators[number].inputs[1] in trained for number in (0, 2, 3)] == [False, False, True]
    assert unused not in graph.main.outputs
    assert len(parameters(beside("FLOOR"))) == 2  # another way leads around


@pytest.mark.tensorflow
def test_shapes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    graph = NETWORKS["CONV_2D"]
    with pytest.raises(ModelError, match=r"'x' is \[1, 7, 9, 4\], but a sample is \[7, 9, 5\]"):
        run("forward", [graph], [[np.zeros((2, 7, 9, 5), np.float32)]])
    b = Builder()
    x = b.tensor((1, 6), name="x")
    halves = several(b, "SPLIT", (b.constant(np.array(1, np.int32)), dense(b, x, (1, 6))), [(1, 3), (1, 4)],
                     options="Split", numSplits=2)  # fmt: skip
    with pytest.raises(ModelError, match=r"operator 1 \(SPLIT\) cannot be computed"):
        run("forward", [b.graph((x,), halves)], [[np.zeros((2, 6), np.float32)]])


def damaged(graph: Graph) -> list[Graph]:
    """Copies whose last operator lacks its options or an input, or whose constants have another rank."""
    last = graph.operators[-1]
    changed = [replace(last, options=None), replace(last, inputs=last.inputs[:-1]), replace(last, inputs=())]
    copies = [replace(graph, subgraphs=[replace(graph.main, operators=[*graph.operators[:-1], o])]) for o in changed]
    flat = [replace(t, shape=(t.elements,)) if t.data is not None else t for t in graph.tensors]
    return [*copies, replace(graph, subgraphs=[replace(graph.main, tensors=flat)])]


@pytest.mark.parametrize("name", NETWORKS)
def test_damaged_networks_end_in_one_line(name: str) -> None:
    """Before any child is started: what is wrong with shapes alone shows there."""
    for graph in damaged(NETWORKS[name]):
        with suppress(ModelError):
            check(graph)
