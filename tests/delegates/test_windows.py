"""Rules about strides, pools, scales and sizes, on both sides of each limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.delegates.node import Node
from edgekit.delegates.rules import refusal
from edgekit.graph import Quantization
from tests.networks.small import Builder

Q = Quantization(np.array([0.5], np.float32), np.array([1]))


def node(op: str, shapes: list[tuple[int, ...]], out: tuple[int, ...], dtype: str = "int8", **options: Any) -> Node:
    b = Builder()
    inputs = tuple(b.tensor(shape, dtype, quantization=Q) for shape in shapes)
    y = b.add(op, inputs, out, dtype, **options)
    b.tensors[y].quantization = Q
    return Node(b.graph(inputs, (y,)), b.operators[0], (dtype,))


def conv(size: int, stride: int, padding: int, out: int, dilation: int = 1) -> Node:
    return node(
        "CONV_2D", [(1, size, size, 2), (4, 5, 5, 2)], (1, out, out, 4), options="Conv2D", strideH=stride,
        strideW=stride, padding=padding, dilationHFactor=dilation, dilationWFactor=dilation,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (conv(24, 3, 0, 8), ""),
        (conv(24, 4, 0, 6), "its stride is 4x4, more than 3"),
        (conv(25, 4, 0, 6), ""),  # the windows just reach the edge
        (conv(24, 4, 1, 5), ""),
        (conv(40, 4, 1, 5, dilation=2), "its stride is 4x4, more than 3"),
        (conv(4, 4, 0, 1), ""),  # one window: its stride does not matter
    ],
)
def test_strides(found: Node, reason: str) -> None:
    assert refusal(found, ("most_stride 3 valid",)) == reason


@pytest.mark.parametrize(
    ("height", "width", "padding", "reason"),
    [(8, 8, 0, ""), (9, 8, 0, "its padded window is 9x8, more than 8"), (8, 9, 0, "its padded window is 8x9"),
     (256, 256, 1, ""), (257, 1, 1, "its window is 257x1, more than 256"), (256, 257, 1, "its window is 256x257")],
)  # fmt: skip
def test_pools(height: int, width: int, padding: int, reason: str) -> None:
    found = node(
        "AVERAGE_POOL_2D", [(1, 300, 300, 1)], (1, 4, 4, 1), options="Pool2D", filterHeight=height, filterWidth=width,
        padding=padding,
    )  # fmt: skip
    assert refusal(found, ("pooled 8",)).startswith(reason) and bool(refusal(found, ("pooled 8",))) == bool(reason)


def test_scales() -> None:
    found = node("MAXIMUM", [(1, 4), (1, 4)], (1, 4))
    assert refusal(found, ("same_scales", "scaled")) == ""
    found.graph.tensors[1].quantization = Quantization(Q.scale, np.array([2]))
    assert "is quantized otherwise than the result" in refusal(found, ("same_scales",))
    found.graph.tensors[1].quantization = None
    assert "is not quantized" in refusal(found, ("scaled",))


@pytest.mark.parametrize(("dtype", "ok"), [("int8", True), ("uint8", True), ("int16", False)])
def test_zero_points_of_wide_integers_are_zero(dtype: str, ok: bool) -> None:
    assert (refusal(node("RELU", [(1, 4)], (1, 4), dtype), ("small_zero",)) == "") is ok


@pytest.mark.parametrize(("shape", "ok"), [((1, 2, 2, 3), True), ((2, 2, 2, 3), False), ((2, 3), True)])
def test_the_batch_of_four_dimensions_is_one(shape: tuple[int, ...], ok: bool) -> None:
    assert (refusal(node("MEAN", [shape], shape), ("batch_one",)) == "") is ok


@pytest.mark.parametrize(
    ("axis", "depth", "reason"), [(3, 127, ""), (-1, 127, ""), (3, 128, "more than 127"), (2, 9, "last axis")]
)
def test_the_axis_of_arg_max(axis: int, depth: int, reason: str) -> None:
    b = Builder()
    x = b.tensor((1, 2, 2, depth), "int8", quantization=Q)
    y = b.add("ARG_MAX", (x, b.constant(np.array([axis], np.int32))), (1, 2, 2), "int32")
    said = refusal(Node(b.graph((x,), (y,)), b.operators[0], ("int8",)), ("last_axis 127",))
    assert reason in said and bool(said) == bool(reason)


@pytest.mark.parametrize(
    ("size", "out", "options", "ok"),
    [
        ((4, 4), (8, 8), {}, True),
        ((4, 4), (12, 12), {}, False),
        ((4, 4), (8, 16), {}, False),
        ((1, 1), (5, 7), {}, True),
        ((4, 4), (4, 4), {}, True),
        ((4, 4), (7, 7), {"alignCorners": True}, True),
        ((4, 4), (16, 16), {}, True),
        ((4, 4), (8, 8), {"halfPixelCenters": True}, True),
        ((4, 4), (16, 16), {"halfPixelCenters": True}, False),
    ],
)
def test_resizes(size: tuple[int, int], out: tuple[int, int], options: dict[str, bool], ok: bool) -> None:
    found = node("RESIZE_BILINEAR", [(1, *size, 3)], (1, *out, 3), options="ResizeBilinear", **options)
    assert (refusal(found, ("upscale 2 4 8",)) == "") is ok
