from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.data.dataset import Dataset
from edgekit.diagnosis.mixed_precision import MixedPrecision, plan_of
from edgekit.errors import CheckFailed, ModelError, UsageError
from edgekit.graph import Graph, tflite
from edgekit.graph.check import check
from edgekit.metrics import accuracy
from edgekit.passes import PassContext
from edgekit.passes.quantize import Quantize, Settings
from tests.diagnosis import sabotage


@pytest.fixture(scope="module")
def spike(tmp_path_factory):
    return sabotage.spike(tmp_path_factory.mktemp("spike"))


def apply(graph: Graph, data: Dataset | None, **params: object) -> tuple[Graph, dict[str, Any]]:
    context = PassContext(data=data, params=params)
    passed = MixedPrecision().apply(graph, context)
    return passed.graph, passed.report.json()


def dtypes(graph: Graph) -> dict[str, str]:
    return {o.op: graph.tensors[o.outputs[0]].dtype for o in graph.operators if "QUANTIZE" not in o.op}


def test_a_search_holds_its_bound_and_its_answer_can_be_given(spike):
    before = tflite.dumps(spike.graph)
    made, report = apply(spike.graph, spike.test, samples=500, max_drop=0.5)
    check(made)
    assert tflite.dumps(spike.graph) == before
    found = accuracy.compare(spike.graph, made, spike.test)
    assert found is not None and found["float"] - found["compiled"] <= 0.005 + 1e-9
    table = {str(entry["index"]): entry["precision"] for entry in report["precision"]}
    assert table and report["lost_before"] > 50 and report["lost"] <= 0.5
    again, _ = apply(spike.graph, spike.test, samples=500, precision=table, scale=report["scaled_channels"] > 0)
    assert tflite.dumps(again) == tflite.dumps(made)


def test_each_operator_has_the_precision_that_is_given(spike):
    made, report = apply(spike.graph, spike.calibration, precision={"0": "int4", "1": "int16", "4": "float32"})
    assert dtypes(made) == {
        "CONV_2D": "int8", "ADD": "int16", "MAX_POOL_2D": "int8", "RESHAPE": "int8", "FULLY_CONNECTED": "float32",
        "SOFTMAX": "int8",
    }  # fmt: skip
    kernel = made.tensors[made.operators[0].inputs[1]]
    assert kernel.dtype == "int4"
    assert [(e["index"], e["precision"]) for e in report["precision"]] == [
        (0, "int4"), (1, "int16"), (4, "float32"),
    ]  # fmt: skip
    assert made.outputs[0].dtype == "int8"
    real, _ = apply(spike.graph, spike.calibration, precision={}, io="float32", scale=False)
    assert [real.inputs[0].dtype, real.outputs[0].dtype] == ["float32", "float32"]


def test_no_other_precision_is_plain_quantization(tmp_path):
    patient = sabotage.healthy(tmp_path)
    made, _ = apply(patient.graph, patient.calibration, precision={}, scale=False)
    plain = Quantize().apply(patient.graph, PassContext(data=patient.calibration)).graph
    assert [(o.op, made.tensors[o.outputs[0]].quantization.scale) for o in made.operators] == [
        (o.op, plain.tensors[o.outputs[0]].quantization.scale) for o in plain.operators
    ]
    for ours, theirs in zip(made.constants(), plain.constants(), strict=True):
        np.testing.assert_array_equal(ours.array(), theirs.array())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"precise": 1}, "no parameter 'precise'"),
        ({"max_drop": "1"}, "max_drop is '1'"),
        ({"max_drop": 101}, "max_drop is 101"),
        ({"scale": 1}, "scale is 1"),
        ({"target": 4}, "target is 4"),
        ({"allow": []}, r"allow is \[\]"),
        ({"allow": ["int2"]}, "int2"),
        ({"precision": ["int8"]}, "not a table"),
        ({"precision": {"x": "int8"}}, "'x'"),
        ({"precision": {"1": "int7"}}, "'int7'"),
        ({"activations": "float"}, "integer activations"),
        ({"weights": "int4", "activations": "int16"}, "int4 weights"),
        ({"samples": 0}, "samples is 0"),
    ],
)
def test_wrong_parameters_are_refused(params, message):
    with pytest.raises(UsageError, match=message):
        plan_of(params)


def test_the_recipes_precision_is_always_allowed():
    assert plan_of({"allow": ["float32"]}).allow == ("int8", "float32")
    plan = plan_of({"weights": "int4"})
    assert (plan.base, plan.allow) == ("int4", ("int4", "int8", "int16", "float32"))
    assert plan.settings == Settings(weights="int4")


def test_what_cannot_be_is_refused(spike):
    with pytest.raises(UsageError, match="needs samples"):
        apply(spike.graph, None)
    with pytest.raises(UsageError, match="no operator 6"):
        apply(spike.graph, spike.calibration, precision={"6": "int8"})
    with pytest.raises(UsageError, match="no target named"):
        apply(spike.graph, spike.calibration, target="rpi9")
    with pytest.raises(ModelError, match="quantized"):
        apply(Quantize().apply(spike.graph, PassContext(data=spike.calibration)).graph, spike.calibration)
    with pytest.raises(CheckFailed, match="even with all operators in int8"):
        apply(spike.graph, spike.test, allow=["int8"])
