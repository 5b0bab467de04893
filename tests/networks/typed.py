"""Networks of operators whose tensors are not all floats, of indices, and of layouts."""

from __future__ import annotations

import numpy as np

from edgekit.graph import Graph, Quantization
from tests.networks.building import RELU, RELU6, Pictures, several


def choices() -> Graph:
    """Comparisons, truth values, choices, conversions, indices: float32, int32, int64, bool."""
    n = Pictures()
    a, b, c = n.tensor((1, 5, 7, 6)), n.tensor((1, 5, 7, 6)), n.tensor((4, 9))
    whole = lambda *v: n.constant(np.array(v, np.int32))  # noqa: E731
    any_, every, wide = n.tensor((4, 9), "int32"), n.tensor((4, 9), "int32"), n.tensor((4, 9), "int64")
    i, j = (n.add("FLOOR_MOD", (x, whole(3)), (4, 9), "int32") for x in (any_, every))
    half = n.constant(np.array([0.5], np.float32))
    orders = ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
    truths = [n.add(op, pair, (1, 5, 7, 6), "bool") for op in orders for pair in ((a, b), (a, half))]
    same = n.add("EQUAL", (i, n.add("MINIMUM", (i, j), (4, 9), "int32", options="MaximumMinimum")), (4, 9), "bool")
    other = n.add("NOT_EQUAL", (i, j), (4, 9), "bool")
    both = n.add("LOGICAL_AND", (same, other), (4, 9), "bool")
    n.add("LOGICAL_OR", (both, n.add("LOGICAL_NOT", (same,), (4, 9), "bool")), (4, 9), "bool")
    n.add("SELECT_V2", (truths[0], a, half), (1, 5, 7, 6))
    n.add("SELECT", (same, i, j), (4, 9), "int32")
    n.add("SELECT_V2", (n.add("LESS", (c, half), (4, 9), "bool"), c, n.add("NEG", (c,), (4, 9))), (4, 9))
    axis, rows = whole(1), whole(0)
    n.add("REDUCE_ANY", (both, rows), (9,), "bool", options="Reducer", keepDims=False)
    n.add("REDUCE_ALL", (other, rows), (1, 9), "bool", options="Reducer", keepDims=True)
    flat = n.add("RELU", (c,), (4, 9))
    kinds = ((c, "int32"), (flat, "bool"), (i, "float32"), (wide, "float32"), (i, "int64"), (wide, "int32"))
    for x, to in (*kinds, (same, "float32"), (same, "int32"), (i, "bool")):
        n.add("CAST", (x,), (4, 9), to, options="Cast")
    long = n.add("CAST", (j,), (4, 9), "int64", options="Cast")
    for op, options in (("ADD", "Add"), ("SUB", "Sub"), ("MUL", "Mul"), ("MAXIMUM", "MaximumMinimum")):
        n.add(op, (i, j), (4, 9), "int32", options=options)
        n.add(op, (wide, long), (4, 9), "int64", options=options)
    for op in ("FLOOR_DIV", "FLOOR_MOD"):
        n.add(op, (any_, n.constant(np.arange(-4, 5, dtype=np.int32) * 2 + 1)), (4, 9), "int32")
        n.add(op, (c, half), (4, 9))
    n.add("DIV", (any_, whole(3)), (4, 9), "int32", options="Div")
    n.add("POW", (n.add("EXP", (c,), (4, 9)), half), (4, 9))
    for op, dtype in (("SUM", "int32"), ("REDUCE_MAX", "int32"), ("REDUCE_MIN", "int32"), ("REDUCE_PROD", "float32")):
        n.add(op, (c if dtype == "float32" else any_, axis), (4,), dtype, options="Reducer", keepDims=False)
    n.add("CONCATENATION", (i, j), (8, 9), "int32", options="Concatenation", axis=0)
    n.add("TRANSPOSE", (wide, whole(1, 0)), (9, 4), "int64", options="Transpose")
    n.reshape(n.add("SLICE", (i, whole(1, 2), whole(2, 3)), (2, 3), "int32", options="Slice"), 3, 2)
    n.tensors[n.operators[-1].outputs[0]].dtype = "int32"
    return n.all_results(a, b, c, any_, every, wide)


