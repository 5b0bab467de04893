"""Parity's arithmetic and verdicts. Each bound is pinned on both sides: loosening a rule fails here."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.graph import Graph, Quantization, Tensor, tflite
from edgekit.metrics import differences, parity, verdict
from edgekit.reference.hybrid import hybrid, is_hybrid
from tests.networks.small import Builder, dense, unary

SCALE = Quantization(np.array([0.5], np.float32), np.array([3]))
INT8 = Tensor("y", (1, 4), "int8", SCALE)
FLOAT = Tensor("y", (1, 4), "float32")
HALF = Tensor("y", (1, 4), "float16")
REAL = np.array([[[100.0, 0.0, 1.0, 2.0]]], np.float32)


@given(hnp.arrays(np.int8, (5, 1, 4)), st.integers(0, 3))
def test_steps_are_counted_without_wrapping(values: np.ndarray, steps: int) -> None:
    moved = np.clip(values.astype(int) + steps, -128, 127).astype(np.int8)
    found = differences.difference(INT8, values, moved)
    actual = int(np.max(np.abs(values.astype(int) - moved.astype(int))))
    assert found.max_lsb == actual
    assert found.max_abs == actual * 0.5
    assert found.ok == (actual <= 1)


def test_extremes_do_not_wrap() -> None:
    low, high = np.full((1, 1, 4), -128, np.int8), np.full((1, 1, 4), 127, np.int8)
    assert differences.difference(INT8, low, high).max_lsb == 255


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_one_step_and_not_one_more(dtype: str) -> None:
    tensor = dataclasses.replace(INT8, dtype=dtype)
    a = np.full((3, 1, 4), 5, dtype)
    b, c = a.copy(), a.copy()
    b[2, 0, 3] += 1
    c[2, 0, 3] += 2
    assert differences.difference(tensor, a, b).ok and not differences.difference(tensor, a, c).ok
    assert differences.difference(tensor, a, a, differences.EXACT).ok
    assert not differences.difference(tensor, a, b, differences.EXACT).ok


def test_integers_without_scale_must_be_equal() -> None:
    ids = Tensor("ids", (1, 4), "int32")
    a = np.arange(4, dtype=np.int32).reshape(1, 1, 4)
    assert differences.difference(ids, a, a).ok
    assert not differences.difference(ids, a, a + 1).ok


def test_truth_values_must_be_equal() -> None:
    tensor, a = Tensor("b", (1, 4), "bool"), np.array([[[True, False, True, True]]])
    assert differences.difference(tensor, a, a).ok
    assert not differences.difference(tensor, a, ~a).ok


@pytest.mark.parametrize(
    ("tensor", "bounds", "most"),
    [
        (FLOAT, differences.Bounds(), 1e-4),
        (FLOAT, differences.EXACT, 1e-4),
        (FLOAT, differences.HALF, 1e-2),
        (HALF, differences.Bounds(), 1e-2),
        (HALF, differences.HALF, 1e-2),
    ],
)
def test_floats_are_bounded_relative_to_the_largest(tensor: Tensor, bounds: differences.Bounds, most: float) -> None:
    dtype = np.dtype(tensor.dtype)
    a = np.array([[[64.0, 0.0, 1.0, 2.0]]], dtype)  # steps of 2^-4 beside 64 are exact in float16
    for factor, ok in ((0.95, True), (1.05, False)):
        b = a.copy()
        b[0, 0, 1] = 64 * most * factor
        assert differences.difference(tensor, a, b, bounds).ok is ok, factor


def test_allowed_real_values_come_on_top() -> None:
    b = REAL + np.float32([0, 0.5, 0, 0])
    assert not differences.difference(FLOAT, REAL, b).ok
    assert not differences.difference(FLOAT, REAL, b, allowed=0.48).ok
    assert differences.difference(FLOAT, REAL, b, allowed=0.495).ok


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number_is_never_close(bad: float) -> None:
    b = REAL.copy()
    b[0, 0, 1] = bad
    assert not differences.difference(FLOAT, REAL, b).ok
    assert not differences.difference(FLOAT, b, REAL).ok
    assert differences.difference(FLOAT, b, b).ok, "the same in the same place"
    moved = REAL.copy()
    moved[0, 0, 2] = bad
    assert not differences.difference(FLOAT, b, moved).ok


def test_outputs_without_a_number_prove_nothing() -> None:
    nothing = np.full((2, 1, 4), np.nan, np.float32)
    assert not differences.difference(FLOAT, nothing, nothing).ok
    graph, some = two_outputs("float32"), np.ones((2, 1, 4), np.float32)
    found = parity.compare(graph, [some, nothing], [some, nothing])
    assert not found.ok and found.words() == verdict.NOTHING
    assert parity.compare(graph, [some, some], [some, some]).reason == ""


def test_overflow_is_overflow_clamped_or_not() -> None:
    most = np.finfo(np.float32).max
    a = np.array([[[1.0, most, 3.0, 4.0]]], np.float32)
    b = np.array([[[1.0, np.inf, 3.0, 4.0]]], np.float32)
    assert differences.difference(FLOAT, a, b).ok
    b[0, 0, 2] = 3.1
    assert not differences.difference(FLOAT, a, b).ok


def test_wrong_shape_or_dtype_fails() -> None:
    a = np.zeros((2, 1, 4), np.float32)
    assert not differences.difference(FLOAT, a, a[:1]).ok
    assert not differences.difference(FLOAT, a, a.astype(np.int8)).ok


def test_flips_are_counted() -> None:
    a = np.eye(4, dtype=np.float32).reshape(4, 1, 4)
    b = a[[1, 0, 2, 3]]
    assert differences.difference(FLOAT, a, b).flips == 2


def two_outputs(dtype: str = "float32") -> Graph:
    b = Builder()
    x = b.tensor((1, 4), dtype, name="x", quantization=SCALE if dtype == "int8" else None)
    first, second = (b.add("RELU", (x,), (1, 4), dtype) for _ in range(2))
    for index in (first, second):
        b.tensors[index].quantization = b.tensors[x].quantization
    return b.graph((x,), (first, second))


@pytest.mark.parametrize("wrong", [0, 1])
def test_every_output_must_hold(wrong: int) -> None:
    reference = [REAL, REAL + 1]
    actual = [REAL, REAL + 1]
    assert parity.compare(two_outputs(), reference, actual).ok
    actual[wrong] = actual[wrong] * np.float32(1.1)
    found = parity.compare(two_outputs(), reference, actual)
    assert not found.ok
    assert [row.ok for row in found.outputs] == [wrong != 0, wrong != 1]
    assert found.max_relative > 0.09


def test_bit_exact_allows_nothing() -> None:
    graph, a = two_outputs("int8"), np.zeros((2, 1, 4), np.int8)
    assert parity.compare(graph, [a, a], [a, a + np.int8(1)]).ok
    assert not parity.compare(graph, [a, a], [a, a + np.int8(1)], differences.EXACT).ok


def weighted(dtype: str, through_dequantize: bool) -> Graph:
    """FULLY_CONNECTED with integer weights, read as they are (hybrid) or through a DEQUANTIZE (float arithmetic)."""
    b = Builder()
    x = b.tensor((1, 4), name="x")
    w = b.constant(np.ones((2, 4), dtype), quantization=Quantization(np.array([0.1], np.float32), np.array([0])))
    w = b.add("DEQUANTIZE", (w,), (2, 4)) if through_dequantize else w
    y = b.add("FULLY_CONNECTED", (x, w, b.constant(np.zeros(2, np.float32))), (1, 2), options="FullyConnected")
    return b.graph((x,), (y,))


def test_hybrid_is_who_computes_with_integer_weights() -> None:
    assert is_hybrid(weighted("int8", False)) and is_hybrid(weighted("uint8", False))
    apart = weighted("int8", True)
    assert not is_hybrid(apart) and not hybrid(apart, 0), "a DEQUANTIZE only turns weights into floats"
    assert not is_hybrid(dense(np.ones((2, 4), np.float32), np.zeros(2, np.float32)))


def test_no_network_is_judged_by_the_bound_of_another_kind() -> None:
    """Hybrid arithmetic is allowed its own rounding only, and that only with the oracle's results at hand."""
    for graph in (
        weighted("int8", False),
        weighted("int8", True),
        dense(np.ones((2, 4), np.float32), np.zeros(2, "f4")),
    ):
        reference = np.array([[[100.0, 1.0]]], np.float32)
        assert parity.compare(graph, [reference], [reference + np.float32(0.009)]).ok
        assert not parity.compare(graph, [reference], [reference + np.float32(0.02)]).ok


