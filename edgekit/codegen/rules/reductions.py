"""Sums and products over axes: reductions and batched matrix products."""

from __future__ import annotations

from typing import Literal

from edgekit.codegen.builder import QUANTIZED, Builder, require
from edgekit.codegen.kernels import Reduce
from edgekit.codegen.rules.movement import axis_of, same_scale
from edgekit.graph import Graph, Operator

_JOINS: dict[str, Literal["sum", "prod", "max", "min"]] = {
    "MEAN": "sum", "SUM": "sum", "REDUCE_MAX": "max", "REDUCE_MIN": "min", "REDUCE_PROD": "prod", "REDUCE_ANY": "max",
    "REDUCE_ALL": "min",
}  # fmt: skip
"""What joins two elements; truth values are 0 and 1."""


def reduced(b: Builder, number: int, operator: Operator) -> None:
    """SUM, MEAN and REDUCE_* over any axes."""
    source, target = operator.inputs[0], operator.outputs[0]
    given = b.view(source)
    axes = sorted({axis_of(int(a), given.ndim) for a in b.integers(operator.inputs[1]).reshape(-1)})
    kept = [a for a in range(given.ndim) if a not in axes]
    result = b.view(target).split(tuple(given.shape[a] for a in kept))
    spatial = operator.op == "MEAN" and given.ndim == 4 and given.shape[0] == 1 and axes == [1, 2]
    limits = b.limits(target, 0) if b.scale(source) else None
    b.add(Reduce(
        b.nodes[number], target, _JOINS[operator.op], (given.transpose([*kept, *axes]),), len(kept), result,
        operator.op == "MEAN", spatial, limits,
    ))  # fmt: skip


def matmul(b: Builder, number: int, operator: Operator) -> None:
    """BATCH_MATMUL ``[..., i, k] x [..., k, j]``."""
    o, target = operator.options, operator.outputs[0]
    left, right = (b.view(i) for i in operator.inputs)
    made = b.view(target)
    require(left.ndim >= 2 and right.ndim >= 2 and made.ndim >= 2, "its operands are not matrices")
    x = left.swapped() if o.adjX else left
    y = right if o.adjY else right.swapped()  # [..., j, k]
    shape = (*made.shape, x.shape[-1])
    pair = (x[..., :, None, :].broadcast(shape), y[..., None, :, :].broadcast(shape))
    limits = b.limits(target, 0) if b.scale(target) else None
    b.add(Reduce(b.nodes[number], target, "sum", pair, made.ndim, made, limits=limits))


def reduced_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why a reduction has no kernel; empty if it has one."""
    dtype = graph.tensors[operator.outputs[0]].dtype
    if (operator.op, dtype) in (("REDUCE_PROD", "int8"), ("MEAN", "int32"), ("MEAN", "int64")):
        return f"there is no kernel for {dtype}"
    if graph.tensors[operator.inputs[1]].data is None:
        return "its axes are not constant"
    if operator.op == "MEAN":
        return ""
    if operator.op == "SUM" and dtype in QUANTIZED:  # measured with LiteRT 2.3.0: -1 and the like
        return "LiteRT's own sum of integers is wrong where it is negative"
    return same_scale(graph, operator)
