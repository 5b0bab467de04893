"""What can be trained in a Graph, by networks of a few operators: no TensorFlow is needed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.graph import Graph
from edgekit.training import analysis
from tests.networks.small import Builder


def layers(bias: bool = True) -> tuple[Graph, list[int]]:
    """Two dense layers, and their parameters in order."""
    b = Builder()
    x = b.tensor((1, 3), name="x")
    first, second = (b.constant(np.ones(shape, np.float32)) for shape in ((4, 3), (2, 4)))
    offsets = [b.constant(np.zeros(4, np.float32)) if bias else -1, b.constant(np.zeros(2, np.float32))]
    middle = b.add("FULLY_CONNECTED", (x, first, offsets[0]), (1, 4), options="FullyConnected")
    y = b.add("FULLY_CONNECTED", (middle, second, offsets[1]), (1, 2), options="FullyConnected")
    return b.graph((x,), (y,)), sorted([first, second, *(i for i in offsets if i >= 0)])


def rotated(graph: Graph, by: int) -> Graph:
    """The same network whose tensors have other numbers."""
    count = len(graph.tensors)
    place = {-1: -1, **{index: (index + by) % count for index in range(count)}}
    main = graph.main
    tensors = [main.tensors[(index - by) % count] for index in range(count)]
    operators = [
        dataclasses.replace(o, inputs=tuple(place[i] for i in o.inputs), outputs=tuple(place[i] for i in o.outputs))
        for o in main.operators
    ]
    ends = [tuple(place[i] for i in side) for side in (main.inputs, main.outputs)]
    return Graph([dataclasses.replace(main, tensors=tensors, operators=operators, inputs=ends[0], outputs=ends[1])])


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_do_not_depend_on_numbers(bias: bool) -> None:
    """Whichever tensor is the first, the last, or missing."""
    graph, expected = layers(bias)
    count = len(graph.tensors)
    for by in range(count):
        assert analysis.parameters(rotated(graph, by)) == sorted((index + by) % count for index in expected)
        analysis.check(rotated(graph, by))


def test_activations_depend_on_the_input() -> None:
    graph, _ = layers()
    middle, y = (operator.outputs[0] for operator in graph.operators)
    assert analysis.activations(graph) == {graph.main.inputs[0], middle, y}


def test_nothing_is_trained_behind_a_step_without_slope() -> None:
    b = Builder()
    x = b.tensor((1, 3), name="x")
    weights, bias = b.constant(np.ones((4, 3), np.float32)), b.constant(np.zeros(4, np.float32))
    y = b.add("FULLY_CONNECTED", (x, weights, bias), (1, 4), options="FullyConnected")
    z = b.add("ARG_MAX", (y, b.constant(np.array(1, np.int32))), (1,), "int32", options="ArgMax", outputType=2)
    whole, stepped = b.graph((x,), (y, z)), b.graph((x,), (z,))
    assert analysis.parameters(whole) == [weights, bias] and analysis.parameters(stepped) == []
    with pytest.raises(ModelError, match="no float32 output"):
        analysis.check(stepped)


def test_a_network_without_parameters_is_refused() -> None:
    b = Builder()
    x = b.tensor((1, 3), name="x")
    with pytest.raises(ModelError, match="no parameters to train"):
        analysis.check(b.graph((x,), (b.add("RELU", (x,), (1, 3)),)))


@pytest.mark.parametrize(
    ("shape", "trained"), [((4,), True), ((1, 1, 4), True), ((2, 2), False), ((1,), False), ((), False)]
)
def test_vectors_behind_a_parameter_are_trained(shape: tuple[int, ...], trained: bool) -> None:
    """An offset of one channel each; no table, and no number that scales everything."""
    b = Builder()
    x = b.tensor((1, 2), name="x")
    weights = b.constant(np.ones((4, 2), np.float32))
    y = b.add("FULLY_CONNECTED", (x, weights, -1), (1, 4), options="FullyConnected")
    if shape == (2, 2):
        y = b.add("RESHAPE", (y, b.constant(np.array([2, 2], np.int32))), (2, 2), options="Reshape", newShape=[2, 2])
    offset = b.constant(np.ones(shape, np.float32))
    z = b.add("ADD", (y, offset), (2, 2) if shape == (2, 2) else (1, 4), options="Add")
    assert analysis.parameters(b.graph((x,), (z,))) == ([weights, offset] if trained else [weights])
