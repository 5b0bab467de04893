"""What is rewritten before lowering: operators that others stand for, and weights kept in fewer bits than are used.

The Graph that comes out has operators of edgekit's own: ``edgekit.spread`` spreads a feature map over a larger one
(options: its corner's row and column, strides), ``edgekit.repeat`` repeats each channel.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import state
from edgekit.codegen.kernels import BASIC, Scale, Scope, scale_of
from edgekit.graph import Graph, Operator, Quantization, Tensor, tflite
from edgekit.graph.floats import restore
from edgekit.graph.forms import malformed
from edgekit.graph.padding import SAME

SPREAD, REPEAT = "edgekit.spread", "edgekit.repeat"


@dataclass(frozen=True)
class Prepared:
    """A Graph to lower.

    :param nodes: for each of its operators the index of the one that it comes from. :param variables: the values of
        tensors that outlive a run, before the first.
    """

    graph: Graph
    nodes: list[int]
    variables: dict[int, NDArray[Any]]


def prepared(graph: Graph, scope: Scope = BASIC) -> Prepared:
    """Rewrite a Graph for backends of a scope; operators that they have kernels for are left alone."""
    variables: dict[int, NDArray[Any]] = {}
    places = list(range(len(graph.operators)))
    if scope.state:
        with suppress(state.Unresolved):  # its operators stay, and are refused with the reason
            found = state.resolved(graph)
            graph, places, variables = found.graph, found.nodes, found.initial
        starting = {i: state.start(t) for i, t in enumerate(graph.tensors) if t.is_variable and i not in variables}
        variables = variables | starting
    floats, kept = _floats(graph)
    nodes = [places[n] for n in kept]
    main = floats.main
    work = _Rewriting(list(main.tensors), [], [], scope)
    for node, operator in zip(nodes, main.operators, strict=True):
        work.node = node
        _rewrite(work, operator)
    made = replace(main, tensors=work.tensors, operators=work.operators)
    return Prepared(replace(floats, subgraphs=[made, *floats.subgraphs[1:]]), work.nodes, variables)


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


def _rewrite(work: _Rewriting, operator: Operator) -> None:
    if malformed(work.tensors, operator):
        return work.keep(operator)
    if operator.op in _ONE_FEATURE_MAP and _feature_maps(work, operator):
        return None
    if (work.scope.convolutions and operator.op in _CONVOLUTIONS) or _integer_rows(work, operator):
        return work.keep(operator)
    return _REWRITE.get(operator.op, _Rewriting.keep)(work, operator)


def _integer_rows(work: _Rewriting, operator: Operator) -> bool:
    """LOG_SOFTMAX or L2_NORMALIZATION in int8 with the only scale of results that LiteRT takes."""
    if not work.scope.rows or operator.op not in LEAST_STEP:
        return False
    x, y = work.tensors[operator.inputs[0]], work.tensors[operator.outputs[0]]
    return x.dtype == y.dtype == "int8" and y.has_scale and scale_of(y) == LEAST_STEP[operator.op]


class _Rewriting:
    def __init__(self, tensors: list[Tensor], operators: list[Operator], nodes: list[int], scope: Scope) -> None:
        self.tensors, self.operators, self.nodes, self.scope, self.node = tensors, operators, nodes, scope, 0

    def keep(self, operator: Operator) -> None:
        self.operators.append(operator)
        self.nodes.append(self.node)

    def tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def float(self, op: str, inputs: tuple[int, ...], shape: tuple[int, ...], options: Any = None) -> int:
        """Add an operator that makes a float32 tensor."""
        made = self.tensor(Tensor(f"{op}/{len(self.tensors)}", shape, "float32"))
        self.keep(Operator(op, inputs, (made,), options))
        return made

    def constant(self, like: Tensor, values: NDArray[Any], quantization: Quantization | None) -> int:
        data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        kind = str(values.dtype)
        return self.tensor(replace(like, shape=values.shape, dtype=kind, data=data, quantization=quantization))


def _transposed(work: _Rewriting, operator: Operator) -> None:
    """TRANSPOSE_CONV: input pixels ``strides`` apart on a larger feature map, then a plain convolution, mirrored."""
    o, tensors = operator.options, work.tensors
    weights, x, y = (tensors[i] for i in (operator.inputs[1], operator.inputs[2], operator.outputs[0]))
    if not weights.is_dense or x.data is not None or min(o.strideH, o.strideW) < 1:
        return work.keep(operator)
    _, kh, kw, _ = weights.shape
    corner = []
    for axis, stride, kernel in ((1, o.strideH, kh), (2, o.strideW, kw)):
        total = (x.shape[axis] - 1) * stride + kernel - y.shape[axis]
        corner.append(kernel - 1 - max(0, total) // 2)
        if corner[-1] < 0 or total > kernel - 1 + corner[-1]:
            return work.keep(operator)
    shape = (1, y.shape[1] + kh - 1, y.shape[2] + kw - 1, x.shape[3])
    larger = work.tensor(replace(x, name=f"{x.name}/spread", shape=shape))
    work.keep(Operator(SPREAD, (operator.inputs[2],), (larger,), (*corner, o.strideH, o.strideW)))
    mirrored = work.constant(weights, weights.array()[:, ::-1, ::-1], weights.quantization)
    bias = operator.inputs[3] if len(operator.inputs) > 3 else -1
    options = _convolution(o.fusedActivationFunction, 1, 1, 1, 1, valid=True)
    return work.keep(Operator("CONV_2D", (larger, mirrored, bias), operator.outputs, options))


def _depthwise(work: _Rewriting, operator: Operator) -> None:
    """A channel multiplier: of one channel a plain convolution, else of channels that are repeated first."""
    o, tensors = operator.options, work.tensors
    x, weights = (tensors[i] for i in operator.inputs[:2])
    count = weights.shape[3]
    if x.shape[3] == count or not weights.is_dense:
        return work.keep(operator)
    if x.shape[3] == 1:
        turned = weights.quantization and replace(weights.quantization, axis=0)
        kernel = work.constant(weights, weights.array().transpose(3, 1, 2, 0), turned)
        steps = (o.strideH, o.strideW, o.dilationHFactor, o.dilationWFactor)
        options = _convolution(o.fusedActivationFunction, *steps, valid=o.padding != SAME)
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
    if x.shape[3] == depth or not weights.is_dense:
        return work.keep(operator)
    groups = x.shape[3] // depth
    biases = [tensors[i] for i in operator.inputs[2:3] if i >= 0]
    fits = groups and weights.shape[0] % groups == 0 and all(b.elements == weights.shape[0] for b in biases)
    if not fits or any(not b.is_dense for b in biases):
        return work.keep(operator)
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
            bias = work.constant(whole, whole.array().reshape(-1)[mine], _some(whole.quantization, mine))
        made.append(work.tensor(replace(y, name=f"{y.name}/{g}", shape=(*y.shape[:3], count))))
        work.keep(replace(operator, inputs=(part, kernel, bias), outputs=(made[-1],)))
    return work.keep(Operator("CONCATENATION", tuple(made), operator.outputs, _joined(3)))


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


def _feature_maps(work: _Rewriting, operator: Operator) -> bool:
    """Several feature maps at once: each by itself, side by side along the first axis."""
    place = 2 if operator.op == "TRANSPOSE_CONV" else 0
    x, y = (work.tensors[i] for i in (operator.inputs[place], operator.outputs[0]))
    count = x.shape[0] if len(x.shape) == 4 else 1
    if not 1 < count <= MOST_FEATURE_MAPS or x.data is not None or len(y.shape) != 4 or y.shape[0] != count:
        return False
    parts, made = (
        [work.tensor(replace(t, name=f"{t.name}/{n}", shape=(1, *t.shape[1:]))) for n in range(count)] for t in (x, y)
    )
    axis = work.constant(Tensor("axis", (), "int32"), np.array(0, np.int32), None)
    work.keep(Operator("SPLIT", (axis, operator.inputs[place]), tuple(parts)))
    for part, result in zip(parts, made, strict=True):
        inputs = list(operator.inputs)
        inputs[place] = part
        _rewrite(work, replace(operator, inputs=tuple(inputs), outputs=(result,)))
    work.keep(Operator("CONCATENATION", tuple(made), operator.outputs, _joined(0)))
    return True


def _joined(axis: int) -> Any:
    options = tflite.schema().ConcatenationOptionsT()
    options.axis, options.fusedActivationFunction = axis, 0
    return options


def _by_rows(work: _Rewriting, operator: Operator) -> None:
    """LOG_SOFTMAX and L2_NORMALIZATION: simple operators along the last axis, in floats."""
    source, target = operator.inputs[0], operator.outputs[0]
    x, y = work.tensors[source], work.tensors[target]
    if not x.shape or x.dtype not in ("float32", "int8") or x.dtype != y.dtype:
        return work.keep(operator)
    rows = (*x.shape[:-1], 1)
    axes = work.constant(Tensor("axes", (), "int32"), np.array([len(x.shape) - 1], np.int32), None)
    options = tflite.schema().ReducerOptionsT()
    options.keepDims = True
    given = work.float("DEQUANTIZE", (source,), x.shape) if x.dtype == "int8" else source
    if operator.op == "LOG_SOFTMAX":
        most = work.float("REDUCE_MAX", (given, axes), rows, options)
        less = work.float("SUB", (given, most), x.shape)
        total = work.float("SUM", (work.float("EXP", (less,), x.shape), axes), rows, options)
        last = ("SUB", (less, work.float("LOG", (total,), rows)))
    else:
        total = work.float("SUM", (work.float("SQUARE", (given,), x.shape), axes), rows, options)
        least = work.constant(Tensor("least", (), "float32"), np.array([LEAST_NORM], np.float32), None)
        norm = work.float("MAXIMUM", (work.float("SQRT", (total,), rows), least), rows)
        last = ("DIV", (given, norm))
    if x.dtype == "int8":
        return work.keep(Operator("QUANTIZE", (work.float(*last, x.shape),), (target,)))
    return work.keep(Operator(*last, (target,)))


MOST_FEATURE_MAPS = 64
LEAST_STEP = {"LOG_SOFTMAX": Scale(16 / 256, 127), "L2_NORMALIZATION": Scale(1 / 128, 0)}
"""The only scales of int8 results that LiteRT's kernels have (activations.cc, l2norm.cc)."""
_CONVOLUTIONS = ("TRANSPOSE_CONV", "DEPTHWISE_CONV_2D", "CONV_2D")
LEAST_NORM = 1e-6
"""TFLite's reference_ops/l2normalization.h: what a norm is at least."""
_ONE_FEATURE_MAP = (
    "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
)  # fmt: skip
_REWRITE = {
    "TRANSPOSE_CONV": _transposed,
    "DEPTHWISE_CONV_2D": _depthwise,
    "CONV_2D": _grouped,
    "LOG_SOFTMAX": _by_rows,
    "L2_NORMALIZATION": _by_rows,
}
