"""Fine-tuning a .tflite: it gets better, repeats exactly, keeps zeros, refuses what it cannot train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data import dataset
from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, tflite
from edgekit.graph.check import check
from edgekit.metrics import accuracy
from edgekit.passes import PassContext
from edgekit.passes.finetune import Finetune
from edgekit.passes.sparsify import Sparsify
from tests.networks.small import classifier, digits


def samples(count: int, seed: int) -> dataset.Dataset:
    x, y = digits(count, seed)
    return dataset.Dataset([x.reshape(-1, 1, 28, 28, 1)], y, source="digits")


def apply(graph: Graph, data: dataset.Dataset | None, **params: Any) -> tuple[Graph, dict[str, Any]]:
    context = PassContext(data=data, params=params)
    passed = Finetune().apply(graph, context)
    made = passed.graph
    check(made)
    return made, passed.report.json()


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_sparse_network_recovers_and_keeps_its_zeros(tmp_path: Path) -> None:
    graph = classifier(tmp_path)
    sparse = Sparsify().apply(graph, PassContext(params={"sparsity": 0.8})).graph
    data, tests = samples(2000, 21), samples(1500, 22)
    tuned, report = apply(sparse, data, epochs=2)
    before, after = accuracy.evaluate(sparse, tests), accuracy.evaluate(tuned, tests)
    assert before is not None
    assert after is not None
    assert after.value > before.value + 0.01
    assert report["history"][-1]["loss"] < report["history"][1]["loss"]
    for old, new in zip(sparse.operators, tuned.operators, strict=True):
        if old.op in ("CONV_2D", "FULLY_CONNECTED"):
            zeros = sparse.tensors[old.inputs[1]].array() == 0
            assert (tuned.tensors[new.inputs[1]].array()[zeros] == 0).all()
    assert tflite.dumps(apply(sparse, data, epochs=2)[0]) == tflite.dumps(tuned)


@pytest.mark.parametrize(
    "params", [{"epochs": 0}, {"epochs": 1.5}, {"learning_rate": -1}, {"batch": True}, {"rate": 1}, {"loss": "mse"}]
)
def test_wrong_parameters(tmp_path: Path, params: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        apply(classifier(tmp_path), samples(20, 1), **params)


def test_labels_are_needed(tmp_path: Path) -> None:
    graph = classifier(tmp_path)
    x = samples(20, 1)
    unlabelled = dataset.Dataset(x.inputs, None, source="test")
    with pytest.raises(UsageError, match="needs samples"):
        apply(graph, None)
    with pytest.raises(UsageError, match="labelled"):
        apply(graph, unlabelled)
    with pytest.raises(UsageError, match="labelled"):
        apply(graph, unlabelled, loss="labels")
    some = dataset.Dataset(x.inputs, np.arange(20) % 7, source="test")
    with pytest.raises(UsageError, match="no sample has the label 7, 8, 9"):
        apply(graph, some)
    same = dataset.Dataset(x.inputs, np.zeros(20, np.int64), source="test")
    with pytest.raises(UsageError, match="same label"):
        apply(graph, same)


def test_quantized_networks_are_refused(models: Path) -> None:
    with pytest.raises(ModelError, match="already quantized"):
        apply(tflite.read(models / "mlperf_tiny" / "kws_int8.tflite"), samples(20, 1))