def lookups() -> Graph:
    n = Pictures()
    a, c = n.tensor((1, 5, 7, 6)), n.tensor((4, 9))
    rows = n.add("ARG_MAX", (c, n.constant(np.array([1], np.int32))), (4,), "int32", options="ArgMax", outputType=2)
    index = n.add("ARG_MIN", (c, n.constant(np.array([0], np.int32))), (9,), "int64", options="ArgMin", outputType=4)
    n.add("ARG_MAX", (a, n.constant(np.array([2], np.int32))), (1, 5, 6), "int64", options="ArgMax", outputType=4)
    five = n.add("MINIMUM", (rows, n.constant(np.array(5, np.int32))), (4,), "int32", options="MaximumMinimum")
    n.add("GATHER", (a, five), (1, 5, 7, 4), options="Gather", axis=3)
    n.add("GATHER", (c, index), (9, 9), options="Gather", axis=0)
    n.add("GATHER", (c, n.reshape(rows, 4, 1)), (4, 1), options="Gather", axis=1, batchDims=1)
    n.tensors[n.operators[-2].outputs[0]].dtype = "int32"
    n.add("GATHER", (c, n.constant(np.array([[1, 0], [3, 2]], np.int32))), (2, 2, 9), options="Gather", axis=0)
    pairs = n.constant(np.array([[0, 3], [2, 8], [3, 0]], np.int32))
    n.add("GATHER_ND", (c, pairs), (3,), options="GatherNd")
    row = n.reshape(n.add("SLICE", (c, n.constant(np.array([1, 0], np.int32)), n.constant(np.array([1, 9], np.int32))),
                          (1, 9), options="Slice"), 9)  # fmt: skip
    n.add("GATHER", (row, rows), (4,), options="Gather")
    n.add("GATHER", (row, n.constant(np.array(4, np.int32))), (), options="Gather")
    n.add("ARG_MAX", (row, n.constant(np.array(0, np.int32))), (), "int32", options="ArgMax", outputType=2)
    n.add("CUMSUM", (row, n.constant(np.array(0, np.int32))), (9,), options="Cumsum")
    n.add("PACK", tuple(several(n, "UNPACK", (row,), [()] * 9, "Unpack", num=9, axis=0)), (9,), options="Pack",
          valuesCount=9)  # fmt: skip
    table = n.weights(9, 5, fan_in=1)
    n.add("EMBEDDING_LOOKUP", (rows, table), (4, 5))
    on, off, depth = (n.constant(np.array(v, d)) for v, d in ((1.5, np.float32), (-0.5, np.float32), (9, np.int32)))
    n.add("ONE_HOT", (rows, depth, on, off), (4, 9), options="OneHot", axis=-1)
    n.add("ONE_HOT", (rows, depth, on, off), (9, 4), options="OneHot", axis=0)
    axis = n.constant(np.array(1, np.int32))
    for exclusive in (False, True):
        for reverse in (False, True):
            n.add("CUMSUM", (c, axis), (4, 9), options="Cumsum", exclusive=exclusive, reverse=reverse)
    n.add("CUMSUM", (a, n.constant(np.array(2, np.int32))), (1, 5, 7, 6), options="Cumsum")
    return n.all_results(a, c)


def layouts() -> Graph:
    """Batches of pictures, padding of any axis, tiles, rows."""
    n = Pictures()
    a, b, c = n.tensor((3, 6, 8, 4)), n.tensor((1, 6, 8, 12)), n.tensor((2, 3, 2, 5, 2))
    whole = lambda *v: n.constant(np.array(v, np.int32))  # noqa: E731
    several = n.conv(a, 8, activation=RELU)
    n.tensors[several].shape = (3, 6, 8, 8)
    pooled = [n.pool("MAX_POOL_2D", several, (2, 2), (2, 2), True)]
    pooled.append(n.pool("AVERAGE_POOL_2D", several, (3, 3), (1, 1), False))
    for made in (n.depthwise(several, (3, 3), (2, 2)), *pooled):
        n.tensors[made].shape = (3, *n.tensors[made].shape[1:])
    n.add2("ADD", several, n.bias(8))
    axes = whole(1, 2)
    n.add("MEAN", (several, axes), (3, 8), options="Reducer", keepDims=False)
    n.add("RESIZE_BILINEAR", (a, whole(9, 5)), (3, 9, 5, 4), options="ResizeBilinear", alignCorners=False,
          halfPixelCenters=True)  # fmt: skip
    n.pad(a, (0, 1), (1, 0), (2, 2), (0, 0))
    n.pad(b, (0, 0), (1, 0), (0, 0), (3, 1))
    n.pad(c, (1, 0), (0, 0), (0, 1), (2, 0), (0, 0))
    for mode in (0, 1):
        n.add("MIRROR_PAD", (b, whole([0, 0], [2, 1], [1, 3], [0, 0])), (1, 9, 12, 12), options="MirrorPad", mode=mode)
    n.add("MIRROR_PAD", (n.reshape(b, 48, 12), whole([1, 0], [0, 5])), (49, 17), options="MirrorPad", mode=0)
    n.add("TILE", (b, whole(2, 1, 3, 2)), (2, 6, 24, 24), options="Tile")
    n.add("REVERSE_V2", (b, whole(2)), (1, 6, 8, 12), options="ReverseV2")
    n.add("TRANSPOSE", (c, whole(4, 2, 0, 3, 1)), (2, 2, 2, 5, 3), options="Transpose")
    many = n.add("SPACE_TO_BATCH_ND", (b, whole(2, 3), whole([0, 2], [1, 0])), (6, 4, 3, 12), options="SpaceToBatchND")
    n.add("BATCH_TO_SPACE_ND", (many, whole(2, 3), whole([0, 2], [1, 0])), (1, 6, 8, 12), options="BatchToSpaceND")
    n.add("LOG_SOFTMAX", (n.reshape(b, 48, 12),), (48, 12), options="LogSoftmax")
    n.add("L2_NORMALIZATION", (b,), (1, 6, 8, 12), options="L2Norm")
    for tanh in (False, True):
        n.add("GELU", (b,), (1, 6, 8, 12), options="Gelu", approximate=tanh)
    return n.all_results(a, b, c)


