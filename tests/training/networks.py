"""One small network for each operator that can be trained through: a dense layer, then the operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph
from tests.networks.small import Builder

CHILD = "tests.training.training_child"
"""The module whose tasks tests run in a child process."""

RNG = np.random.default_rng(7)
Shape = tuple[int, ...]


def normal(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: Any) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def dense(b: Builder, x: int, shape: Shape) -> int:
    """A dense layer from and to ``shape``, along its last dimension."""
    size = shape[-1]
    given = (x, b.constant(normal(size, size)), b.constant(normal(size)))
    return b.add("FULLY_CONNECTED", given, shape, options="FullyConnected", keepNumDims=True)


def several(
    b: Builder, op: str, inputs: tuple[int, ...], shapes: Sequence[Shape], version: int = 1, **options: Any
) -> tuple[int, ...]:
    """Append an operator with several outputs."""
    first = b.add(op, inputs, shapes[0], **options)
    outputs = (first, *(b.tensor(shape) for shape in shapes[1:]))
    b.operators[-1] = replace(b.operators[-1], outputs=outputs, version=version)
    return outputs


def after(
    op: str, shape: Shape, out: Shape | list[Shape], *constants: NDArray[Any], place: int = 0, twice: bool = False,
    positive: bool = False, **options: Any,
) -> Graph:  # fmt: skip
    """Input ``[1, ...]`` -> dense -> ``op``.

    :param constants: its other inputs, in order.
    :param place: which input the activation is.
    :param twice: the dense layer's input comes behind its output, as another activation.
    :param positive: a sigmoid stands between.
    """
    b = Builder()
    x = b.tensor(shape, name="x")
    y = dense(b, x, shape)
    y = b.add("LOGISTIC", (y,), shape) if positive else y
    inputs = [b.constant(c) for c in constants]
    inputs[place:place] = [y, x] if twice else [y]
    return b.graph((x,), several(b, op, tuple(inputs), out if isinstance(out, list) else [out], **options))


def convolution(op: str, shape: Shape, out: Shape, weights: NDArray[np.float32], **options: Any) -> Graph:
    """A convolution alone, whose weights are what is trained."""
    b = Builder()
    x = b.tensor(shape, name="x")
    kind = "Conv2D" if op == "CONV_2D" else "DepthwiseConv2D"
    given = (x, b.constant(weights), b.constant(normal(out[-1])))
    settings = {"dilationHFactor": 1, "dilationWFactor": 1, "strideH": 1, "strideW": 1, **options}
    return b.graph((x,), (b.add(op, given, out, options=kind, **settings),))


def transpose_convolution(shape: Shape, out: Shape, window: tuple[int, int], **options: Any) -> Graph:
    b = Builder()
    x = b.tensor(shape, name="x")
    weights = b.constant(normal(out[3], *window, shape[3]))
    given = (b.constant(ints(*out)), weights, x, b.constant(normal(out[3])))
    return b.graph((x,), (b.add("TRANSPOSE_CONV", given, out, options="TransposeConv", **options),))


def lookup(op: str, ids: str = "int32") -> Graph:
    """Integers -> entries of a trained table."""
    b = Builder()
    table, x = b.constant(normal(9, 4)), b.tensor((5,) if op == "EMBEDDING_LOOKUP" else (1, 5), ids, name="x")
    if op == "EMBEDDING_LOOKUP":
        return b.graph((x,), (b.add(op, (x, table), (5, 4)),))
    wide = b.add("CAST", (x,), (1, 5), "int64", options="Cast", inDataType=2, outDataType=4) if ids == "int32" else x
    y = b.add("GATHER", (table, wide), (1, 5, 4), options="Gather")
    return b.graph((x,), (y,))


def gather_inside(**options: Any) -> Graph:
    """Entries of an activation, by integers that come from another input."""
    b = Builder()
    x, ids = b.tensor((1, 6, 4), name="x"), b.tensor((1, 3), "int32", name="ids")
    y = dense(b, x, (1, 6, 4))
    out = (1, 3, 4) if options.get("batchDims") else (1, 1, 3, 4)
    return b.graph((x, ids), (b.add("GATHER", (y, ids), out, options="Gather", axis=1, **options),))


def gather_nd() -> Graph:
    b = Builder()
    x, ids = b.tensor((1, 6, 4), name="x"), b.tensor((3, 2), "int32", name="ids")
    zero = b.add("MUL", (ids, b.constant(ints(0, 1))), (3, 2), "int32", options="Mul")
    return b.graph((x, ids), (b.add("GATHER_ND", (dense(b, x, (1, 6, 4)), zero), (3, 4), options="GatherNd"),))


def one_hot() -> Graph:
    b = Builder()
    x = b.tensor((1, 5), "int32", name="x")
    given = (x, b.constant(np.array(6, np.int32)), b.constant(np.array(2, np.float32)), b.constant(np.float32(-1)))
    y = b.add("ONE_HOT", given, (1, 5, 6), options="OneHot", axis=-1)
    return b.graph((x,), (dense(b, y, (1, 5, 6)),))


def matmul(a: Shape, right: Shape, out: Shape, **options: Any) -> Graph:
    """A matrix product with a trained right operand."""
    return after("BATCH_MATMUL", a, out, normal(*right), options="BatchMatMul", **options)


def chosen(comparison: str, select: str) -> Graph:
    """Return y where a comparison of it holds, else a constant."""
    b = Builder()
    x = b.tensor((1, 3, 4), name="x")
    y = dense(b, x, (1, 3, 4))
    where = b.add(comparison, (y, b.constant(normal(1, 3, 4))), (1, 3, 4), "bool")
    other = normal(1, 3, 4) if select == "SELECT" else normal(3, 1)
    return b.graph((x,), (b.add(select, (where, y, b.constant(other)), (1, 3, 4)),))


def masked() -> Graph:
    """One row of an activation or another, by a condition for each row."""
    b = Builder()
    x = b.tensor((3, 4), name="x")
    y = dense(b, x, (3, 4))
    most = b.add("REDUCE_MAX", (y, b.constant(ints(1))), (3,), options="Reducer")
    where = b.add("LOGICAL_NOT", (b.add("LESS", (most, b.constant(normal(3))), (3,), "bool"),), (3,), "bool")
    return b.graph((x,), (b.add("SELECT", (where, y, x), (3, 4)),))


def logic() -> Graph:
    """Return y where several comparisons hold, else a constant of its shape, which the network itself finds out."""
    b = Builder()
    x, out = b.tensor((1, 3, 4), name="x"), (1, 3, 4)
    y = dense(b, x, out)
    high, low = (b.add(op, (y, b.constant(normal(4))), out, "bool") for op in ("GREATER", "LESS"))
    reduced = [b.add(f"REDUCE_{n}", (high, b.constant(ints(1))), (1, 1, 4), "bool", **REDUCER) for n in ("ANY", "ALL")]
    both = b.add("LOGICAL_AND", (reduced[0], low), out, "bool")
    either = b.add("LOGICAL_OR", (reduced[1], both), out, "bool")
    shape = b.add("SHAPE", (y,), (3,), "int32", options="Shape", outType=2)
    filled = b.add("FILL", (shape, b.constant(np.array(0.5, np.float32))), out)
    return b.graph((x,), (b.add("SELECT_V2", (either, y, filled), out),))


def beside(op: str, *constants: NDArray[Any], dtype: str = "float32", out: Shape = (1, 3, 4), **options: Any) -> Graph:
    """Return y + op(y): what has no slope of its own beside what has."""
    b = Builder()
    x = b.tensor((1, 3, 4), name="x")
    y = dense(b, x, (1, 3, 4))
    flat = b.add(op, (y, *(b.constant(c) for c in constants)), out, dtype, **options)
    if dtype != "float32":
        flat = b.add("CAST", (flat,), out, options="Cast")
    return b.graph((x,), (b.add("ADD", (y, flat), (1, 3, 4), options="Add"),))


def normalised() -> Graph:
    """A convolution whose batch norm was not folded: scale and offset of fewer dimensions."""
    b = Builder()
    x = b.tensor((1, 4, 5, 3), name="x")
    weights, bias = b.constant(normal(6, 1, 1, 3)), b.constant(normal(6))
    steps = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    y = b.add("CONV_2D", (x, weights, bias), (1, 4, 5, 6), options="Conv2D", **steps)
    y = b.add("MUL", (y, b.constant(normal(6))), (1, 4, 5, 6), options="Mul")
    y = b.add("SUB", (b.constant(normal(1, 1, 6)), y), (1, 4, 5, 6), options="Sub", fusedActivationFunction=2)
    return b.graph((x,), (b.add("MUL", (y, b.constant(np.float32(0.5).reshape(()))), (1, 4, 5, 6), options="Mul"),))


def joined() -> Graph:
    """Activations and constants, stacked and joined along the first dimension."""
    b = Builder()
    x = b.tensor((1, 4), name="x")
    y = dense(b, x, (1, 4))
    both = b.add("CONCATENATION", (y, b.constant(normal(2, 4))), (3, 4), options="Concatenation", axis=0)
    stacked = b.add("PACK", (both, b.constant(normal(3, 4))), (3, 2, 4), options="Pack", valuesCount=2, axis=1)
    total = b.add("ADD_N", (stacked, stacked, b.constant(normal(3, 2, 4))), (3, 2, 4))
    return b.graph((x,), (total,))


def dilated() -> Graph:
    """A dilated convolution as older converters write it."""
    b = Builder()
    x = b.tensor((1, 7, 6, 3), name="x")
    blocks, pads, crops = ints(2, 2), ints((2, 3), (2, 2)), ints((0, 1), (0, 0))
    y = b.add("SPACE_TO_BATCH_ND", (x, b.constant(blocks), b.constant(pads)), (4, 6, 5, 3))
    given = (y, b.constant(normal(5, 3, 3, 3)), b.constant(normal(5)))
    y = b.add("CONV_2D", given, (4, 4, 3, 5), options="Conv2D", padding=1, strideH=1, strideW=1)
    return b.graph((x,), (b.add("BATCH_TO_SPACE_ND", (y, b.constant(blocks), b.constant(crops)), (1, 7, 6, 5)),))


def lstm(
    *, coupled: bool = False, peepholes: bool = False, projection: bool = False, time_major: bool = False
) -> Graph:
    """5 steps of 3 values through 4 units; 2 outputs with ``projection``, else 4."""
    b = Builder()
    wide = 2 if projection else 4
    shape, out = ((5, 1, 3), (5, 1, wide)) if time_major else ((1, 5, 3), (1, 5, wide))
    x = b.tensor(shape, name="x")

    def group(count: int, *size: int, without: bool = False, present: bool = True) -> list[int]:
        made = [b.constant(0.5 * normal(*size)) if present else -1 for _ in range(count)]
        return [-1, *made[1:]] if without else made

    inputs = [x, *group(4, 4, 3, without=coupled), *group(4, 4, wide, without=coupled)]
    inputs += group(3, 4, without=coupled, present=peepholes) + group(4, 4, without=coupled)
    inputs += group(1, 2, 4, present=projection) + group(1, 2, present=projection)
    inputs += [b.tensor((1, wide), is_variable=True), b.tensor((1, 4), is_variable=True), *[-1] * 4]
    clips = {"cellClip": 0.6 if peepholes else 0.0, "projClip": 0.0}
    return b.graph(
        (x,),
        (
            b.add(
                "UNIDIRECTIONAL_SEQUENCE_LSTM", tuple(inputs), out, options="UnidirectionalSequenceLSTM",
                fusedActivationFunction=4, timeMajor=time_major, **clips,
            ),
        ),
    )  # fmt: skip


REDUCER = {"options": "Reducer", "keepDims": True}
PICTURE = (1, 7, 9, 4)
POOL = {"options": "Pool2D", "strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 2}
NETWORKS: dict[str, Graph] = {
    **{op: after(op, (1, 5), (1, 5)) for op in (
        "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "ELU", "LOGISTIC", "TANH", "HARD_SWISH", "EXP", "SQUARE",
        "NEG", "ABS", "SIN", "COS", "LOG_SOFTMAX", "L2_NORMALIZATION")},
    **{op: after(op, (1, 5), (1, 5), positive=True) for op in ("LOG", "SQRT", "RSQRT")},
    **{op: after(op, (1, 2, 5), (1, 2, 5), normal(5)) for op in ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU")},
    **{op: after(op, (1, 5), (1, 5), normal(1, 5), options=op.title()) for op in ("ADD", "SUB", "MUL", "DIV")},
    **{f"fused{n}": after("ADD", (1, 5), (1, 5), normal(1, 5), options="Add", fusedActivationFunction=n)
       for n in (1, 2, 3)},
    "POW": after("POW", (1, 5), (1, 5), np.float32([1, 2, 0.5, 3, -1]), positive=True, options="Pow"),
    "MUL of activations": after("MUL", (1, 5), (1, 5), twice=True, options="Mul"),
    "MUL of higher rank": after("MUL", (5,), (3, 5), normal(3, 5), options="Mul"),
    "SOFTMAX": after("SOFTMAX", (1, 5), (1, 5), options="Softmax", beta=0.5),
    "LEAKY_RELU": after("LEAKY_RELU", (1, 5), (1, 5), options="LeakyRelu", alpha=0.2),
    "GELU": after("GELU", (1, 5), (1, 5), options="Gelu"),
    "GELU approximate": after("GELU", (1, 5), (1, 5), options="Gelu", approximate=True),
    "CUMSUM": after("CUMSUM", (1, 3, 4), (1, 3, 4), np.array(1, np.int32), options="Cumsum", exclusive=True),
    "CUMSUM reverse": after("CUMSUM", (1, 3, 4), (1, 3, 4), np.array(-1, np.int32), options="Cumsum", reverse=True),
    **{f"{comparison} {select}": chosen(comparison, select) for comparison, select in (
        ("LESS", "SELECT"), ("GREATER", "SELECT_V2"), ("LESS_EQUAL", "SELECT_V2"), ("GREATER_EQUAL", "SELECT_V2"),
        ("EQUAL", "SELECT_V2"), ("NOT_EQUAL", "SELECT_V2"))},
    "SELECT of rows": masked(),
    "logic": logic(),
    **{op: beside(op) for op in ("FLOOR", "CEIL", "ROUND", "SIGN", "ZEROS_LIKE")},
    "FLOOR_DIV": beside("FLOOR_DIV", normal(4), options="FloorDiv"),
    "ARG_MAX": beside("ARG_MAX", ints(1), dtype="int64", out=(1, 4), options="ArgMax", outputType=4),
    "ARG_MIN": beside("ARG_MIN", ints(-2), dtype="int32", out=(1, 4), options="ArgMin", outputType=2),

    "CONV_2D": convolution("CONV_2D", PICTURE, (1, 4, 5, 3), normal(3, 3, 2, 4), strideH=2, strideW=2),
    "CONV_2D grouped": convolution("CONV_2D", PICTURE, (1, 4, 9, 6), normal(6, 3, 3, 2), strideH=2),
    "CONV_2D of batch 2": convolution("CONV_2D", (2, 4, 5, 3), (2, 4, 5, 2), normal(2, 3, 3, 3)),
    "DEPTHWISE_CONV_2D": convolution("DEPTHWISE_CONV_2D", PICTURE, (1, 4, 5, 8), normal(1, 3, 3, 8), strideH=2,
                                     strideW=2, depthMultiplier=2),
    "TRANSPOSE_CONV": transpose_convolution((1, 3, 4, 2), (1, 6, 8, 3), (3, 3), strideH=2, strideW=2),
    "TRANSPOSE_CONV valid": transpose_convolution((1, 3, 4, 2), (1, 7, 14, 3), (3, 5), strideH=2, strideW=3, padding=1),
    "dilated": dilated(),
    "normalised": normalised(),
    "FULLY_CONNECTED of rows": after("FULLY_CONNECTED", (2, 3, 4), (6, 5), normal(5, 4), normal(5),
                                     options="FullyConnected"),
    "GATHER int32": lookup("GATHER"),
    "GATHER int64": lookup("GATHER", "int64"),
    "GATHER of an activation": after("GATHER", (1, 3, 4), (1, 3, 2), ints(3, 1), options="Gather", axis=-1),
    "GATHER by an input": gather_inside(),
    "GATHER of a batch": gather_inside(batchDims=1),
    "GATHER_ND": gather_nd(),
    "EMBEDDING_LOOKUP": lookup("EMBEDDING_LOOKUP"),
    "ONE_HOT": one_hot(),
    "BATCH_MATMUL": matmul((1, 3, 4), (1, 4, 5), (1, 3, 5)),
    "BATCH_MATMUL broadcast": matmul((1, 2, 3, 4), (4, 5), (1, 2, 3, 5)),
    "BATCH_MATMUL adjoint": matmul((1, 2, 4, 3), (2, 5, 4), (1, 2, 3, 5), adjX=True, adjY=True),
    "BATCH_MATMUL of activations": after("BATCH_MATMUL", (1, 3, 4), (1, 3, 3), twice=True, options="BatchMatMul",
                                         adjY=True),

    "MAX_POOL_2D": after("MAX_POOL_2D", PICTURE, (1, 4, 5, 4), **POOL),
    "AVERAGE_POOL_2D": after("AVERAGE_POOL_2D", PICTURE, (1, 4, 5, 4), **POOL),
    "L2_POOL_2D": after("L2_POOL_2D", PICTURE, (1, 4, 5, 4), **POOL),
    **{f"RESIZE {kind}": after(f"RESIZE_{kind}", (1, 3, 4, 2), (1, 7, 6, 2), ints(7, 6), version=3, options=options)
       for kind, options in (("BILINEAR", "ResizeBilinear"), ("NEAREST_NEIGHBOR", "ResizeNearestNeighbor"))},
    "LOCAL_RESPONSE_NORMALIZATION": after("LOCAL_RESPONSE_NORMALIZATION", PICTURE, PICTURE, radius=1, bias=1.5,
                                          alpha=0.3, beta=0.75, options="LocalResponseNormalization"),
    "SPACE_TO_DEPTH": after("SPACE_TO_DEPTH", (1, 4, 6, 2), (1, 2, 3, 8), options="SpaceToDepth", blockSize=2),
    "DEPTH_TO_SPACE": after("DEPTH_TO_SPACE", (1, 2, 3, 8), (1, 4, 6, 2), options="DepthToSpace", blockSize=2),

    "MEAN": after("MEAN", PICTURE, (1, 4), ints(1, 2), options="Reducer"),
    "MEAN of samples": after("MEAN", (2, 3, 4), (3, 4), ints(0), options="Reducer"),
    "SUM": after("SUM", (1, 3, 4), (1, 1, 4), ints(-2), **REDUCER),
    "REDUCE_MAX": after("REDUCE_MAX", (1, 3, 4), (1, 3, 1), ints(2), **REDUCER),
    "REDUCE_MIN": after("REDUCE_MIN", (1, 3, 4), (1, 3), ints(-1), options="Reducer"),
    "REDUCE_PROD": after("REDUCE_PROD", (1, 3, 4), (1, 3), ints(-1), options="Reducer"),

    "PAD": after("PAD", PICTURE, (1, 8, 12, 4), ints([0, 0], [1, 0], [1, 2], [0, 0])),
    "PADV2": after("PADV2", (1, 3, 4), (2, 3, 5), ints([0, 1], [0, 0], [1, 0]), np.float32([0.7])),
    "MIRROR_PAD": after("MIRROR_PAD", (1, 3, 4), (1, 6, 5), ints([0, 0], [1, 2], [1, 0]), options="MirrorPad"),
    "MIRROR_PAD symmetric": after("MIRROR_PAD", (1, 3, 4), (1, 6, 5), ints([0, 0], [1, 2], [1, 0]),
                                  options="MirrorPad", mode=1),
    "RESHAPE": after("RESHAPE", PICTURE, (7, 36), ints(7, 36), options="Reshape", newShape=[7, 36]),
    "SQUEEZE": after("SQUEEZE", (1, 1, 5), (5,), options="Squeeze", squeezeDims=[0, 1]),
    "EXPAND_DIMS": after("EXPAND_DIMS", PICTURE, (1, 1, 7, 9, 4), np.array(1, np.int32)),
    "TRANSPOSE": after("TRANSPOSE", (1, 3, 4), (3, 4, 1), ints(1, 2, 0)),
    "CONCATENATION": after("CONCATENATION", (1, 3, 4), (1, 3, 8), twice=True, options="Concatenation", axis=-1),
    "joined": joined(),
    "SPLIT": after("SPLIT", (1, 3, 4), [(1, 3, 2), (1, 3, 2)], np.array(-1, np.int32), place=1, options="Split",
                   numSplits=2),
    "SPLIT_V": after("SPLIT_V", (1, 5, 2), [(1, 1, 2), (1, 4, 2)], ints(1, 4), np.array(1, np.int32),
                     options="SplitV", numSplits=2),
    "UNPACK": after("UNPACK", (3, 1, 4), [(1, 4)] * 3, options="Unpack", num=3),
    "SLICE": after("SLICE", (1, 5, 4), (1, 3, 3), ints(0, 2, 1), ints(1, 3, -1)),
    "STRIDED_SLICE": after("STRIDED_SLICE", (1, 5, 4), (5, 2), ints(0, 0, 1), ints(0, 0, -1), ints(1, 1, 1),
                           options="StridedSlice", ellipsisMask=2, shrinkAxisMask=1),
    "TILE": after("TILE", (1, 3, 4), (2, 3, 8), ints(2, 1, 2)),
    "BROADCAST_TO": after("BROADCAST_TO", (1, 4), (2, 3, 4), ints(2, 3, 4), version=2),
    "REVERSE_V2": after("REVERSE_V2", (1, 3, 4), (1, 3, 4), ints(1)),
    **{f"LSTM {name}": lstm(**kind) for name, kind in {
        "plain": {}, "coupled": {"coupled": True}, "peepholes": {"peepholes": True}, "time": {"time_major": True},
        "projection": {"projection": True}}.items()},
}  # fmt: skip


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
