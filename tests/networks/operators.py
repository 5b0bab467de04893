"""Networks of many operators side by side: one per family, in all the shapes and options that matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgekit.codegen.functions import REAL
from edgekit.graph import Graph
from tests.networks.building import RELU, RELU6, RELU_N1_TO_1, Pictures, several
from tests.networks.typed import choices, layouts, lookups


def convolutions() -> Graph:
    n = Pictures()
    a, b, c = n.tensor((1, 13, 17, 3)), n.tensor((1, 9, 14, 10)), n.tensor((1, 7, 7, 24))
    d, e = n.tensor((1, 8, 8, 64)), n.tensor((1, 6, 5, 1))
    n.conv(a, 8, (3, 3), (2, 2), activation=RELU6)
    n.conv(a, 7, (5, 3), valid=True, activation=RELU)
    n.conv(a, 16, dilation=(2, 2))
    n.conv(a, 16, (3, 5), dilation=(2, 1), valid=True, activation=RELU_N1_TO_1)
    n.conv(a, 24, (1, 1), (2, 3))
    n.conv(b, 3, (1, 1))
    n.conv(b, 10, (3, 3), (2, 2))
    n.conv(b, 13, (2, 4), (1, 2))
    n.conv(c, 64, (1, 1), activation=RELU)
    n.conv(c, 5, (7, 7), valid=True)
    n.conv(c, 24)
    n.conv(d, 24, (1, 1), (2, 2))
    n.conv(d, 48, (2, 2), (1, 1))
    n.conv(d, 32, (3, 3), (2, 2))
    n.conv(e, 1)
    n.conv(e, 6, (4, 5), (3, 2), activation=RELU6)
    return n.all_results(a, b, c, d, e)


def depthwise() -> Graph:
    n = Pictures()
    a, b, c = n.tensor((1, 12, 9, 3)), n.tensor((1, 14, 14, 16)), n.tensor((1, 7, 11, 37))
    n.depthwise(a)
    n.depthwise(a, (5, 5), (2, 2), activation=RELU6)
    n.depthwise(a, (3, 2), valid=True)
    n.depthwise(b, activation=RELU)
    n.depthwise(b, strides=(2, 2))
    n.depthwise(b, (7, 7), dilation=(1, 1))
    n.depthwise(b, dilation=(2, 2), activation=RELU_N1_TO_1)
    n.depthwise(b, (3, 3), (2, 2), valid=True)
    n.depthwise(c, (4, 4), (1, 3))
    n.depthwise(c, (7, 11), valid=True)
    return n.all_results(a, b, c)


def dense() -> Graph:
    n = Pictures()
    a, b, c = n.tensor((1, 37)), n.tensor((5, 64)), n.tensor((1, 3, 4, 8))
    n.dense(a, 10)
    n.dense(a, 1, RELU)
    n.dense(a, 128, RELU6, bias=False)
    n.dense(b, 7)
    n.dense(b, 48, RELU)
    n.dense(c, 11, keep=True)
    return n.all_results(a, b, c)


def windows() -> Graph:
    n = Pictures()
    a, b = n.tensor((1, 13, 9, 10)), n.tensor((1, 8, 8, 64))
    for op in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        n.pool(op, a, (2, 2), (2, 2), True)
        n.pool(op, a, (3, 3), (2, 2), False, RELU)
        n.pool(op, a, (3, 2), (1, 1), False)
        n.pool(op, b, (8, 8), (8, 8), True)
        n.pool(op, b, (2, 3), (3, 1), False, RELU6)
    axes = n.constant(np.array([1, 2], np.int32))
    n.add("MEAN", (a, axes), (1, 10), options="Reducer", keepDims=False)
    n.add("MEAN", (b, axes), (1, 1, 1, 64), options="Reducer", keepDims=True)
    n.pad(a, (0, 0), (1, 2), (0, 3), (0, 0))
    n.conv(n.pad(b, (0, 0), (1, 1), (1, 1), (0, 0)), 16, valid=True)
    n.conv(n.pad(a, (0, 0), (0, 1), (0, 1), (0, 0)), 16, strides=(2, 2))
    return n.all_results(a, b)


def elementwise() -> Graph:
    n = Pictures()
    a, b, c = n.tensor((1, 5, 7, 10)), n.tensor((1, 5, 7, 10)), n.tensor((1, 37))
    for op in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"):
        n.add2(op, a, b)
        n.add2(op, n.bias(10), a)
        n.add2(op, c, n.constant(np.array([0.4], np.float32)))
    n.add2("ADD", a, a, RELU)
    n.add2("SUB", b, a, RELU6)
    n.add2("MUL", b, n.bias(10), RELU_N1_TO_1)
    for op in ("RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH"):
        n.add(op, (a,), (1, 5, 7, 10), options="HardSwish" if op == "HARD_SWISH" else None)
        n.add(op, (c,), (1, 37), options="HardSwish" if op == "HARD_SWISH" else None)
    n.add("SOFTMAX", (c,), (1, 37), options="Softmax", beta=1.0)
    n.add("SOFTMAX", (a,), (1, 5, 7, 10), options="Softmax", beta=0.5)
    return n.all_results(a, b, c)


def functions() -> Graph:
    n = Pictures()
    a, b, positive = n.tensor((1, 5, 7, 10)), n.tensor((1, 37)), n.tensor((3, 11), name="positive")
    options = {"LEAKY_RELU": {"options": "LeakyRelu", "alpha": 0.2}, "GELU": {"options": "Gelu"}}
    for op in sorted(REAL):
        x = positive if op in ("LOG", "SQRT", "RSQRT") else a if op < "N" else b
        x = n.add("EXP", (x,), (3, 11)) if x == positive else x
        n.add(op, (x,), n.tensors[x].shape, **options.get(op, {}))
    n.add2("PRELU", a, n.bias(10))
    n.add2("PRELU", a, n.weights(5, 7, 10, fan_in=9))
    n.add2("SQUARED_DIFFERENCE", a, n.weights(1, 1, 1, 1, fan_in=1))
    n.add2("DIV", b, n.add("EXP", (b,), (1, 37)))
    n.add2("SUB", a, n.add("MEAN", (a, n.constant(np.array([1, 2], np.int32))), (1, 1, 1, 10), options="Reducer",
                           keepDims=True))  # fmt: skip
    n.add2("MUL", n.weights(7, 1, fan_in=1), a, RELU)
    n.add2("ADD", n.weights(5, 7, 10, fan_in=1), a, RELU6)
    return n.all_results(a, b, positive)


def moves() -> Graph:
    n = Pictures()
    a, b, c = n.tensor((1, 6, 8, 12)), n.tensor((1, 6, 8, 5)), n.tensor((4, 6, 10))
    whole = lambda *v: n.constant(np.array(v, np.int32))  # noqa: E731
    n.conv(n.add("CONCATENATION", (a, b, a), (1, 6, 8, 29), options="Concatenation", axis=3), 8)
    n.add("CONCATENATION", (b, b), (1, 12, 8, 5), options="Concatenation", axis=1)
    n.add("CONCATENATION", (c, c), (4, 6, 20), options="Concatenation", axis=-1)
    n.add("TRANSPOSE", (a, whole(0, 3, 1, 2)), (1, 12, 6, 8), options="Transpose")
    n.conv(n.add("TRANSPOSE", (a, whole(0, 2, 1, 3)), (1, 8, 6, 12), options="Transpose"), 8)
    n.add("TRANSPOSE", (c, whole(2, 0, 1)), (10, 4, 6), options="Transpose")
    n.add("SLICE", (a, whole(0, 1, 2, 3), whole(1, 4, -1, 5)), (1, 4, 6, 5), options="Slice")
    n.add("STRIDED_SLICE", (a, whole(0, 0, 1, 0), whole(1, 6, 8, 12), whole(1, 2, 3, 1)), (1, 3, 3, 12),
          options="StridedSlice", endMask=8, beginMask=1)  # fmt: skip
    n.add("STRIDED_SLICE", (c, whole(1, -1, 0), whole(2, -7, 0), whole(1, -1, 1)), (6, 10), options="StridedSlice",
          shrinkAxisMask=1, endMask=4)  # fmt: skip
    n.add("SPACE_TO_DEPTH", (a,), (1, 3, 4, 48), options="SpaceToDepth", blockSize=2)
    n.add("DEPTH_TO_SPACE", (a,), (1, 12, 16, 3), options="DepthToSpace", blockSize=2)
    for size, align, half in (((12, 16), False, False), ((9, 5), True, False), ((7, 13), False, True)):
        for op, kind in (("RESIZE_BILINEAR", "ResizeBilinear"), ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor")):
            n.add(op, (a, whole(*size)), (1, *size, 12), options=kind, alignCorners=align, halfPixelCenters=half)
    n.conv(n.add("RESIZE_NEAREST_NEIGHBOR", (b, whole(12, 16)), (1, 12, 16, 5), options="ResizeNearestNeighbor"), 8)
    n.add("GATHER", (a, whole(7, 0, 1, 2, 7)), (1, 6, 5, 12), options="Gather", axis=2)
    n.add("GATHER", (c, n.constant(np.array(3, np.int32))), (4, 6), options="Gather", axis=2)
    padding = n.constant(np.array([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32))
    n.add("PADV2", (n.add("RELU", (b,), (1, 6, 8, 5)), padding, n.constant(np.array([0.25], np.float32))), (1, 9, 9, 5))
    n.conv(n.add("PADV2", (b, padding, n.constant(np.array([0.5], np.float32))), (1, 9, 9, 5)), 4)
    middle = n.add("SLICE", (c, whole(0, 2, 0), whole(4, 1, 10)), (4, 1, 10), options="Slice")
    n.add("BROADCAST_TO", (middle, whole(4, 6, 10)), (4, 6, 10), options="BroadcastTo")
    n.operators[-1] = replace(n.operators[-1], version=2)
    several(n, "SPLIT", (whole(3), a), [(1, 6, 8, 4)] * 3, "Split", numSplits=3)
    several(n, "SPLIT_V", (c, whole(1, 5), whole(1)), [(4, 1, 10), (4, 5, 10)], "SplitV", numSplits=2)
    parts = several(n, "UNPACK", (c,), [(4, 10)] * 6, "Unpack", num=6, axis=1)
    n.add("PACK", tuple(parts[:3]), (4, 10, 3), options="Pack", valuesCount=3, axis=2)
    return n.all_results(a, b, c)


def rewritten() -> Graph:
    """Operators that others stand for."""
    n = Pictures()
    a, b, c = n.tensor((1, 6, 8, 12)), n.tensor((1, 9, 7, 1)), n.tensor((1, 4, 5, 3))
    n.depthwise(b, (4, 3), (2, 1), activation=RELU, times=10)
    n.depthwise(c, times=5)
    n.depthwise(a, (5, 5), (2, 2), times=2, activation=RELU6)
    grouped = n.conv(a, 8)
    n.operators[-1].inputs = (a, n.weights(8, 3, 3, 3, fan_in=27), n.operators[-1].inputs[2])
    n.conv(grouped, 16, (1, 1))
    for kernel, stride, valid in ((3, 2, False), (4, 2, True), (2, 3, False), (3, 1, False), (5, 3, True)):
        shape = tuple((size - 1) * stride + kernel if valid else size * stride for size in (4, 5))
        given = (n.constant(np.array([1, *shape, 6], np.int32)), n.weights(6, kernel, kernel, 3, fan_in=9), c)
        bias = (n.bias(6),) if kernel != 4 else ()
        n.add("TRANSPOSE_CONV", (*given, *bias), (1, *shape, 6), options="TransposeConv", padding=int(valid),
              strideH=stride, strideW=stride)  # fmt: skip
        n.operators[-1] = replace(n.operators[-1], version=3)
    return n.all_results(a, b, c)


def sums() -> Graph:
    n = Pictures()
    a, b, c = n.tensor((1, 6, 8, 12)), n.tensor((4, 6, 10)), n.tensor((4, 10, 7))
    for op in ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN"):
        for x, axes, shape in ((a, [3], (1, 6, 8)), (a, [1], (1, 8, 12)), (b, [0, 2], (6,)), (b, [1], (4, 10))):
            n.add(op, (x, n.constant(np.array(axes, np.int32))), shape, options="Reducer", keepDims=False)
        axes = n.constant(np.array([-1], np.int32))
        n.add(op, (a, axes), (1, 6, 8, 1), options="Reducer", keepDims=True)
    n.add("BATCH_MATMUL", (b, c), (4, 6, 7), options="BatchMatMul")
    n.add("BATCH_MATMUL", (b, b), (4, 6, 6), options="BatchMatMul", adjY=True)
    n.add("BATCH_MATMUL", (b, n.weights(10, 16, fan_in=10)), (4, 6, 16), options="BatchMatMul")
    return n.all_results(a, b, c)


def chains() -> Graph:
    """What is folded together, read twice, renamed, or an input and an output at once."""
    n = Pictures()
    a, b = n.tensor((1, 8, 9, 16)), n.tensor((1, 12))
    first = n.conv(a, 16, activation=RELU)
    left = n.conv(first, 16)
    sum_ = n.add2("ADD", left, first, RELU)  # folded: the convolution's output comes first
    right = n.conv(sum_, 16, (1, 1))
    other = n.add2("ADD", sum_, right, RELU6)  # folded: it comes second
    twice = n.conv(other, 16)
    n.add2("ADD", twice, twice)  # not folded
    both = n.conv(other, 16)
    n.add2("ADD", n.conv(other, 16, strides=(1, 1)), both)  # either of the two could take the other
    n.conv(n.depthwise(first, activation=RELU6), 24, (1, 1))
    flat = n.reshape(other, 1, 8 * 9 * 16)
    n.dense(flat, 10)
    n.conv(n.reshape(first, 1, 9, 8, 16), 8)  # a new shape that is padded
    n.conv(n.reshape(b, 1, 2, 2, 3), 4, (2, 2))
    row = n.add("SQUEEZE", (n.reshape(b, 1, 1, 12),), (1, 12), options="Squeeze", squeezeDims=[1])
    n.dense(n.add("EXPAND_DIMS", (row, n.constant(np.array(1, np.int32))), (1, 1, 12), options="ExpandDims"), 6)
    n.add("SOFTMAX", (n.dense(b, 5),), (1, 5), options="Softmax", beta=1.0)
    graph = n.all_results(a, b)
    main = graph.main
    main.outputs = (*main.outputs, first, b)  # an inner value too, and an input that is an output
    return graph


NETWORKS: dict[str, Callable[[], Graph]] = {
    "convolutions": convolutions, "depthwise": depthwise, "dense": dense, "windows": windows,
    "elementwise": elementwise, "functions": functions, "moves": moves, "sums": sums, "rewritten": rewritten,
    "layouts": layouts,
}  # fmt: skip
TYPES: dict[str, Callable[[], Graph]] = {"choices": choices, "lookups": lookups}
"""These have activations of other types than float32: not for GPUs."""
