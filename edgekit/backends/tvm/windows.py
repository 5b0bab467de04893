"""Rules for windows and rows: pooling, means, softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.backends.tvm import strided
from edgekit.backends.tvm.layout import Picture
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering


def pool(self: Lowering, number: int, operator: Operator) -> None:
    o, target = operator.options, operator.outputs[0]
    given, out = self.pictures[operator.inputs[0]], self.make(target)
    pads = []
    sides = ((0, o.strideH, o.filterHeight), (1, o.strideW, o.filterWidth))
    for axis, stride, window in sides:
        total = max(0, (out.size[axis] - 1) * stride + window - given.size[axis]) if o.padding == 0 else 0
        pads.append(total // 2)
    params: dict[str, Any] = {
        "kind": "max" if operator.op == "MAX_POOL_2D" else "average", "shape": list(out.size),
        "size": list(given.size[:2]), "window": [o.filterHeight, o.filterWidth], "strides": [o.strideH, o.strideW],
        "pads": pads, "limits": list(self.limits(target, o.fusedActivationFunction)),
    }  # fmt: skip
    self.emit("pool", params, number, [given], out)


def mean(self: Lowering, number: int, operator: Operator) -> None:
    if not _over_pixels(self.graph, operator):
        strided.reduced(self, number, operator)
        return
    target = operator.outputs[0]
    given = self.pictures[operator.inputs[0]]
    out = self.make(target)
    out = Picture(out.storage, out.dtype, (1, 1, given.size[2]), 0, 0, (1, 1, given.size[2]))
    params: dict[str, Any] = {"size": list(given.size)}
    if out.dtype != "float32":
        (scale_in, zero_in), (scale_out, zero_out) = self.scale(operator.inputs[0]), self.scale(target)
        params |= {"factor": scale_in / scale_out, "zeros": [zero_in, zero_out], "limits": self.limits(target, 0)}
    self.emit("mean", params, number, [given], out)


def softmax(self: Lowering, number: int, operator: Operator) -> None:
    target = operator.outputs[0]
    given, out = self.pictures[operator.inputs[0]], self.make(target)
    params: dict[str, Any] = {"shape": list(out.size), "beta": float(operator.options.beta)}
    if out.dtype != "float32":
        params |= {"scales": [self.scale(operator.inputs[0])[0], *self.scale(target)]}
    self.emit("softmax", params, number, [given], out)


def _over_pixels(graph: Graph, operator: Operator) -> bool:
    x, axes = (graph.tensors[i] for i in operator.inputs)
    return len(x.shape) == 4 and sorted(axes.array().reshape(-1).tolist()) == [1, 2]
