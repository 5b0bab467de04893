from __future__ import annotations

import zlib

import numpy as np
import pytest

from edgekit import target
from edgekit.compression import candidates
from edgekit.compression.candidates import Candidate, Evaluator
from edgekit.errors import ModelError
from edgekit.graph import tflite
from edgekit.metrics import accuracy
from edgekit.passes.recipe import Step
from edgekit.profiling import registry

PRUNE, INT8 = Step("prune", {"macs": 0.5}), Step("quantize", {"weights": "int8", "activations": "int8"})
FLOAT16 = Step("quantize", {"weights": "float16", "activations": "float"})


def test_each_beginning_is_computed_once(evaluator):
    judge, applied = evaluator
    for steps in [(PRUNE, INT8), (PRUNE, FLOAT16), (PRUNE,), (INT8,), (PRUNE, INT8)]:
        judge.measure(steps, 50)
    assert applied == ["prune", "quantize", "quantize", "quantize"]


def test_what_was_forgotten_is_computed_again_and_equal(evaluator, monkeypatch):
    judge, applied = evaluator
    first = judge.graph((PRUNE, INT8))
    monkeypatch.setattr(candidates, "CACHE_BYTES", 0)
    judge.graph((FLOAT16,))
    assert tflite.dumps(judge.graph((PRUNE, INT8))) == tflite.dumps(first)
    assert applied == ["prune", "quantize", "quantize", "prune", "quantize"]


def test_costs_are_the_networks_own(evaluator, network):
    judge, _ = evaluator
    found = judge.measure((PRUNE, INT8), 50)
    data = tflite.dumps(judge.graph((PRUNE, INT8)))
    estimate = registry.estimate(judge.graph((PRUNE, INT8)), target.load("rpi4"), {"threads": 1})
    assert found.costs == {"size": len(data), "packed": len(zlib.compress(data, 9)),
                           "latency": estimate.latency_ms.value, "energy": estimate.energy_mj.value}  # fmt: skip
    assert found.costs["size"] < 0.4 * len(tflite.dumps(network))


def test_drops_are_those_of_the_samples(evaluator, network, searched):
    judge, _ = evaluator
    found = judge.measure((PRUNE,), 400)
    expected = accuracy.compare(network, judge.graph((PRUNE,)), searched)
    assert found.drops["accuracy-drop"] == pytest.approx(expected["drop"]["value"])
    assert found.drops["class-drop"] == max(row["drop"]["low"] for row in expected["classes"])
    assert found.drops["group-drop"] == max(row["drop"]["low"] for row in expected["groups"])


def test_more_samples_go_on_where_fewer_ended(evaluator):
    judge, applied = evaluator
    grown, whole = judge.measure((PRUNE,), 60), None
    judge.refine(grown, 400)
    whole = judge.measure((PRUNE,), 400)
    assert grown == whole and grown.samples == 400 and applied == ["prune"]


def test_a_step_that_cannot_be_applied_is_left_out(evaluator):
    judge, applied = evaluator
    impossible = Step("quantize", {"weights": "float16", "activations": "int8"})
    found = judge.measure((PRUNE, impossible), 50)
    assert found.steps == (PRUNE,) and "float16" in found.left_out["quantize"]
    judge.measure((PRUNE, impossible), 50)
    assert applied == ["prune", "quantize"]
    assert Candidate.read(found.json()) == found


def test_a_step_that_changes_nothing_is_left_out(evaluator):
    judge, _ = evaluator
    found = judge.measure((Step("float32", {}), INT8), 50)
    assert found.steps == (INT8,) and found.left_out == {"float32": "float32 changes nothing here"}
    assert found.digest == judge.measure((INT8,), 50).digest


def test_what_the_target_refuses_is_no_candidate(network, searched):
    def refuse(graph):
        raise ModelError("not on this board")

    judge = Evaluator(network, lambda graph, step: graph, searched, target.load("rpi4"), refuse)
    with pytest.raises(ModelError, match="not on this board"):
        judge.measure((), 10)


def test_samples_are_mixed_before_they_are_counted(network, searched):
    ordered = searched.take(np.argsort(searched.labels, kind="stable"))
    judge = Evaluator(network, lambda graph, step: graph, ordered, target.load("rpi4"), lambda graph: None)
    assert len(set(judge._samples.labels[:60].tolist())) == 10
