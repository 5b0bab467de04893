"""Distillation: the student gets better, whoever the teacher is; what does not fit is refused."""

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
from edgekit.passes.distil import Distil
from edgekit.passes.prune import Prune
from tests.installed import needed
from tests.networks.small import classifier, convolutional, dense, digits

needed("tensorflow", "train")


def samples(count: int, seed: int, *, labels: bool = True) -> dataset.Dataset:
    x, y = digits(count, seed)
    return dataset.Dataset([x.reshape(-1, 1, 28, 28, 1)], y if labels else None, source="digits")


def apply(graph: Graph, source: Graph, data: dataset.Dataset, **params: Any) -> tuple[Graph, dict[str, Any]]:
    context = PassContext(data=data, params=params, source=source)
    passed = Distil().apply(graph, context)
    made = passed.graph
    check(made)
    return made, passed.report.json()


def right(graph: Graph) -> float:
    found = accuracy.evaluate(graph, samples(1000, 22))
    assert found is not None
    return found.value


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("labels", [True, False])
def test_a_pruned_network_learns_from_the_whole_one(labels: bool, tmp_path: Path) -> None:
    whole = classifier(tmp_path)
    pruned = Prune().apply(whole, PassContext(params={"macs": 0.6})).graph
    made, report = apply(pruned, whole, samples(1500, 21, labels=labels), epochs=4)
    assert report["alpha"] == (0.9 if labels else 1)
    assert report["loss"] == ("labels and teacher" if labels else "teacher")
    assert right(made) > right(pruned) + 0.02
    assert report["history"][-1]["validation_loss"] < report["history"][0]["validation_loss"]
    assert [t.shape for t in made.tensors] == [t.shape for t in pruned.tensors]


@pytest.mark.slow
@pytest.mark.tensorflow
def test_teachers_and_students_can_be_files_and_features_can_be_named(tmp_path: Path) -> None:
    whole = classifier(tmp_path)
    pruned = Prune().apply(whole, PassContext(params={"macs": 0.3})).graph
    for name, graph in (("whole", whole), ("pruned", pruned)):
        tflite.write(graph, tmp_path / f"{name}.tflite")
    data = samples(300, 21)
    feature = whole.tensors[whole.operators[-2].outputs[0]].name  # the logits: alike in shape
    params = {"epochs": 1, "features": [feature]}
    one, report = apply(pruned, pruned, data, teacher=str(tmp_path / "whole.tflite"), **params)
    two, _ = apply(whole, whole, data, student=str(tmp_path / "pruned.tflite"), **params)
    plain, without = apply(pruned, whole, data, epochs=1)
    assert tflite.dumps(one) == tflite.dumps(two)
    assert tflite.dumps(one) != tflite.dumps(plain)
    assert report["history"][1]["loss"] > without["history"][1]["loss"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"alpha": 1.5}, "alpha"), ({"alpha": -0.1}, "alpha"), ({"temperature": 0}, "temperature"),
        ({"features": "conv"}, "features"), ({"features": [3]}, "features"),
        ({"features": ["nothing"]}, "the student computes no tensor named 'nothing'"),
        ({"teacher": "a", "student": "b"}, "a teacher or a student, not both"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(params: dict[str, Any], words: str, tmp_path: Path) -> None:
    whole = classifier(tmp_path)
    pruned = Prune().apply(whole, PassContext(params={"macs": 0.5})).graph
    with pytest.raises(UsageError, match=words):
        apply(pruned, whole, samples(50, 1), **params)


def test_teachers_that_do_not_fit_are_refused(models: Path, tmp_path: Path) -> None:
    whole, data = classifier(tmp_path), samples(50, 1)
    with pytest.raises(UsageError, match="the teacher is the student itself"):
        apply(whole, whole, data)
    tflite.write(dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32)), tmp_path / "other.tflite")
    with pytest.raises(UsageError, match="the student's inputs are float32"):
        apply(whole, whole, data, teacher=str(tmp_path / "other.tflite"))
    with pytest.raises(ModelError, match="there is no file"):
        apply(whole, whole, data, teacher=str(tmp_path / "nobody.tflite"))
    with pytest.raises(ModelError, match="already quantized"):
        apply(whole, whole, data, teacher=str(models / "mlperf_tiny" / "kws_int8.tflite"))


def test_networks_of_any_head_have_an_objective() -> None:
    from edgekit.training.objective import alike, heads

    logits = convolutional(np.random.default_rng(0).normal(size=(10, 577)).astype(np.float32))
    found = heads(logits, labelled=True)
    assert [h.kind for h in found] == ["softmax"]
    assert [h.kind for h in alike(heads(logits), found)] == ["softmax"]
