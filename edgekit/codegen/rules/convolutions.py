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
)
from edgekit.graph import Graph, Operator


def convolution(b: Builder, number: int, operator: Operator) -> None:
    """Lower CONV_2D."""
    o = operator.options
    weights = b.values(operator.inputs[1])
    x, y = (b.graph.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
    require(len(x) == len(y) == 4 and y[3] == weights.shape[0], "its shapes do not fit its weights")
    target, residual = _residual(b, number, operator)
    b.add(Conv2D(
        b.nodes[number], target, operator.inputs[0], weights, _bias(b, operator, weights.shape[0]),
        (o.strideH, o.strideW), (o.dilationHFactor, o.dilationWFactor), _padding(b, operator, weights.shape[1:3]),
        _epilogue(b, operator, residual),
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
    require(fits and x[3] == y[3] == weights.shape[3], "its shapes do not fit its weights")
    b.add(DepthwiseConv2D(
        b.nodes[number], operator.outputs[0], operator.inputs[0], weights[0], _bias(b, operator, weights.shape[3]),
        (o.strideH, o.strideW), (o.dilationHFactor, o.dilationWFactor), _padding(b, operator, weights.shape[1:3]),
        _epilogue(b, operator, None),
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
    if len(readers) != 1 or output in graph.main.outputs or fused(operator):
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


def _bias(b: Builder, operator: Operator, count: int) -> NDArray[Any] | None:
    index = operator.inputs[2] if len(operator.inputs) > 2 else -1
    if index < 0:
        return None
    bias = b.values(index)
    require(bias.size == count, "its bias does not fit its weights")
    return bias.reshape(-1)


def _epilogue(b: Builder, operator: Operator, residual: Residual | None) -> Epilogue:
    """The fused activation, which is none where an addition follows, and the scales of integers."""
    source, output = operator.inputs[0], operator.outputs[0]
    limits = b.limits(output, fused(operator))
    if (own := b.scale(output)) is None:
        return Epilogue(limits, None, residual)
    weights, given = b.graph.tensors[operator.inputs[1]].quantization, b.scale(source)
    require(weights is not None and weights.scale.size and given is not None, "its weights have no scale")
    assert weights is not None and given is not None
    once = operator.op == "FULLY_CONNECTED"
    return Epilogue(limits, Requantization(given, weights.scale.astype(np.float64), own, once), residual)


def weights_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why an operator with weights has no kernel; empty if it has one."""
    tensor = graph.tensors[operator.inputs[1]]
    given = graph.tensors[operator.inputs[0]].dtype
    if not tensor.is_dense:
        return "its weights are not constant"
    if tensor.dtype != given and (tensor.dtype, given) != ("int4", "int8"):
        return f"its weights are {tensor.dtype}, its input is {given}"
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0 and graph.tensors[operator.inputs[2]].data is None:
        return "its bias is not constant"
    if operator.op == "CONV_2D" and graph.tensors[operator.inputs[0]].shape[3] != tensor.shape[3]:
        return "it is a grouped convolution"
    one = operator.op == "DEPTHWISE_CONV_2D" and graph.tensors[operator.inputs[0]].shape[3] != tensor.shape[3]
    return "it has a channel multiplier" if one else ""
