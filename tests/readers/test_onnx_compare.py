"""What is held equal between an ONNX model and its conversion, on arrays made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_models
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.readers import onnx_child
from edgekit.readers.onnx2tf import Converted, Sample
from edgekit.readers.onnx_compare import CHANNELS_FIRST, compare, difference

LIMITS = sandbox.Limits(seconds=60, memory_mb=4096)
FLOATS = arrays.arrays(
    np.float32, arrays.array_shapes(min_dims=0, max_dims=4, max_side=4), elements=st.floats(width=32)
)


def about(dtype: str = "float32", operators: tuple[str, ...] = ("Relu",)) -> dict[str, Any]:
    end = {"name": "y", "dtype": dtype, "shape": [2, 3], "operator": operators[0]}
    return {"inputs": [{**end, "name": "x"}], "outputs": [end], "operators": list(operators), "by_reference": False}


def sample(onnx: NDArray[Any] | str, litert: NDArray[Any] | str) -> Sample:
    return Sample([np.zeros((2, 3), np.float32)], *(x if isinstance(x, str) else [x] for x in (onnx, litert)))


def converted(*samples: Sample) -> Converted:
    return Converted(b"", [0], list(samples))


@given(FLOATS)
def test_a_result_is_no_different_from_itself(values: NDArray[np.float32]) -> None:
    assert difference(values, values.copy(), None) == 0.0


@given(FLOATS, st.floats(1e-3, 10))
def test_the_difference_is_relative_to_the_largest_finite_value(values: NDArray[np.float32], part: float) -> None:
    finite = np.nan_to_num(values.astype(np.float64), nan=1.0, posinf=2.0, neginf=-2.0)
    largest = np.abs(finite).max(initial=0.0)
    if values.size and largest > 1e-6:
        off = difference(finite + part * largest, finite, None)
        assert off == pytest.approx(part, rel=1e-6)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [([np.inf, 1], [-np.inf, 1]), ([np.nan, 1], [0, 1]), ([1, 1], [np.inf, 1]), ([-3.4e38, 1], [-np.inf, 1])],
)
def test_what_is_not_finite_must_be_the_same(found: list[float], wanted: list[float]) -> None:
    assert difference(np.array(found), np.array(wanted), None) == np.inf


def test_another_shape_has_no_difference() -> None:
    assert difference(np.zeros((2, 3)), np.zeros((3, 2)), None) is None
    assert difference(np.zeros((1, 2, 3)), np.zeros((1, 3, 2)), CHANNELS_FIRST[3]) == 0.0


def test_the_layout_that_fits_all_samples_is_taken() -> None:
    values = np.random.default_rng(0).normal(size=(2, 1, 4, 4, 3)).astype(np.float32)
    pairs = [sample(np.transpose(one, CHANNELS_FIRST[4]), one) for one in values]
    found = compare(b"", converted(*pairs), about(), "m.onnx", LIMITS)
    assert found.permutations == [CHANNELS_FIRST[4]]
    assert "agrees with ONNX Runtime within 0 of" in found.note


def test_one_wrong_sample_is_enough() -> None:
    good = np.ones((2, 3), np.float32)
    pairs = [sample(good, good), sample(good, good * np.float32(1.01))]
    with pytest.raises(ModelError, match=r"wrongly: output 'y' of Relu differs from ONNX Runtime's by 0.01 of"):
        compare(b"", converted(*pairs), about(), "m.onnx", LIMITS)
    quantized = about(operators=("QuantizeLinear",))
    assert "within 0.01 of" in compare(b"", converted(*pairs), quantized, "m.onnx", LIMITS).note


@pytest.mark.parametrize(("largest", "off", "bounded", "wrong"), [
    (2e-5, 1.2e-7, True, False), (2e-5, 1.2e-7, False, True), (2e-5, 2e-6, True, True), (1.0, 2e-3, True, True),
])  # fmt: skip
def test_a_sigmoids_small_results_are_held_to_its_absolute_rounding(
    largest: float, off: float, bounded: bool, wrong: bool
) -> None:
    """A detector of nothing gives scores of 1e-5, and both sigmoids are right to 1e-7."""
    scores = np.full((2, 3), largest, np.float64)
    described = about()
    described["outputs"][0] |= {"bounded": bounded}
    try:
        compare(b"", converted(sample(scores, scores + off)), described, "m.onnx", LIMITS)
    except ModelError:
        assert wrong
    else:
        assert not wrong


@pytest.mark.parametrize(("last", "bounded"), [("Reshape", True), ("Concat", False)])
def test_scores_are_known_where_they_come_from(last: str, bounded: bool, tmp_path: Any) -> None:
    graph = onnx.load(onnx_models.scores(tmp_path / "m.onnx", last)).graph
    assert onnx_child._is_bounded(graph, "y") == bounded
    assert onnx_child._is_bounded(graph, "s")
    assert not onnx_child._is_bounded(graph, "a") and not onnx_child._is_bounded(graph, "x")


def test_integers_are_equal_or_wrong() -> None:
    good = np.full((2, 3), 5000, np.int32)
    with pytest.raises(ModelError, match="wrongly"):
        compare(b"", converted(sample(good, good + 1)), about("int32"), "m.onnx", LIMITS)


def test_samples_that_the_model_itself_refuses_do_not_count() -> None:
    good = np.ones((2, 3), np.float32)
    found = compare(b"", converted(sample("index out of range", good * 2), sample(good, good)), about(), "m", LIMITS)
    assert "agrees" in found.note
    found = compare(b"", converted(sample(good, "no negative index"), sample(good, good)), about(), "m", LIMITS)
    assert "agrees" in found.note


def test_a_network_that_litert_cannot_run_is_refused() -> None:
    good = np.ones((2, 3), np.float32)
    with pytest.raises(ModelError, match=r"m\.onnx was converted to a network that LiteRT cannot run: type 17"):
        compare(b"", converted(sample(good, "type 17")), about(), "m.onnx", LIMITS)


def test_where_onnx_runtime_fails_the_reference_decides(tmp_path: Any) -> None:
    model = onnx_models.relu(tmp_path / "relu.onnx", [2, 3]).read_bytes()
    inputs = [np.arange(-3, 3, dtype=np.float32).reshape(2, 3)]
    good = np.maximum(inputs[0], 0)
    right = Sample(inputs, "opset 26 is not known", [good])
    assert "ONNX's reference" in compare(model, converted(right), about(), "m.onnx", LIMITS).note
    with pytest.raises(ModelError, match="differs from ONNX's reference implementation's"):
        compare(model, converted(replace(right, litert=[good + 1])), about(), "m.onnx", LIMITS)
    unknown = replace(right, inputs=[np.zeros((7, 7), np.float32)], litert=[good])
    assert "not compared: opset 26" in compare(b"", converted(unknown), about(), "m.onnx", LIMITS).note
