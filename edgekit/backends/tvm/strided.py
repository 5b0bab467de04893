"""Rules for operators that move elements or broadcast them: loops over strided views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.tvm.layout import CLAMPS
from edgekit.backends.tvm.program import Border
from edgekit.backends.tvm.views import compute, move, split_axes, view
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering

MOVES = 64
"""Kernels that one operator may become."""


def concatenation(self: Lowering, number: int, operator: Operator) -> None:
    self.make(operator.outputs[0])
    made = view(self, operator.outputs[0])
    axis, start = operator.options.axis % made.places.ndim, 0
    for index in operator.inputs:
        given = view(self, index)
        end = start + given.places.shape[axis]
        part = made.places[(slice(None),) * axis + (slice(start, end),)]
        move(self, number, given, made.seen(part))
        start = end


def split(self: Lowering, number: int, operator: Operator) -> None:
    """SPLIT ``(axis, x)``, SPLIT_V ``(x, sizes, axis)``: the outputs' shapes say all."""
    x, axis = (operator.inputs[1], operator.inputs[0]) if operator.op == "SPLIT" else operator.inputs[::2]
    given, start = view(self, x), 0
    along = int(self.graph.tensors[axis].array().reshape(-1)[0]) % given.places.ndim
    for output in operator.outputs:
        self.make(output)
        made = view(self, output)
        end = start + made.places.shape[along]
        move(self, number, given.seen(given.places[(slice(None),) * along + (slice(start, end),)]), made)
        start = end


def pack(self: Lowering, number: int, operator: Operator) -> None:
    self.make(operator.outputs[0])
    made = view(self, operator.outputs[0])
    axis = operator.options.axis % made.places.ndim
    for place, index in enumerate(operator.inputs):
        move(self, number, view(self, index), made.seen(made.places[(slice(None),) * axis + (place, Ellipsis)]))


def unpack(self: Lowering, number: int, operator: Operator) -> None:
    given = view(self, operator.inputs[0])
    axis = operator.options.axis % given.places.ndim
    for place, output in enumerate(operator.outputs):
        self.make(output)
        move(self, number, given.seen(given.places[(slice(None),) * axis + (place, Ellipsis)]), view(self, output))


def rearranged(self: Lowering, number: int, operator: Operator) -> None:
    """Operators whose output is a view of their input."""
    given = view(self, operator.inputs[0])
    self.make(operator.outputs[0])
    made = view(self, operator.outputs[0])
    seen = _seen(self.graph, operator, given.places)
    move(self, number, given.seen(seen), made.seen(split_axes(made.places, seen.shape)))


