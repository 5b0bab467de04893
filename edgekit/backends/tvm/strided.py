"""Rules for operators that move elements, broadcast or reduce: loops over strided views.

A view says where each element of a tensor lies: an offset and a stride an axis, in elements of its storage. NumPy works
them out: views of an array that is never read are sliced, transposed and broadcast like the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from edgekit.backends.tvm.layout import CLAMPS
from edgekit.backends.tvm.program import Border, Kernel, View, product
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering

MOVES = 64
"""Kernels that one operator may become."""
_UNREAD = np.zeros(1, np.int8)


@dataclass(frozen=True)
class Strided:
    """A storage as a row of elements, and a view of it (``places``: shape and strides count, nothing else)."""

    row: View
    places: NDArray[np.int8]

    def seen(self, places: NDArray[np.int8]) -> Strided:
        return Strided(self.row, places)

    @property
    def offset(self) -> int:
        return int(self.places.ctypes.data - _UNREAD.ctypes.data)


def view(self: Lowering, index: int) -> Strided:
    """A tensor in its own shape."""
    tensor = self.graph.tensors[index]
    if tensor.data is not None:
        values = self.stored(index)
        row = self.program.constant(values.reshape(-1))
        return Strided(row, as_strided(_UNREAD, values.shape, _dense(values.shape)))
    picture = self.pictures[index]
    row = View(picture.storage, (product(picture.outer),), picture.dtype)
    shape = tensor.shape
    if len(shape) != 4 or shape[0] != 1:
        steps = _dense((*shape[:-1], picture.outer[2])) if shape else ()
        return Strided(row, as_strided(_UNREAD, shape, steps))
    _, width, channels = picture.outer
    whole = as_strided(_UNREAD, (1, *picture.outer), (product(picture.outer), width * channels, channels, 1))
    h, w, c = picture.size
    return Strided(row, whole[:, picture.top : picture.top + h, picture.left : picture.left + w, :c])


def _dense(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))


def loops(views: Sequence[NDArray[np.int8]]) -> tuple[list[int], list[list[int]]]:
    """Extents and each view's strides, with axes of one element left out and axes that continue each other joined."""
    extents: list[int] = []
    strides: list[list[int]] = [[] for _ in views]
    for axis, extent in enumerate(views[0].shape):
        steps = [v.strides[axis] for v in views]
        if extent == 1:
            continue
        if extents and all(s[-1] == step * extent for s, step in zip(strides, steps, strict=True)):
            extents[-1] *= extent
            for s, step in zip(strides, steps, strict=True):
                s[-1] = step
            continue
        extents.append(extent)
        for s, step in zip(strides, steps, strict=True):
            s.append(step)
    return (extents, strides) if extents else ([1], [[0] for _ in views])


def move(self: Lowering, node: int, given: Strided, made: Strided) -> None:
    """Copy elements to the same places of another view."""
    compute(self, node, "copy", [given], made, {})


def compute(
    self: Lowering, node: int, function: str, given: Sequence[Strided], made: Strided, params: dict[str, Any]
) -> None:
    """``made[i] = function(given[0][i], ...)``; views of one shape."""
    extents, strides = loops([*(g.places for g in given), made.places])
    offsets = [g.offset for g in (*given, made)]
    params = {
        **params, "function": function, "shape": extents, "strides": strides, "offsets": offsets,
        "sizes": [g.row.shape[0] for g in (*given, made)], "dtype": made.row.dtype,
    }  # fmt: skip
    self.program.kernels.append(Kernel("nest", params, node, (*(g.row for g in given), made.row)))


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
        move(self, number, view(self, index), made.seen(made.places[(slice(None),) * axis + (place,)]))


