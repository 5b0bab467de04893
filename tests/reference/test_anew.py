"""No state passes from one sample to the next, wherever in the network it is held."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import Graph, Subgraph, tflite
from edgekit.reference.litert import reference_outputs, reference_tensors
from tests.networks import tabular
from tests.networks.small import Builder
from tests.networks.streaming import Streaming


def nested() -> Graph:
    """The sum of all samples, in a variable whose handles are in a branch, and in what gives it its first value."""
    n, branch = Streaming(), Streaming()
    x, own = n.tensor((1, 2), name="x"), branch.tensor((1, 2))
    handle = branch.variable("sum", np.zeros((1, 2), np.float32))
    summed = branch.add("ADD", (branch.add("READ_VARIABLE", (handle,), (1, 2)), own), (1, 2), options="Add")
    branch.assign(handle, summed)
    y = n.add("IF", (n.constant(np.array(True)), x), (1, 2), options="If", thenSubgraphIndex=2, elseSubgraphIndex=2)
    within = Subgraph("branch", branch.tensors, branch.operators[1:], (own,), (summed,))
    main = n.graph((x,), (y,)).main
    return Graph([main, Subgraph("NoOp", branch.first.tensors, branch.first.operators, (), ()), within])


def kept_by_an_operator() -> Graph:
    """An SVDF that remembers four inputs in a variable tensor."""
    b = Builder()
    x, state = b.tensor((1, 2), name="x"), b.tensor((1, 8), name="state", is_variable=True)
    feature, time = b.constant(np.ones((2, 2), np.float32)), b.constant(np.ones((2, 4), np.float32))
    return b.graph((x,), (b.add("SVDF", (x, feature, time, -1, state), (1, 2), options="SVDF", rank=1),))


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize("network", [tabular.adding_up, nested, kept_by_an_operator])
def test_the_order_of_samples_changes_nothing(network: Callable[[], Graph], optimized: bool, tmp_path: Path) -> None:
    graph, path = network(), tmp_path / "model.tflite"
    tflite.write(graph, path)
    x = np.random.default_rng(0).normal(size=(3, *graph.inputs[0].shape)).astype(np.float32)
    (found,), (other,) = (reference_outputs(path, [given], optimized=optimized) for given in (x, x[::-1]))
    np.testing.assert_array_equal(found, other[::-1])
    assert len(np.unique(found.reshape(3, -1), axis=0)) == 3
    tensors, reverse = (reference_tensors(path, [given], optimized=optimized) for given in (x, x[::-1]))
    assert tensors.keys() == reverse.keys()
    for index, values in tensors.items():
        np.testing.assert_array_equal(values, reverse[index][::-1])
