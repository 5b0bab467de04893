"""Operators with state: low-rank filters over time, copies to and from variables."""

from __future__ import annotations

import numpy as np

from edgekit.codegen.base import Factor
from edgekit.codegen.builder import Builder, require
from edgekit.codegen.fixed_point import quantize_multiplier
from edgekit.codegen.kernels import Svdf
from edgekit.codegen.rules.movement import move
from edgekit.graph import Graph, Operator, Tensor

F = np.float32


def copied(b: Builder, number: int, operator: Operator) -> None:
    """A value into a variable, or out of one."""
    move(b, number, b.view(operator.inputs[0]), b.view(operator.outputs[0]))


def scale(tensor: Tensor) -> np.float32:
    """A tensor's only scale."""
    assert tensor.quantization is not None
    return F(tensor.quantization.scale[0])


def svdf(b: Builder, number: int, operator: Operator) -> None:
    """Lower SVDF ``(input, feature weights, time weights, bias, state)`` (svdf.cc)."""
    source, features, times, bias, state = operator.inputs
    x, f, t, s, y = (b.tensors[i] for i in (source, features, times, state, operator.outputs[0]))
    rank = int(operator.options.rank)
    filters, memory = t.shape
    units = filters // max(rank, 1)
    require(rank > 0 and filters % rank == 0 and f.shape == (filters, x.shape[-1]), "its weights do not fit its shapes")
    batch = x.elements // x.shape[-1]
    require(s.elements == batch * filters * memory and y.elements == batch * units, "its state does not fit its shapes")
    added = b.values(bias).reshape(-1) if bias >= 0 else None
    require(added is None or added.size == units, "its bias does not fit its weights")
    first = Factor(*quantize_multiplier(float(scale(x) * scale(f) / scale(s))))
    second = Factor(*quantize_multiplier(float(scale(s) * scale(t) / scale(y))))
    b.add(Svdf(
        b.nodes[number], operator.outputs[0], source, state, b.values(features), b.values(times), added, rank, first,
        second, (-128, 127),
    ))  # fmt: skip


def svdf_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why SVDF has no kernel; empty if it has one."""
    source, features, times, bias, state = (graph.tensors[i] if i >= 0 else None for i in operator.inputs)
    assert source and features and times and state
    if source.dtype != "int8" or features.dtype != "int8":
        return f"there is no kernel for {source.dtype} with weights in {features.dtype}"
    if times.dtype != "int16" or state.dtype != "int16":
        return f"its state has {state.dtype}, for which LiteRT has no kernel"
    if not features.is_dense or not times.is_dense or (bias is not None and not bias.is_dense):
        return "its weights are not constant"
    if (bias is not None and bias.dtype != "int32") or graph.tensors[operator.outputs[0]].dtype != "int8":
        return "its bias or its output has another type"
    if not state.is_variable:
        return "its state is not a variable"
    scaled = (source, features, times, state, graph.tensors[operator.outputs[0]])
    if any(not t.has_scale for t in scaled):
        return "a tensor of it has no scale"
    ranks = any(len(t.shape) != 2 for t in (source, features, times))
    return "its operands or options are incomplete" if ranks else ""