def test_hybrid_networks_may_be_off_by_twice_what_rounding_costs() -> None:
    graph, exact = weighted("int8", False), np.array([[[100.0, 50.0]]], np.float32)
    reference = exact + np.float32([[[3.0, 0.0]]])  # rounding the activations costs the reference 3
    for off, ok in ((5.9, True), (-5.9, True), (6.1, False), (-6.1, False)):
        found = parity.compare(graph, [reference], [exact + np.float32([[[0.0, off]]])], exact=[exact])
        assert found.ok is ok, off


def one(op: str, **fields: object) -> tuple[Graph, int]:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    y = b.add(op, (x,), (1, 4))
    return dataclasses.replace(b.graph((x,), (y,))), y


def judged(op: str, reference: np.ndarray, actual: np.ndarray, bounds: differences.Bounds) -> verdict.OperatorParity:
    graph, y = one(op)
    return parity.compare_operators(graph, [0], [y], [reference], [actual], bounds)[0]


def test_operators_that_move_elements_keep_each_of_them() -> None:
    lost = REAL.copy()
    lost[0, 0, 3] = 2.005  # within the bound of 1e-4 of 100, but no copy of 2
    nearly = REAL.copy()
    nearly[0, 0, 3] = 2.00002
    assert judged("LOGISTIC", REAL, lost, differences.Bounds()).ok
    assert not judged("TRANSPOSE", REAL, lost, differences.Bounds()).ok
    assert not judged("TRANSPOSE", REAL, nearly, differences.Bounds()).ok
    assert judged("TRANSPOSE", REAL, REAL, differences.Bounds()).ok
    rounded = REAL.astype(np.float16).astype(np.float32)
    assert judged("TRANSPOSE", REAL, rounded, differences.HALF).ok
    assert not judged("TRANSPOSE", REAL, lost, differences.HALF).ok


