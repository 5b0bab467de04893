"""Every operator that can be trained through computes what LiteRT computes, with true gradients."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.training.operators import OPERATORS
from tests.installed import needed
from tests.training.judging import assert_gradients_are_true, assert_litert_agrees, run, samples
from tests.training.networks import NETWORKS

needed("tensorflow", "train")
pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
GRAPHS, NAMES = list(NETWORKS.values()), list(NETWORKS)


def test_no_operator_is_left_out() -> None:
    used = {operator.op for graph in GRAPHS for operator in graph.operators}
    assert set(OPERATORS) <= used


def test_they_compute_what_litert_computes(tmp_path: Path) -> None:
    inputs = [samples(graph, 8) for graph in GRAPHS]
    _, found = run("forward", GRAPHS, inputs)
    assert_litert_agrees(GRAPHS, NAMES, inputs, found, tmp_path)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients_are_true(GRAPHS, NAMES)


def test_they_are_traced_for_any_number_of_samples() -> None:
    """Those that ask for the number: the usual networks do not have them."""
    names = [
        "LSTM plain", "LSTM projection", "BATCH_MATMUL of activations", "GATHER of a batch", "GATHER_ND", "ONE_HOT",
        "joined", "logic", "dilated", "BROADCAST_TO", "TRANSPOSE_CONV valid", "SPLIT_V", "STRIDED_SLICE", "CONV_2D",
    ]  # fmt: skip
    graphs = [NETWORKS[name] for name in names]
    answer, _ = run("step", graphs, [samples(graph, 4) for graph in graphs])
    assert answer["faults"] == []
    assert all(after < before for before, after in answer["losses"])
