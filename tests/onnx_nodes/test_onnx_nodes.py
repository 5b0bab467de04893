"""The official ONNX node tests: what passes stays passing, and whatever does not is refused by name.

All 1,884 cases take minutes (``make onnx-nodes``); here a sample is judged, and the record is checked.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.installed import needed
from tests.onnx_nodes import cases, judge, record
from tests.onnx_nodes.cases import Case
from tests.onnx_nodes.settled import parameters, settled

SHARE = 40


def case(name: str) -> Case:
    return cases.by_name()[name]


@pytest.mark.slow
def test_a_sample_of_all_cases(onnx_converter: None) -> None:
    needed("tvm", "tvm")
    outcomes = judge.judge(cases.sample(cases.load(), SHARE), processes=1)
    assert len(outcomes) > 35
    assert not record.defects(outcomes)
    assert not record.lost(record.load(), outcomes)


def test_the_record() -> None:
    recorded = record.load()
    assert list(recorded) == sorted(recorded)
    assert recorded.keys() <= {case.name for case in cases.load()}
    assert set(recorded.values()) <= set(record.WAYS)
    shares = record.shares(recorded)
    count, _, passes = (sum(shares[group][i] for group in ("float", "int8")) for i in range(3))
    assert passes / count >= 0.6, "issue: at least 60 % of the float and int8 cases of the standard domain"


def test_the_page_says_what_the_record_says() -> None:
    recorded = record.load()
    text = record.DOCUMENT.read_text()
    for group, (count, plain, passes) in record.shares(recorded).items():
        assert f"| {group} | {count} | {plain} | {passes} | {passes / count:.1%} |" in text


def test_groups() -> None:
    assert case("test_abs").group == "float"
    assert case("test_argmax_default_axis_example").group == "float", "indices may be integers"
    assert case("test_qlinearconv").group == "float", "its scales are floats"
    assert case("test_max_int8").group == "int8"
    assert case("test_max_float16").group == case("test_max_int32").group == "other types"
    assert case("test_ai_onnx_ml_binarizer").group == "other domains"


def test_the_deployed_form() -> None:
    reshape = settled(case("test_reshape_reordered_all_dims"))
    assert reshape and reshape.inputs is not None and reshape.outputs is not None
    assert [value.name for value in reshape.model.graph.input] == ["data"]
    assert [tensor.name for tensor in reshape.model.graph.initializer] == ["shape"]
    assert reshape.inputs[0].reshape(reshape.outputs[0].shape).tobytes() == reshape.outputs[0].tobytes()
    assert parameters(case("test_gather_0")) == [], "indices are data"
    expanded = case("test_center_crop_pad_crop_expanded")
    assert "shape" in parameters(expanded), "the whole operator's parameter, read by Slice, Gather and others"
    assert settled(case("test_abs")) is None


def test_a_loss_and_a_defect_are_told() -> None:
    good = judge.Outcome("test_abs", "passed", "litert")
    bad = judge.Outcome("test_abs", "wrong", "tvm", detail="output 0: 1 of 60 values differ")
    refused = judge.Outcome("test_abs", "refused", detail="no Abs here")
    changed = judge.Outcome("test_abs", "passed", "litert", "deployed")
    assert not record.lost({"test_abs": "litert"}, [judge.Outcome("test_abs", "passed", "tvm")])
    assert not record.lost({"test_abs": "tvm"}, [good])
    assert not record.lost({}, [refused])
    for outcome in (bad, refused, changed):
        assert "test_abs" in record.lost({"test_abs": "litert"}, [outcome])[0]
    assert record.defects([good, bad, refused]) == ["test_abs: wrong tvm  output 0: 1 of 60 values differ"]


def test_what_counts_as_passed() -> None:
    abs_ = case("test_abs")
    assert abs_.outputs is not None
    wanted = abs_.outputs[0]
    assert judge.compared(abs_, "litert", [wanted]).verdict == "passed"
    assert judge.compared(abs_, "litert", [wanted + np.float32(1e-4)]).verdict == "imprecise"
    assert judge.compared(abs_, "litert", [wanted + np.float32(0.01)]).verdict == "wrong"
    assert judge.compared(abs_, "litert", [wanted.astype(np.float64)]).verdict == "wrong"
    assert judge.compared(abs_, "litert", [wanted[None]]).verdict == "wrong"
    assert judge.refusal(abs_, "operator ONNX_Abs: no").verdict == "refused"
    assert judge.refusal(abs_, "Absolutely not").verdict == "unnamed"
    assert judge.refusal(abs_, "Abs: the compiled network crashed (signal 11)").verdict == "crashed"


def test_cases_do_not_change_between_runs() -> None:
    """What the record says would mean nothing if the onnx package made other data each time."""
    assert len(cases.load()) == len({case.name for case in cases.load()}) >= 1884
    gelu = case("test_gelu_tanh_2")
    assert gelu.inputs is not None
    np.testing.assert_allclose(gelu.inputs[0].flat[:2], [1.7640524, 0.4001572], rtol=1e-6)
