"""Parity's arithmetic and its verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit import parity
from edgekit.graph import Quantization, Tensor, tflite
from edgekit.reference.hybrid import is_hybrid
from tests.small_networks import dense

INT8 = Tensor("y", (1, 4), "int8", Quantization(np.array([0.5], np.float32), np.array([3])))
FLOAT = Tensor("y", (1, 4), "float32")


@given(hnp.arrays(np.int8, (5, 1, 4)), st.integers(0, 3))
def test_steps_are_counted_without_wrapping(values: np.ndarray, steps: int) -> None:
    moved = np.clip(values.astype(int) + steps, -128, 127).astype(np.int8)
    found = parity.difference(INT8, values, moved)
    actual = int(np.max(np.abs(values.astype(int) - moved.astype(int))))
    assert found.max_lsb == actual
    assert found.max_abs == actual * 0.5
    assert found.ok == (actual <= 1)


def test_extremes_do_not_wrap() -> None:
    low, high = np.full((1, 1, 4), -128, np.int8), np.full((1, 1, 4), 127, np.int8)
    assert parity.difference(INT8, low, high).max_lsb == 255


def test_integers_without_scale_must_be_equal() -> None:
    ids = Tensor("ids", (1, 4), "int32")
    a = np.arange(4, dtype=np.int32).reshape(1, 1, 4)
    assert parity.difference(ids, a, a).ok
    assert not parity.difference(ids, a, a + 1).ok


def test_float_is_relative_to_the_largest() -> None:
    a = np.array([[[100.0, 0.0, 1.0, 2.0]]], np.float32)
    assert parity.difference(FLOAT, a, a + np.float32(0.009)).ok
    assert not parity.difference(FLOAT, a, a + np.float32(0.02)).ok


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number_is_never_close(bad: float) -> None:
    a = np.array([[[1.0, 2.0, 3.0, 4.0]]], np.float32)
    b = a.copy()
    b[0, 0, 1] = bad
    assert not parity.difference(FLOAT, a, b).ok
    assert parity.difference(FLOAT, b, b).ok


def test_overflow_is_overflow_clamped_or_not() -> None:
    most = np.finfo(np.float32).max
    a = np.array([[[1.0, most, 3.0, 4.0]]], np.float32)
    b = np.array([[[1.0, np.inf, 3.0, 4.0]]], np.float32)
    assert parity.difference(FLOAT, a, b).ok
    b[0, 0, 2] = 3.1
    assert not parity.difference(FLOAT, a, b).ok


def test_wrong_shape_or_dtype_fails() -> None:
    a = np.zeros((2, 1, 4), np.float32)
    assert not parity.difference(FLOAT, a, a[:1]).ok
    assert not parity.difference(FLOAT, a, a.astype(np.int8)).ok


def test_flips_are_counted() -> None:
    a = np.eye(4, dtype=np.float32).reshape(4, 1, 4)
    b = a[[1, 0, 2, 3]]
    assert parity.difference(FLOAT, a, b).flips == 2


def test_bit_exact_allows_nothing() -> None:
    graph = dense(np.ones((4, 4), np.float32), np.zeros(4, np.float32))
    graph.tensors[graph.main.outputs[0]].dtype = "int8"
    graph.tensors[graph.main.outputs[0]].quantization = INT8.quantization
    a = np.zeros((2, 1, 4), np.int8)
    assert parity.compare(graph, [a], [a + np.int8(1)]).ok
    assert not parity.compare(graph, [a], [a + np.int8(1)], parity.EXACT).ok


def test_hybrids_are_known(models: Path) -> None:
    assert is_hybrid(tflite.read(models / "mlperf_tiny" / "kws_fp32.tflite"))
    assert not is_hybrid(tflite.read(models / "mlperf_tiny" / "ic_resnet8_fp32.tflite"))
    assert not is_hybrid(tflite.read(models / "mlperf_tiny" / "ic_resnet8_int8.tflite"))
