"""Counts: MACs against published figures and against formulas done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import stats, tflite
from tests.networks.small import Builder

PUBLISHED = {  # multiply-accumulates, from the networks' own documentation
    "mlperf_tiny/ad01_fp32": 264_192, "mlperf_tiny/ad01_int8": 264_192,
    "mlperf_tiny/kws_int8": 2_656_768, "mlperf_tiny/ic_resnet8_fp32": 12_501_632,
    "mlperf_tiny/ic_resnet8_int8": 12_501_632, "tflite_micro/person_detect": 7_157_888,
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_macs_are_the_published_ones(models: Path, name: str) -> None:
    found = stats.statistics(tflite.read(models / f"{name}.tflite"))
    assert found.macs == PUBLISHED[name]
    assert found.macs == sum(row.macs for row in found.operators)


def test_kernels_by_hand() -> None:
    b = Builder()
    x = b.tensor((1, 8, 8, 3), name="x")
    w = b.constant(np.ones((16, 3, 3, 3), np.float32))
    conv = b.add("CONV_2D", (x, w, b.constant(np.zeros(16, np.float32))), (1, 6, 6, 16), options="Conv2D")
    dw = b.constant(np.ones((1, 3, 3, 16), np.float32))
    deep = b.add("DEPTHWISE_CONV_2D", (conv, dw, -1), (1, 4, 4, 16), options="DepthwiseConv2D")
    shape = b.constant(np.array([1, 8, 8, 4], np.int32))
    up = b.constant(np.ones((4, 2, 2, 16), np.float32))
    wide = b.add("TRANSPOSE_CONV", (shape, up, deep), (1, 8, 8, 4), options="TransposeConv")
    other = b.tensor((1, 8, 4, 5), name="other")
    out = b.add("BATCH_MATMUL", (wide, other), (1, 8, 8, 5), options="BatchMatMul")
    found = stats.statistics(b.graph((x, other), (out,)))
    assert [row.macs for row in found.operators] == [
        6 * 6 * 16 * 3 * 3 * 3, 4 * 4 * 16 * 9, 4 * 4 * 16 * 2 * 2 * 4, 8 * 8 * 5 * 4,
    ]  # fmt: skip
    assert found.parameters == 16 * 27 + 16 + 9 * 16 + 4 * 4 * 16
    assert found.operators[0].bytes == 8 * 8 * 3 * 4 + 6 * 6 * 16 * 4 + (16 * 27 + 16) * 4


def test_nonsense_shapes_count_nothing() -> None:
    b = Builder()
    x = b.tensor((), name="x")
    y = b.add("CONV_2D", (x,), (), options="Conv2D")
    assert stats.statistics(b.graph((x,), (y,))).macs == 0