def _seen(graph: Graph, operator: Operator, x: NDArray[np.int8]) -> NDArray[np.int8]:
    constants = [graph.tensors[i].array().reshape(-1).tolist() for i in operator.inputs[1:]]
    if operator.op == "TRANSPOSE":
        return x.transpose(constants[0])
    if operator.op == "SLICE":
        begin = constants[0]
        sizes = graph.tensors[operator.outputs[0]].shape
        return x[tuple(slice(b, b + n) for b, n in zip(begin, sizes, strict=True))]
    if operator.op == "STRIDED_SLICE":
        part: NDArray[np.int8] = x[_slices(operator, *constants)]
        return part
    if operator.op == "REVERSE_V2":
        back = {int(axis) % x.ndim for axis in constants[0]}
        return x[tuple(slice(None, None, -1 if axis in back else 1) for axis in range(x.ndim))]
    if operator.op == "TILE":
        times = [n for pair in zip(constants[0], x.shape, strict=True) for n in pair]
        return np.broadcast_to(x.reshape([m for n in x.shape for m in (1, n)], copy=False), times)
    if operator.op == "BROADCAST_TO":
        return np.broadcast_to(x, graph.tensors[operator.outputs[0]].shape)
    size = int(operator.options.blockSize)
    n, h, w, c = x.shape
    if operator.op == "SPACE_TO_DEPTH":
        return split_axes(x, (n, h // size, size, w // size, size, c)).transpose(0, 1, 3, 2, 4, 5)
    return split_axes(x, (n, h, w, size, size, c // size**2)).transpose(0, 1, 3, 2, 4, 5)


def _slices(operator: Operator, begin: list[int], end: list[int], stride: list[int]) -> tuple[Any, ...]:
    o, made = operator.options, []
    for axis, (b, e, s) in enumerate(zip(begin, end, stride, strict=True)):
        if o.shrinkAxisMask >> axis & 1:
            made.append(slice(b, b + 1 or None))
            continue
        first = None if o.beginMask >> axis & 1 else b
        last = None if o.endMask >> axis & 1 else b + e if o.offset else e
        made.append(slice(first, last, s))
    return tuple(made)


def broadcast(self: Lowering, number: int, operator: Operator) -> None:
    """Arithmetic on operands of different shapes."""
    target = operator.outputs[0]
    self.make(target)
    made = view(self, target)
    given = [view(self, i) for i in operator.inputs]
    given = [g.seen(np.broadcast_to(g.places, made.places.shape)) for g in given]
    params: dict[str, Any] = {}
    if self.graph.tensors[target].dtype in ("float32", "int8"):
        params["limits"] = list(self.limits(target, getattr(operator.options, "fusedActivationFunction", 0)))
    if self.graph.tensors[target].dtype == "int8":
        params |= {"scales": [list(self.scale(i)) for i in operator.inputs], "made": list(self.scale(target))}
    compute(self, number, operator.op.lower(), given, made, params)


def stuffed(self: Lowering, number: int, operator: Operator) -> None:
    """Spread a picture over a larger one that means 0 elsewhere; ``options``: its corner and strides."""
    top, left, sy, sx = operator.options
    target = operator.outputs[0]
    out = self.make(target)
    zero = float(self.scale(target)[1]) if out.dtype != "float32" else 0.0
    self.program.storages[out.storage].border = Border(out.outer, (0, 0, 0, 0), zero)
    given, made = view(self, operator.inputs[0]), view(self, target)
    _, h, w, _ = given.places.shape
    move(self, number, given, made.seen(made.places[:, top::sy, left::sx][:, :h, :w]))


def repeated(self: Lowering, number: int, operator: Operator) -> None:
    """Each channel several times in a row."""
    self.make(operator.outputs[0])
    given, made = view(self, operator.inputs[0]), view(self, operator.outputs[0])
    times = made.places.shape[3] // given.places.shape[3]
    wide = np.broadcast_to(given.places[..., None], (*given.places.shape, times))
    move(self, number, given.seen(wide), made.seen(split_axes(made.places, wide.shape)))


# What these rules do not cover


def constants_obstacle(graph: Graph, operator: Operator) -> str:
    """Axes, begins and sizes must be known."""
    x = 1 if operator.op == "SPLIT" else 0
    known = all(graph.tensors[t].data is not None for n, t in enumerate(operator.inputs) if n != x)
    if not known:
        return "its shape is not constant"
    o = operator.options
    if operator.op == "STRIDED_SLICE" and (o.ellipsisMask or o.newAxisMask):
        return "it inserts axes"
    return alike(graph, operator)


def joined_obstacle(graph: Graph, operator: Operator) -> str:
    if getattr(operator.options, "fusedActivationFunction", 0):
        return "it has an activation"
    return alike(graph, operator)


def alike(graph: Graph, operator: Operator) -> str:
    """Moved integers must mean the same real values afterwards."""
    flowing = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    flowing = [t for t in flowing if t.dtype == "int8" and t.quantization is not None]
    pairs = {(float(t.quantization.scale[0]), int(t.quantization.zero_point[0])) for t in flowing if t.quantization}
    return "" if len(pairs) <= 1 else "its tensors have different scales"


def broadcast_obstacle(graph: Graph, operator: Operator) -> str:
    out = graph.tensors[operator.outputs[0]]
    fused = getattr(operator.options, "fusedActivationFunction", 0)
    if fused not in CLAMPS:
        return "its activation is not one that clamps"
    if any(graph.tensors[i].data is not None and graph.tensors[i].dtype != out.dtype for i in operator.inputs):
        return "its constant has another type"
    if out.dtype not in ("float32", "int8") and fused:
        return "it has an activation on integers"
    return "" if any(graph.tensors[i].data is None for i in operator.inputs) else "all its operands are constants"
