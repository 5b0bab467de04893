"""No state passes from one sample to the next, wherever in the network it is held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.graph import Graph, tflite
from edgekit.passes import quantize_child
from edgekit.reference.litert import reference_outputs, reference_tensors
from tests.networks import tabular
from tests.networks.small import Builder


def kept_by_an_operator() -> Graph:
    """An SVDF that remembers four inputs in a variable tensor."""
    b = Builder()
    x, state = b.tensor((1, 2), name="x"), b.tensor((1, 8), name="state", is_variable=True)
    feature, time = b.constant(np.ones((2, 2), np.float32)), b.constant(np.ones((2, 4), np.float32))
    return b.graph((x,), (b.add("SVDF", (x, feature, time, -1, state), (1, 2), options="SVDF", rank=1),))


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize("network", [tabular.adding_up, tabular.adding_up_in_a_branch, kept_by_an_operator])
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


def of_no_fixed_size() -> Graph:
    """A variable tensor whose size an operator decides: LiteRT cannot reset it."""
    b = Builder()
    x = b.tensor((2,), name="x")
    kept = b.add(
        "FILL", (b.add("CAST", (x,), (2,), "int32", options="Cast"), b.constant(np.array(1.0, np.float32))), (1, 2),
        options="Fill",
    )  # fmt: skip
    b.tensors[kept] = replace(b.tensors[kept], is_variable=True)
    return b.graph((x,), (b.add("ADD", (x, kept), (1, 2), options="Add"),))


def test_state_that_cannot_be_reset_is_the_models_fault(tmp_path: Path) -> None:
    graph, path, x = of_no_fixed_size(), tmp_path / "model.tflite", np.array([[1, 2]] * 2, np.float32)
    tflite.write(graph, path)
    with pytest.raises(ModelError, match="LiteRT cannot run the model"):
        reference_outputs(path, [x])
    given = {"model": str(path), "tensors": len(graph.tensors)}
    with pytest.raises(ModelError, match="LiteRT cannot run the model"):
        quantize_child.calibrate(given, {"input0": x}, tmp_path)
