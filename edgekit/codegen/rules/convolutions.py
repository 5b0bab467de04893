"""Convolutions and matrix products with constant weights, with bias, activation and a residual addition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.builder import Builder, fused, padded_sides, require
from edgekit.codegen.kernels import (
    Conv2D,
    DepthwiseConv2D,
    Epilogue,
    MatMul,
    Padding,
    Requantization,
    Residual,
    TransposeConv,
)
from edgekit.graph import Graph, Operator
from edgekit.graph.padding import SAME

INT32 = 2
"""Of the schema's TensorType."""
_OF_INT4 = {"CONV_2D": ("int8", "int16"), "FULLY_CONNECTED": ("int8", "int16"), "DEPTHWISE_CONV_2D": ("int8",)}
"""Inputs that LiteRT 2.3.0 multiplies with int4 weights; in a depthwise convolution of int16 it takes them for int8."""


def convolution(b: Builder, number: int, operator: Operator) -> None:
    """Lower CONV_2D."""
    o = operator.options
    weights = b.values(operator.inputs[1])
    x, y = (b.graph.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
    fits = len(x) == len(y) == 4 and y[3] == weights.shape[0] and x[3] % weights.shape[3] == 0
    require(fits and y[3] % (x[3] // weights.shape[3]) == 0, "its shapes do not fit its weights")
    target, residual = _residual(b, number, operator)
    b.add(Conv2D(
        b.nodes[number], target, operator.inputs[0], weights, _bias(b, operator, weights.shape[0]),
        (o.strideH, o.strideW), (o.dilationHFactor, o.dilationWFactor), _padding(b, operator, weights.shape[1:3]),
        _epilogue(b, operator, residual), x[3] // weights.shape[3],
    ))  # fmt: skip


def transposed(b: Builder, number: int, operator: Operator) -> None:
    """Lower TRANSPOSE_CONV ``(shape, weights, x, bias)``."""
    o = operator.options
    weights = b.values(operator.inputs[1])
    x, y = (b.graph.tensors[i].shape for i in (operator.inputs[2], operator.outputs[0]))
    fits = len(x) == len(y) == 4 and y[3] == weights.shape[0] and x[3] == weights.shape[3]
    require(fits and x[0] == y[0], "its shapes do not fit its weights")
    require(min(o.strideH, o.strideW) > 0, "its strides are not positive")
    cut = []
    for axis, stride in ((1, o.strideH), (2, o.strideW)):
        least = (y[axis] + stride - 1) // stride if o.padding == SAME else (y[axis] - weights.shape[axis]) // stride + 1
        require(least == x[axis], "its output does not fit its windows")
        cut.append(max(0, (x[axis] - 1) * stride + weights.shape[axis] - y[axis]) // 2)
    b.add(TransposeConv(
        b.nodes[number], operator.outputs[0], operator.inputs[2], weights, _bias(b, operator, weights.shape[0], 3),
        (o.strideH, o.strideW), (cut[0], cut[1]), _epilogue(b, operator, None, 2),
    ))  # fmt: skip


def dense(b: Builder, number: int, operator: Operator) -> None:
    """Lower FULLY_CONNECTED."""
    weights = b.values(operator.inputs[1])
    require(weights.ndim == 2, "its weights are not a matrix")
    count, depth = weights.shape
    x, y = (b.graph.tensors[i] for i in (operator.inputs[0], operator.outputs[0]))
    require(x.elements % depth == 0 and y.elements == x.elements // depth * count, "its shapes do not fit its weights")
    target, residual = _residual(b, number, operator)
    b.add(MatMul(
        b.nodes[number], target, operator.inputs[0], weights, _bias(b, operator, count),
        _epilogue(b, operator, residual),
    ))  # fmt: skip


def depthwise(b: Builder, number: int, operator: Operator) -> None:
    """Lower DEPTHWISE_CONV_2D."""
    o = operator.options
    weights = b.values(operator.inputs[1])
    x, y = (b.graph.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
    fits = weights.ndim == 4 and weights.shape[0] == 1 and len(x) == len(y) == 4
    require(fits and y[3] == weights.shape[3] and y[3] % x[3] == 0, "its shapes do not fit its weights")
    b.add(DepthwiseConv2D(
        b.nodes[number], operator.outputs[0], operator.inputs[0], weights[0], _bias(b, operator, weights.shape[3]),
        (o.strideH, o.strideW), (o.dilationHFactor, o.dilationWFactor), _padding(b, operator, weights.shape[1:3]),
        _epilogue(b, operator, None), y[3] // x[3],
    ))  # fmt: skip


def _padding(b: Builder, operator: Operator, kernel: tuple[int, ...]) -> Padding:
    """Top, left, bottom, right padding.

    :raises DamagedModel: if a window of the output would lie beyond the padded input.
    """
    o = operator.options
    x, y = (b.graph.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
    dilations = (o.dilationHFactor, o.dilationWFactor)
    require(min(o.strideH, o.strideW, *dilations) > 0, "its strides are not positive")
    rows, columns = padded_sides(o, x, y, kernel, dilations)
    return rows[0], columns[0], rows[1], columns[1]


def _residual(b: Builder, number: int, operator: Operator) -> tuple[int, Residual | None]:
    """If an addition is all that reads the output, and its other side is known: the addition's output and other side.

    Otherwise the operator's own output.
    """
    output, graph = operator.outputs[0], b.graph
    readers = b.uses.get(output, [])
    if len(readers) != 1 or output in graph.main.outputs or fused(operator) or graph.tensors[output].dtype == "int16":
        return output, None
    after, place = readers[0]
    addition = graph.operators[after]
    if addition.op != "ADD" or len(set(addition.inputs)) != 2:
        return output, None
    other, total = addition.inputs[1 - place], addition.outputs[0]
    alike = all(graph.tensors[i].shape == graph.tensors[output].shape for i in (other, total))
    if not b.known(other) or not alike or len(graph.tensors[output].shape) != 4:
        return output, None
    b.folded.add(after)
    return total, Residual(other, b.scale(other), b.scale(total), b.limits(total, fused(addition)), place == 0)


def _bias(b: Builder, operator: Operator, count: int, place: int = 2) -> NDArray[Any] | None:
    index = operator.inputs[place] if len(operator.inputs) > place else -1
    if index < 0:
        return None
    bias = b.values(index)
    require(bias.size == count, "its bias does not fit its weights")
    return bias.reshape(-1)


def _epilogue(b: Builder, operator: Operator, residual: Residual | None, place: int = 0) -> Epilogue:
    """The fused activation, which is none where an addition follows, and the scales of integers.

    :param place: of the operand that weights are multiplied by.
    """
    source, output = operator.inputs[place], operator.outputs[0]
    limits = b.limits(output, fused(operator))
    if (own := b.scale(output)) is None:
        return Epilogue(limits, None, residual)
    weights, given = b.graph.tensors[operator.inputs[1]].quantization, b.scale(source)
    require(weights is not None and weights.scale.size and given is not None, "its weights have no scale")
    assert weights is not None and given is not None
    once = operator.op == "FULLY_CONNECTED"
    bias = _bias_type(b.graph, operator, 3 if place else 2)
    wide = b.graph.tensors[source].dtype == "int16" and bias != "int32"
    return Epilogue(limits, Requantization(given, weights.scale.astype(np.float64), own, once, wide), residual)


def _bias_type(graph: Graph, operator: Operator, place: int) -> str:
    index = operator.inputs[place] if len(operator.inputs) > place else -1
    return graph.tensors[index].dtype if index >= 0 else ""


def weights_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why an operator with weights has no kernel; empty if it has one."""
    tensor = graph.tensors[operator.inputs[1]]
    first = 2 if operator.op == "TRANSPOSE_CONV" else 0
    given = graph.tensors[operator.inputs[first]].dtype
    if not tensor.is_dense:
        return "its weights are not constant"
    kinds = {("int8", "int16"), *(("int4", kind) for kind in _OF_INT4.get(operator.op, ()))}
    if tensor.dtype != given and (tensor.dtype, given) not in kinds:
        return f"its weights are {tensor.dtype}, its input is {given}"
    place = 3 if first else 2
    bias = operator.inputs[place] if len(operator.inputs) > place else -1
    if bias >= 0 and not _known(graph, bias):
        return "its bias is not constant"
    named = int(getattr(operator.options, "quantizedBiasType", 0) or 0)
    if given == "int16" and bias >= 0 and graph.tensors[bias].dtype == "int32" and named != INT32:
        return "its bias has 32 bits, its options do not say so"  # LiteRT would read 64
    return ""


def _known(graph: Graph, index: int) -> bool:
    return graph.tensors[index].data is not None


def apart_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why an operator has no kernel where groups of channels must be taken apart; empty if it has one."""
    if operator.op not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return ""
    tensor = graph.tensors[operator.inputs[1]]
    if operator.op == "CONV_2D" and graph.tensors[operator.inputs[0]].shape[3] != tensor.shape[3]:
        return "it is a grouped convolution"
    one = graph.tensors[operator.inputs[0]].shape[3] != tensor.shape[3]
    return "it has a channel multiplier" if one else ""