def scaled(scale: float, zero: int) -> Quantization:
    return Quantization(np.array([scale], np.float32), np.array([zero], np.int64), 0)


def bytes_() -> Graph:
    """int8 operators that edgekit's recipes leave in float."""
    n = Pictures()
    a, b = (n.tensor((3, 8), "int8", quantization=q) for q in (scaled(0.05, -20), scaled(0.08, 31)))
    for op in ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL"):
        truth = n.add(op, (a, b), (3, 8), "bool")
    zeros = n.constant(np.full((1, 8), -20, np.int8), quantization=scaled(0.05, -20))
    best = n.add("ARG_MAX", (a, n.constant(np.array([1], np.int32))), (3,), "int32", options="ArgMax", outputType=2)
    made = [
        (n.add("SELECT_V2", (truth, a, zeros), (3, 8), "int8"), scaled(0.05, -20)),
        (n.add("GATHER", (b, best), (3, 3), "int8", options="Gather", axis=1), scaled(0.08, 31)),
        (n.add("TILE", (b, n.constant(np.array([2, 1], np.int32))), (6, 8), "int8"), scaled(0.08, 31)),
        (n.add("LOG_SOFTMAX", (a,), (3, 8), "int8", options="LogSoftmax"), scaled(16 / 256, 127)),
        (n.add("L2_NORMALIZATION", (b,), (3, 8), "int8", options="L2Norm"), scaled(1 / 128, 0)),
        (n.pad(a, (1, 0), (0, 2)), scaled(0.05, -20)),
    ]
    for tensor, quantization in made:
        n.tensors[tensor].dtype, n.tensors[tensor].quantization = "int8", quantization
    return n.all_results(a, b)


def extremes() -> Graph:
    """int8 convolutions that do not fit where ordinary ones do: weights of -128, sums and results of many bits."""
    n = Pictures()
    x = n.tensor((1, 5, 6, 512), "int8", quantization=scaled(0.02, 5))
    rng = np.random.default_rng(3)
    for scale in (0.5, 0.002, 1e-5):  # results of few bits, of many, of more than 22
        for kernel, op in (((3, 3), "depthwise"), ((2, 2), "depthwise"), ((1, 1), "conv"), ((3, 3), "conv")):
            out = n.depthwise(x, kernel, activation=RELU6) if op == "depthwise" else n.conv(x, 16, kernel)
            weights, bias = n.operators[-1].inputs[1:3]
            values = rng.integers(-128, 128, n.tensors[weights].shape).astype(np.int8)
            values[:, 0, 0] = 127
            n.tensors[weights].data, n.tensors[weights].dtype = values.reshape(-1).view(np.uint8), "int8"
            n.tensors[weights].quantization = scaled(0.01, 0)
            sums = rng.integers(-9999, 9999, n.tensors[bias].shape).astype(np.int32)
            n.tensors[bias].data, n.tensors[bias].dtype = sums.view(np.uint8), "int32"
            n.tensors[bias].quantization = scaled(0.0002, 0)
            n.tensors[out].dtype, n.tensors[out].quantization = "int8", scaled(scale, -7)
    return n.all_results(x)
