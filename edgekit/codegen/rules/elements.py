"""Operators that compute each element from the elements at its place, and new shapes and types."""

from __future__ import annotations

import math

from edgekit.codegen.builder import QUANTIZED, Builder, fused, require
from edgekit.codegen.kernels import Convert, Elementwise, Map, Pad, Reshape, scale_of
from edgekit.codegen.rules import padding
from edgekit.codegen.rules.movement import same_scale
from edgekit.codegen.views import View
from edgekit.graph import Graph, Operator

INTEGER_ARITHMETIC = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")
"""What plain integers are combined by, too."""
ARITHMETIC = (*INTEGER_ARITHMETIC, "PRELU", "FLOOR_DIV", "FLOOR_MOD", "POW")
COMPARISONS = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
LOGICAL = ("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT")
SELECTS = ("SELECT", "SELECT_V2")


def arithmetic(b: Builder, number: int, operator: Operator) -> None:
    """Arithmetic on operands of shapes that broadcast."""
    target = operator.outputs[0]
    made = b.view(target)
    given = tuple(b.view(i).broadcast(made.shape) for i in operator.inputs)
    scaled = b.graph.tensors[target].dtype in ("float32", *QUANTIZED)
    limits = b.limits(target, fused(operator)) if scaled else None
    b.add(Elementwise(b.nodes[number], target, operator.op.lower(), given, made, limits))


def typed(b: Builder, number: int, operator: Operator) -> None:
    """Comparisons, choices, truth values, conversions of types."""
    target = operator.outputs[0]
    made = b.view(target)
    given: list[View] = []
    for index in operator.inputs:
        one = b.view(index)
        if operator.op == "SELECT" and one.ndim == 1 and made.ndim > 1 and index == operator.inputs[0]:
            one = one.split((one.shape[0], *(1,) * (made.ndim - 1)))  # one value per row
        given.append(one.broadcast(made.shape))
    function = "select" if operator.op in SELECTS else operator.op.lower()
    b.add(Elementwise(b.nodes[number], target, function, tuple(given), made))


def mapped(b: Builder, number: int, operator: Operator) -> None:
    """Lower functions of one operand."""
    x, y = (b.graph.tensors[i].elements for i in (operator.inputs[0], operator.outputs[0]))
    require(x == y, "its output has another number of elements")
    alpha = float(operator.options.alpha) if operator.op == "LEAKY_RELU" else None
    approximate = operator.op == "GELU" and bool(getattr(operator.options, "approximate", False))
    b.add(Map(b.nodes[number], operator.outputs[0], operator.op, operator.inputs[0], alpha, approximate))


def reshape(b: Builder, number: int, operator: Operator) -> None:
    """Lower operators that change nothing but the shape."""
    x, y = (b.graph.tensors[i].elements for i in (operator.inputs[0], operator.outputs[0]))
    require(x == y, "its output has another number of elements")
    b.add(Reshape(b.nodes[number], operator.outputs[0], operator.inputs[0]))


def padded(b: Builder, number: int, operator: Operator) -> None:
    """Rows and columns around one feature map; other axes and types are filled first."""
    target = operator.outputs[0]
    pads, tensor = b.integers(operator.inputs[1]), b.graph.tensors[target]
    feature_map = pads.shape == (4, 2) and tensor.shape[0] == 1 and tensor.dtype in ("float32", *QUANTIZED)
    if not feature_map or pads[[0, 3]].any():
        padding.filled(b, number, operator)
        return
    x = b.graph.tensors[operator.inputs[0]].shape
    sizes = tuple(n + int(before) + int(after) for n, (before, after) in zip(x, pads, strict=True))
    require((pads >= 0).all() and sizes == tensor.shape, "its padding does not fit its shapes")
    b.add(Pad(b.nodes[number], target, operator.inputs[0], int(pads[1, 0]), int(pads[2, 0])))


def convert(b: Builder, number: int, operator: Operator) -> None:
    """Lower QUANTIZE and DEQUANTIZE."""
    x, y = (b.graph.tensors[i].elements for i in (operator.inputs[0], operator.outputs[0]))
    require(x == y, "its output has another number of elements")
    b.add(Convert(b.nodes[number], operator.outputs[0], operator.inputs[0]))


def arithmetic_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why arithmetic has no kernel; empty if it has one."""
    out = graph.tensors[operator.outputs[0]]
    if any(graph.tensors[i].data is not None and graph.tensors[i].dtype != out.dtype for i in operator.inputs):
        return "its constant has another type"
    if out.dtype not in ("float32", *QUANTIZED) and fused(operator):
        return "it has an activation on integers"
    if reason := _constants_unsupported(graph, operator):
        return reason
    if operator.op == "DIV" and out.dtype in QUANTIZED:
        return "LiteRT's own division of integers shifts by more than 31 bits where quotients are small"
    by_shifts = operator.op in ("ADD", "SUB") and out.dtype == "int16" and _by_shifts(graph, operator)
    return "its scales are powers of two, which LiteRT adds by shifts" if by_shifts else ""


def _by_shifts(graph: Graph, operator: Operator) -> bool:
    """True where LiteRT adds int16 without multipliers (add.cc)."""
    scales = [scale_of(graph.tensors[i]).scale for i in (*operator.inputs, *operator.outputs)]
    logs = [math.log2(scale) for scale in scales]
    return bool(operator.options.potScaleInt16) and all(abs(log - round(log)) < 1e-3 for log in logs)


def typed_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why a comparison, choice or conversion has no kernel; empty if it has one."""
    tensors = [graph.tensors[i] for i in operator.inputs]
    if reason := _constants_unsupported(graph, operator):
        return reason
    if operator.op in COMPARISONS and tensors[0].dtype != tensors[1].dtype:
        return "its operands have different types"
    if operator.op == "CAST" and "int8" in (tensors[0].dtype, graph.tensors[operator.outputs[0]].dtype):
        return "there is no kernel for int8"
    return same_scale(graph, operator) if operator.op in SELECTS else ""


def _constants_unsupported(graph: Graph, operator: Operator) -> str:
    """Some operand must be computed; integers that are computed with must mean real values. SELECT only moves them."""
    constants = [tensor for tensor in (graph.tensors[i] for i in operator.inputs) if tensor.data is not None]
    if len(constants) == len(operator.inputs):
        return "all its operands are constants"
    if operator.op not in SELECTS and any(t.dtype in QUANTIZED and not t.has_scale for t in constants):
        return "its constant has no scale"
    return ""
