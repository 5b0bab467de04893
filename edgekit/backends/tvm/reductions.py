"""Rules for sums and products over axes: reductions and batched matrix products, as loops over strided views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.backends.tvm.program import Kernel, product
from edgekit.backends.tvm.views import Strided, loops, split_axes, view
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering


KINDS = {
    "MEAN": "sum", "SUM": "sum", "REDUCE_MAX": "max", "REDUCE_MIN": "min", "REDUCE_PROD": "prod", "REDUCE_ANY": "max",
    "REDUCE_ALL": "min",
}  # fmt: skip
"""What joins two elements; truth values are 0 and 1."""


def reduced(self: Lowering, number: int, operator: Operator) -> None:
    """SUM, MEAN and REDUCE_* over any axes."""
    source, target = operator.inputs[0], operator.outputs[0]
    given = view(self, source)
    rank = given.places.ndim
    axes = sorted({int(a) % rank for a in self.graph.tensors[operator.inputs[1]].array().reshape(-1)})
    kept = [a for a in range(rank) if a not in axes]
    self.make(target)
    made = view(self, target)
    out = split_axes(made.places, tuple(given.places.shape[a] for a in kept))
    count = product([given.places.shape[a] for a in axes])
    kind = KINDS[operator.op]
    params: dict[str, Any] = {"kind": kind, "factor": 1 / count if operator.op == "MEAN" else 1.0}
    if self.graph.tensors[source].dtype == "int8":
        (scale, zero), (scale_out, zero_out) = self.scale(source), self.scale(target)
        params["factor"] *= scale / scale_out
        params |= {"zeros": [zero], "made": zero_out, "limits": list(self.limits(target, 0))}
    accumulate(self, number, [given.seen(given.places.transpose(*kept, *axes))], made.seen(out), len(kept), params)


def accumulate(
    self: Lowering, node: int, given: Sequence[Strided], made: Strided, kept: int, params: dict[str, Any]
) -> None:
    """Reduce products of views over all axes but the first ``kept``, which are ``made``'s."""
    inner = [g.places[(0,) * kept] for g in given]
    outer = [g.places[(slice(None),) * kept + (0,) * (g.places.ndim - kept)] for g in given]
    extents, strides = loops([*outer, made.places])
    reduced_extents, reduced_strides = loops(inner)
    params = {
        **params, "shape": extents, "strides": strides, "reduced": reduced_extents, "steps": reduced_strides,
        "offsets": [g.offset for g in (*given, made)], "sizes": [g.row.shape[0] for g in (*given, made)],
        "dtype": made.row.dtype,
    }  # fmt: skip
    self.program.kernels.append(Kernel("accumulate", params, node, (*(g.row for g in given), made.row)))


def matmul(self: Lowering, number: int, operator: Operator) -> None:
    """BATCH_MATMUL ``[..., i, k] x [..., k, j]``."""
    o, target = operator.options, operator.outputs[0]
    a, b = (view(self, i) for i in operator.inputs)
    x = a.places.swapaxes(-1, -2) if o.adjX else a.places
    y = b.places if o.adjY else b.places.swapaxes(-1, -2)  # [..., j, k]
    self.make(target)
    made = view(self, target)
    shape = (*made.places.shape, x.shape[-1])
    pair = [a.seen(np.broadcast_to(x[..., :, None, :], shape)), b.seen(np.broadcast_to(y[..., None, :, :], shape))]
    params: dict[str, Any] = {"kind": "sum", "factor": 1.0}
    if made.row.dtype != "float32":
        (scale_a, zero_a), (scale_b, zero_b) = (self.scale(i) for i in operator.inputs)
        scale, zero = self.scale(target)
        params |= {"factor": scale_a * scale_b / scale, "zeros": [zero_a, zero_b], "made": zero}
        params["limits"] = list(self.limits(target, 0))
    accumulate(self, number, pair, made, made.places.ndim, params)


def reduced_obstacle(graph: Graph, operator: Operator) -> str:
    dtype = graph.tensors[operator.outputs[0]].dtype
    if (operator.op, dtype) in (("REDUCE_PROD", "int8"), ("MEAN", "int32"), ("MEAN", "int64")):
        return f"edgekit's TVM backend has no kernel for {dtype}"
    return "" if graph.tensors[operator.inputs[1]].data is not None else "its axes are not constant"
