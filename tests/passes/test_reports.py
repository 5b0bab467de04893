"""What passes tell: typed reports, and their entries in the JSON of ``compile``, which scripts read."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import numpy as np
import pytest

from edgekit import plugins
from edgekit.api.job import Done, transform
from edgekit.data import dataset
from edgekit.passes import PassContext, Passed, Report
from edgekit.passes.finetune import Finetune
from edgekit.passes.qat import QuantizedInTraining
from edgekit.passes.quantize import FloatOperator, Quantized
from edgekit.passes.recipe import Recipe, Step
from edgekit.passes.sparsify import Sparse
from edgekit.passes.trained import TrainedReport
from edgekit.training.context import Context
from edgekit.training.job import History
from tests.networks.small import dense

GRAPH = dense(np.ones((4, 8), np.float32), np.zeros(4, np.float32))
HISTORY = History(90, 10, "labels", 2, {"history": [], "kept_epoch": 1})
TRAINING = {"samples": 90, "validation_samples": 10, "loss": "labels", "workers": 2, "history": [], "kept_epoch": 1}
QUANTIZED = Quantized("int8", "int8", "channel", "int8", [FloatOperator(3, "TANH", "why")], 200, 1, None)
LEFT = {"weights": "int8", "activations": "int8", "granularity": "channel", "io": "int8",
        "float_operators": [{"index": 3, "op": "TANH", "reason": "why"}]}  # fmt: skip


@dataclass(frozen=True)
class Counted(Report):
    rows: int


class Counts:
    """A pass that counts its parameter, and one that tells nothing."""

    def apply(self, graph: Any, context: PassContext) -> Passed:
        rows = context.params.get("rows")
        return Passed(graph) if rows is None else Passed(graph, Counted(rows))


@pytest.mark.parametrize(
    ("report", "document", "trained", "left"),
    [
        (Report(), {}, False, 0),
        (QUANTIZED, {"samples": 200, "repaired_biases": 1, **LEFT}, False, 1),
        (Quantized("int8", "float", "channel", "float32", []),
         {"weights": "int8", "activations": "float", "granularity": "channel", "io": "float32", "float_operators": []},
         False, 0),
        (TrainedReport(HISTORY), TRAINING, True, 0),
        (QuantizedInTraining(HISTORY, QUANTIZED, "learned"),
         {**TRAINING, "repaired_biases": 1, **LEFT, "calibration_samples": 200, "ranges": "learned"}, True, 1),
        (Sparse("2:4", [], 8, 7, 6),
         {"pattern": "2:4", "layers": [], "dense_bytes": 8, "packed_bytes_before": 7, "packed_bytes": 6}, False, 0),
        (Sparse("2:4", [], 8, 7, 6, HISTORY),
         {**TRAINING, "pattern": "2:4", "layers": [], "dense_bytes": 8, "packed_bytes_before": 7, "packed_bytes": 6},
         True, 0),
    ],
)  # fmt: skip
def test_reports_as_json(report: Report, document: dict[str, Any], trained: bool, left: int) -> None:
    assert list(report.json().items()) == list(document.items())  # in this order, too
    assert report.trained is trained and report.left_in_float == left


def test_each_pass_has_its_own_parameters_and_its_own_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "get", lambda group, name: Counts())
    steps = (Step("one", {"rows": 1}), Step("none", {}), Step("two", {"rows": 2}))
    graph, done = transform(GRAPH, Recipe("r", "r", False, steps), PassContext(params={"rows": 9}))
    assert graph is GRAPH and done == [
        Done("one", {"rows": 1}, Counted(1)), Done("none", {}, Report()), Done("two", {"rows": 2}, Counted(2)),
    ]  # fmt: skip
    assert [step.json() for step in done] == [
        {"name": "one", "params": {"rows": 1}, "rows": 1},
        {"name": "none", "params": {}},
        {"name": "two", "params": {"rows": 2}, "rows": 2},
    ]


def test_nothing_can_be_left_in_the_context() -> None:
    context = PassContext()
    assert isinstance(context, Context)
    with pytest.raises(FrozenInstanceError):
        context.seed = 1  # type: ignore[misc]
    assert not hasattr(context, "report")


@pytest.mark.tensorflow
def test_a_training_tells_how_it_went() -> None:
    data = dataset.Dataset([np.zeros((40, 1, 8), np.float32)], np.arange(40) % 4)
    context = PassContext(data=data, params={"epochs": 1, "batch": 4, "loss": "labels"}, source=GRAPH)
    report = Finetune().apply(GRAPH, context).report
    assert isinstance(report, TrainedReport) and report.trained
    assert (report.history.samples, report.history.validation_samples, report.history.workers) == (36, 4, 1)
    assert report.json()["loss"] == "labels" and len(report.json()["history"]) == 2
