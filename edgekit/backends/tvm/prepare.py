"""What is rewritten before lowering: operators that others stand for, and weights kept in fewer bits than are used.

The Graph that comes out has operators of edgekit's own: ``edgekit.stuff`` spreads a picture over a larger one (options:
its corner's row and column, strides), ``edgekit.repeat`` repeats each channel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, Operator, Quantization, Tensor, tflite
from edgekit.passes.float32 import restore

STUFF, REPEAT = "edgekit.stuff", "edgekit.repeat"


def prepared(graph: Graph) -> tuple[Graph, list[int]]:
    """The Graph to lower, and for each of its operators the index of the one in ``graph`` it comes from."""
    floats, nodes = _floats(graph)
    main = floats.main
    work = _Rewriting(list(main.tensors), [], [])
    for node, operator in zip(nodes, main.operators, strict=True):
        work.node = node
        _REWRITE.get(operator.op, _Rewriting.keep)(work, operator)
    made = replace(main, tensors=work.tensors, operators=work.operators)
    return replace(floats, subgraphs=[made, *floats.subgraphs[1:]]), work.nodes


def _floats(graph: Graph) -> tuple[Graph, list[int]]:
    """A float network with all weights in float32."""
    every = list(range(len(graph.operators)))
    if graph.is_quantized:
        return graph, every
    floats, changed = restore(graph)
    if not changed:
        return graph, every
    tensors, operators = graph.tensors, graph.operators
    gone = {n for n, o in enumerate(operators) if o.op == "DEQUANTIZE" and tensors[o.inputs[0]].data is not None}
    return floats, [n for n in every if n not in gone]


class _Rewriting:
    def __init__(self, tensors: list[Tensor], operators: list[Operator], nodes: list[int]) -> None:
        self.tensors, self.operators, self.nodes, self.node = tensors, operators, nodes, 0

    def keep(self, operator: Operator) -> None:
        self.operators.append(operator)
        self.nodes.append(self.node)

    def tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, like: Tensor, values: NDArray[Any], quantization: Quantization | None) -> int:
        data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        kind = str(values.dtype)
        return self.tensor(replace(like, shape=values.shape, dtype=kind, data=data, quantization=quantization))


def _transposed(work: _Rewriting, operator: Operator) -> None:
    """TRANSPOSE_CONV: each input pixel ``strides`` apart on a larger picture, then a plain convolution, mirrored."""
    o, tensors = operator.options, work.tensors
    weights, x, y = (tensors[i] for i in (operator.inputs[1], operator.inputs[2], operator.outputs[0]))
    if weights.data is None or weights.sparsity is not None or x.data is not None:
        return work.keep(operator)
    _, kh, kw, _ = weights.shape
    corner = []
    for axis, stride, kernel in ((1, o.strideH, kh), (2, o.strideW, kw)):
        total = (x.shape[axis] - 1) * stride + kernel - y.shape[axis]
        corner.append(kernel - 1 - max(0, total) // 2)
        if corner[-1] < 0 or total > kernel - 1 + corner[-1]:
            return work.keep(operator)
    shape = (1, y.shape[1] + kh - 1, y.shape[2] + kw - 1, x.shape[3])
    larger = work.tensor(replace(x, name=f"{x.name}/stuffed", shape=shape))
    work.keep(Operator(STUFF, (operator.inputs[2],), (larger,), (*corner, o.strideH, o.strideW)))
    mirrored = work.constant(weights, weights.array()[:, ::-1, ::-1], weights.quantization)
    bias = operator.inputs[3] if len(operator.inputs) > 3 else -1
    options = _convolution(o.fusedActivationFunction, 1, 1, 1, 1, valid=True)
    return work.keep(Operator("CONV_2D", (larger, mirrored, bias), operator.outputs, options))


def _depthwise(work: _Rewriting, operator: Operator) -> None:
    """A channel multiplier: of one channel a plain convolution, else of channels that are repeated first."""
    o, tensors = operator.options, work.tensors
    x, weights = (tensors[i] for i in operator.inputs[:2])
    count = weights.shape[3]
    if x.shape[3] == count or weights.data is None or weights.sparsity is not None:
        return work.keep(operator)
    if x.shape[3] == 1:
        turned = weights.quantization and replace(weights.quantization, axis=0)
        kernel = work.constant(weights, weights.array().transpose(3, 1, 2, 0), turned)
        options = _convolution(
            o.fusedActivationFunction, o.strideH, o.strideW, o.dilationHFactor, o.dilationWFactor, valid=o.padding == 1
        )
        return work.keep(
            Operator("CONV_2D", (operator.inputs[0], kernel, *operator.inputs[2:]), operator.outputs, options)
        )
    wide = work.tensor(replace(x, name=f"{x.name}/repeated", shape=(*x.shape[:3], count)))
    work.keep(Operator(REPEAT, (operator.inputs[0],), (wide,)))
    return work.keep(replace(operator, inputs=(wide, *operator.inputs[1:])))


def _grouped(work: _Rewriting, operator: Operator) -> None:
    """A convolution of groups of channels: one a group, side by side."""
    tensors = work.tensors
    x, weights, y = (tensors[i] for i in (*operator.inputs[:2], operator.outputs[0]))
    depth = weights.shape[3]
    if len(x.shape) != 4 or x.shape[3] == depth or weights.data is None or weights.sparsity is not None:
        return work.keep(operator)
    groups = x.shape[3] // depth
    parts = [work.tensor(replace(x, name=f"{x.name}/{g}", shape=(*x.shape[:3], depth))) for g in range(groups)]
    axis = work.constant(Tensor("axis", (), "int32"), np.array(3, np.int32), None)
    work.keep(Operator("SPLIT", (axis, operator.inputs[0]), tuple(parts)))
    made = []
    count = weights.shape[0] // groups
    for g, part in enumerate(parts):
        mine = slice(g * count, (g + 1) * count)
        kernel = work.constant(weights, weights.array()[mine], _some(weights.quantization, mine))
        bias = -1
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            whole = tensors[operator.inputs[2]]
            bias = work.constant(whole, whole.array()[mine], _some(whole.quantization, mine))
        made.append(work.tensor(replace(y, name=f"{y.name}/{g}", shape=(*y.shape[:3], count))))
        work.keep(replace(operator, inputs=(part, kernel, bias), outputs=(made[-1],)))
    options = tflite.schema().ConcatenationOptionsT()
    options.axis = 3
    return work.keep(Operator("CONCATENATION", tuple(made), operator.outputs, options))


def _some(quantization: Quantization | None, channels: slice) -> Quantization | None:
    if quantization is None or quantization.scale.size <= 1:
        return quantization
    zero = quantization.zero_point
    return replace(
        quantization, scale=quantization.scale[channels], zero_point=zero[channels] if zero.size > 1 else zero
    )


def _convolution(activation: int, sy: int, sx: int, dy: int, dx: int, *, valid: bool) -> Any:
    options = tflite.schema().Conv2DOptionsT()
    options.strideH, options.strideW, options.dilationHFactor, options.dilationWFactor = sy, sx, dy, dx
    options.padding, options.fusedActivationFunction = int(valid), activation
    return options


_REWRITE = {"TRANSPOSE_CONV": _transposed, "DEPTHWISE_CONV_2D": _depthwise, "CONV_2D": _grouped}