def test_an_operator_beyond_float16_is_named() -> None:
    big = np.array([[[1e5, 1.0, 2.0, 3.0]]], np.float32)
    with np.errstate(over="ignore"):
        row = judged("SQUARE", big, big.astype(np.float16).astype(np.float32), differences.HALF)
    assert not row.ok and "leaves float16: its values reach 1e+05" in row.reason
    found = verdict.Parity(False, None, 1.0, 1.0, 0, 1, "", by="operators", operators=[row])
    assert found.words().startswith("operator 0 SQUARE (t1) leaves float16")


def ok_operators(unlike: str) -> verdict.Parity:
    row = verdict.OperatorParity(0, "ADD", "t", None, 1e-6, True)
    return verdict.Parity(not unlike, None, 1.0, 0.98, 15, 16, "", by="operators", operators=[row], unlike=unlike)


def test_words_say_what_decided() -> None:
    assert ok_operators("").words().startswith("each of 1 operators within its bound; accumulated along the network")
    assert ok_operators("it is off").words() == (
        "each of 1 operators within its bound, but the outputs do not follow the reference: it is off"
    )
    failed = verdict.Parity(False, 3, 1.5, 0.1, 0, 4, "", reason="the golden outputs are not those of the network")
    assert failed.words().startswith("outputs are off by 3 LSB") and failed.words().endswith("of the network")


def follows(reference: np.ndarray, actual: np.ndarray, disturbed: np.ndarray | None = None) -> str:
    graph, _ = one("RELU")
    other = reference if disturbed is None else disturbed
    return parity.unlike_outputs(graph, [reference], [actual], [other])


def test_what_follows_the_reference_and_what_does_not() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(16, 1, 4)).astype(np.float32)
    assert not follows(reference, reference + np.float32(0.2) * rng.normal(size=reference.shape).astype("f4"))
    assert follows(reference, np.zeros_like(reference))
    assert follows(reference, reference[:, :, ::-1].copy())
    assert "not finite" in follows(reference, np.where(reference > 1.5, np.nan, reference).astype("f4"))
    lost = reference.copy()
    lost[:, :, 2] = 0
    assert "channel 2 of axis 1" in follows(reference, lost)


def test_a_rounding_step_at_the_inputs_says_what_is_to_be_expected() -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(16, 1, 4)).astype(np.float32)
    actual = rng.normal(size=(16, 1, 4)).astype(np.float32)
    assert follows(reference, actual)
    assert not follows(reference, actual, rng.normal(size=(16, 1, 4)).astype(np.float32))


def test_hybrids_are_known(models: Path) -> None:
    assert is_hybrid(tflite.read(models / "mlperf_tiny" / "kws_fp32.tflite"))
    assert not is_hybrid(tflite.read(models / "mlperf_tiny" / "ic_resnet8_fp32.tflite"))
    assert not is_hybrid(tflite.read(models / "mlperf_tiny" / "ic_resnet8_int8.tflite"))


@pytest.mark.parametrize(("last", "said"), [("SOFTMAX", True), ("RELU", False)])
def test_labels_are_counted_in_words_for_classifiers_only(last: str, said: bool) -> None:
    graph = unary(last, (1, 4))
    values = np.eye(4, dtype=np.float32)[:, None]
    found = parity.compare(graph, [values], [values[::-1]])
    assert found.top1_flips == 4 and found.json()["top1_flips"] == 4
    assert ("4 of 4 labels differ" in found.words()) is said


def test_of_some_operators_nothing_is_ok_but_something_may_be_wrong() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    first = b.add("LOGISTIC", (x,), (1, 4))
    graph = b.graph((x,), (b.add("TRANSPOSE", (first,), (1, 4)),))
    (last,) = graph.operators[1].outputs
    good = {first: REAL, last: REAL}
    found = parity.partial(graph, good, good, [7], "sizes")
    assert (found.ok, found.by, found.samples, found.not_executed, found.checked) == (
        None,
        "operators",
        1,
        (7,),
        "sizes",
    )
    assert [(row.index, row.op, row.ok) for row in found.operators] == [(0, "LOGISTIC", True), (1, "TRANSPOSE", True)]
    off = {first: REAL, last: REAL + np.float32(5)}
    found = parity.partial(graph, good, off, [7], "sizes")
    assert found.ok is False and found.max_relative == pytest.approx(0.05)
    assert [(row.index, row.op, row.ok) for row in found.operators] == [(0, "LOGISTIC", True), (1, "TRANSPOSE", False)]
    found = parity.partial(graph, {}, {}, [0, 1], "sizes")
    assert (found.ok, found.by, found.samples, found.operators) == (None, "structure", 0, [])
