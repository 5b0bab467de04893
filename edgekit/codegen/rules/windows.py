"""Windows and rows: pooling, softmax, resized feature maps."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.builder import Builder, padded_sides, require
from edgekit.codegen.kernels import L2Normalization, LogSoftmax, Pool, Resize, Softmax
from edgekit.graph import Operator


def pool(b: Builder, number: int, operator: Operator) -> None:
    """Lower MAX_POOL_2D and AVERAGE_POOL_2D."""
    o, target = operator.options, operator.outputs[0]
    x, y = (b.graph.tensors[i].shape for i in (operator.inputs[0], target))
    require(len(x) == len(y) == 4 and x[3] == y[3], "its shapes do not fit one another")
    window, strides = (o.filterHeight, o.filterWidth), (o.strideH, o.strideW)
    require(min(*window, *strides) > 0, "its windows have no size")
    pads = padded_sides(o, x, y, window)
    kind: Literal["max", "average"] = "max" if operator.op == "MAX_POOL_2D" else "average"
    limits = b.limits(target, o.fusedActivationFunction)
    b.add(Pool(
        b.nodes[number], target, kind, operator.inputs[0], window, strides, (pads[0][0], pads[1][0]), limits,
    ))  # fmt: skip


def softmax(b: Builder, number: int, operator: Operator) -> None:
    """Lower SOFTMAX."""
    x, y = (b.graph.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
    require(x == y, "its output has another shape")
    b.add(Softmax(b.nodes[number], operator.outputs[0], operator.inputs[0], float(operator.options.beta)))


def rows(b: Builder, number: int, operator: Operator) -> None:
    """Lower LOG_SOFTMAX and L2_NORMALIZATION in integers."""
    x, y = (b.graph.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
    require(x == y and x, "its output has another shape")
    kind = LogSoftmax if operator.op == "LOG_SOFTMAX" else L2Normalization
    b.add(kind(b.nodes[number], operator.outputs[0], operator.inputs[0]))


def resize(b: Builder, number: int, operator: Operator) -> None:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR of one feature map."""
    x, y = (b.graph.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
    require(len(x) == len(y) == 4 and x[3] == y[3], "its shapes do not fit one another")
    method: Literal["nearest", "bilinear"] = "nearest" if operator.op == "RESIZE_NEAREST_NEIGHBOR" else "bilinear"
    exact = method == "bilinear" and b.graph.tensors[operator.inputs[0]].dtype == "int8"
    rows, columns = ((whole_positions if exact else positions)(x[axis], y[axis], operator) for axis in (1, 2))
    limits = b.limits(operator.outputs[0], 0)
    b.add(Resize(b.nodes[number], operator.outputs[0], method, operator.inputs[0], rows, columns, limits))


def positions(given: int, made: int, operator: Operator) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """For each output position the two input positions it lies between, and how far it is to the second.

    For RESIZE_NEAREST_NEIGHBOR the first is the nearest. Formulas: TFLite's reference_ops/resize_*.h.
    """
    o, i = operator.options, np.arange(made, dtype=np.float32)
    scale = np.float32((given - 1) / (made - 1) if o.alignCorners and made > 1 else given / made)
    half = np.float32(0.5 if o.halfPixelCenters else 0)
    if operator.op == "RESIZE_NEAREST_NEIGHBOR":
        at = (i + half) * scale
        at = np.floor(at + np.float32(0.5)) if o.alignCorners else np.floor(at)
        nearest = np.clip(at, 0, given - 1).astype(np.int32)
        return nearest, nearest, np.zeros(made, np.float32)
    at = (i + half) * scale - half
    first = np.maximum(np.floor(at), 0)
    second = np.minimum(np.ceil(at), given - 1)
    return first.astype(np.int32), second.astype(np.int32), (at - first).astype(np.float32)


def whole_positions(given: int, made: int, operator: Operator) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """:func:`positions` of RESIZE_BILINEAR in int8: in steps of 1/1024 (reference_ops/resize_bilinear.h)."""
    o, i = operator.options, np.arange(made)
    between = 1 if o.alignCorners and made > 1 else 0
    scale = (1024 * (given - between) + (made - between) // 2) // (made - between)
    at = i * scale + (scale // 2 - 512 if o.halfPixelCenters else 0)
    first = np.maximum(at // 1024, 0)  # where a division that truncates has another result, 0 counts
    second = np.minimum((at + 1023) // 1024, given - 1)
    return first.astype(np.int32), second.astype(np.int32), ((at - 1024 * first) / 1024).astype(np.float32)