def unpack(self: Lowering, number: int, operator: Operator) -> None:
    given = view(self, operator.inputs[0])
    axis = operator.options.axis % given.places.ndim
    for place, output in enumerate(operator.outputs):
        self.make(output)
        move(self, number, given.seen(given.places[(slice(None),) * axis + (place,)]), view(self, output))


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
    if operator.op == "BROADCAST_TO":
        return np.broadcast_to(x, graph.tensors[operator.outputs[0]].shape)
    size = int(operator.options.blockSize)
    n, h, w, c = x.shape
    if operator.op == "SPACE_TO_DEPTH":
        return split_axes(x, (n, h // size, size, w // size, size, c)).transpose(0, 1, 3, 2, 4, 5)
    return split_axes(x, (n, h, w, size, size, c // size**2)).transpose(0, 1, 3, 2, 4, 5)


def split_axes(x: NDArray[np.int8], shape: tuple[int, ...]) -> NDArray[np.int8]:
    """A view with axes split, never a copy."""
    return np.reshape(x, shape, copy=False)


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


def filled(self: Lowering, number: int, operator: Operator) -> None:
    """PADV2: a value everywhere, then the picture in the middle."""
    self.make(operator.outputs[0])
    given, made = view(self, operator.inputs[0]), view(self, operator.outputs[0])
    value = view(self, operator.inputs[2])
    move(self, number, value.seen(np.broadcast_to(value.places.reshape(()), made.places.shape)), made)
    (_, _), (top, _), (left, _), _ = self.graph.tensors[operator.inputs[1]].array().tolist()
    _, h, w, _ = given.places.shape
    move(self, number, given, made.seen(made.places[:, top : top + h, left : left + w]))


def gathered(self: Lowering, number: int, operator: Operator) -> None:
    """GATHER of constant indices: neighbours move together."""
    self.make(operator.outputs[0])
    given, made = view(self, operator.inputs[0]), view(self, operator.outputs[0])
    before = (slice(None),) * (operator.options.axis % given.places.ndim)
    for first, start, count in _runs(self.graph.tensors[operator.inputs[1]].array()):
        part = given.places[(*before, slice(first, first + count))]
        if made.places.ndim < given.places.ndim:  # one index, its axis goes
            part = given.places[(*before, first)]
            move(self, number, given.seen(part), made)
        else:
            move(self, number, given.seen(part), made.seen(made.places[(*before, slice(start, start + count))]))


def _runs(indices: NDArray[Any]) -> list[tuple[int, int, int]]:
    """Indices that follow each other: the first, its place, how many."""
    found: list[tuple[int, int, int]] = []
    for place, index in enumerate(indices.reshape(-1).tolist()):
        if found and index == found[-1][0] + found[-1][2]:
            found[-1] = (*found[-1][:2], found[-1][2] + 1)
        else:
            found.append((index, place, 1))
    return found


def broadcast(self: Lowering, number: int, operator: Operator) -> None:
    """Arithmetic on operands of different shapes."""
    target = operator.outputs[0]
    self.make(target)
    made = view(self, target)
    given = [view(self, i) for i in operator.inputs]
    given = [g.seen(np.broadcast_to(g.places, made.places.shape)) for g in given]
    params: dict[str, Any] = {
        "limits": list(self.limits(target, getattr(operator.options, "fusedActivationFunction", 0)))
    }
    if made.row.dtype != "float32":
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
    return _alike(graph, operator)


def gathered_obstacle(graph: Graph, operator: Operator) -> str:
    x, indices = (graph.tensors[i] for i in operator.inputs)
    if indices.data is None or operator.options.batchDims or len(indices.shape) > 1:
        return "its indices are not one constant row"
    values = indices.array().reshape(-1)
    if len(_runs(values)) > MOVES:
        return f"its indices jump more than {MOVES} times"
    length = x.shape[operator.options.axis]
    return _alike(graph, operator) if ((values >= 0) & (values < length)).all() else "its indices are out of range"


def joined_obstacle(graph: Graph, operator: Operator) -> str:
    if getattr(operator.options, "fusedActivationFunction", 0):
        return "it has an activation"
    return _alike(graph, operator)


def _alike(graph: Graph, operator: Operator) -> str:
    """Moved integers must mean the same real values afterwards."""
    flowing = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    flowing = [t for t in flowing if t.dtype == "int8" and t.quantization is not None]
    pairs = {(float(t.quantization.scale[0]), int(t.quantization.zero_point[0])) for t in flowing if t.quantization}
    return "" if len(pairs) <= 1 else "its tensors have different scales"


def broadcast_obstacle(graph: Graph, operator: Operator) -> str:
    out = graph.tensors[operator.outputs[0]]
    if getattr(operator.options, "fusedActivationFunction", 0) not in CLAMPS:
        return "its activation is not one that clamps"
    if any(graph.tensors[i].data is not None and graph.tensors[i].dtype != out.dtype for i in operator.inputs):
        return "its constant has another type"
    return "" if any(graph.tensors[i].data is None for i in operator.inputs) else "all its operands are constants"
