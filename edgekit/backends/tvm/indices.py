"""Rules for indices: elements found by them, and operators that make them; running sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.tvm.program import Kernel
from edgekit.backends.tvm.strided import MOVES, alike
from edgekit.backends.tvm.views import compute, constant, loops, move, split_axes, view
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering

NEW = None
"""In an index: a new axis."""


def gathered(self: Lowering, number: int, operator: Operator) -> None:
    """GATHER: constant indices move neighbours together, others are read as the network runs."""
    indices = self.graph.tensors[operator.inputs[1]]
    if indices.data is None or operator.options.batchDims or len(indices.shape) > 1:
        return looked_up(self, number, operator)
    runs = _runs(indices.array())
    if len(runs) > MOVES:
        return looked_up(self, number, operator)
    self.make(operator.outputs[0])
    given, made = view(self, operator.inputs[0]), view(self, operator.outputs[0])
    before = (slice(None),) * (operator.options.axis % given.places.ndim)
    for first, start, count in runs:
        part = given.places[(*before, slice(first, first + count))]
        if made.places.ndim < given.places.ndim:  # one index, its axis goes
            part = given.places[(*before, first, Ellipsis)]
            move(self, number, given.seen(part), made)
        else:
            move(self, number, given.seen(part), made.seen(made.places[(*before, slice(start, start + count))]))
    return None


def _runs(indices: NDArray[Any]) -> list[tuple[int, int, int]]:
    """Indices that follow each other: the first, its place, how many."""
    found: list[tuple[int, int, int]] = []
    for place, index in enumerate(indices.reshape(-1).tolist()):
        if found and index == found[-1][0] + found[-1][2]:
            found[-1] = (*found[-1][:2], found[-1][2] + 1)
        else:
            found.append((index, place, 1))
    return found


def looked_up(self: Lowering, number: int, operator: Operator) -> None:
    """Elements at ``x[..., index, ...]``; an index that is out of range finds the nearest end."""
    self.make(operator.outputs[0])
    x, indices = operator.inputs
    x, indices = (indices, x) if operator.op == "EMBEDDING_LOOKUP" else (x, indices)
    given, found, made = view(self, x), view(self, indices), view(self, operator.outputs[0])
    rank = given.places.ndim
    axis = int(getattr(operator.options, "axis", 0)) % rank
    batch = int(getattr(operator.options, "batchDims", 0))
    alone: tuple[Any, ...] = (slice(None),) * axis + (0, Ellipsis)
    before = (slice(None),) * axis + (NEW,) * (found.places.ndim - batch)
    middle = (slice(None),) * batch + (NEW,) * (axis - batch) + (Ellipsis,) + (NEW,) * (rank - axis - 1)
    shape = made.places.shape
    pair = [
        given.seen(np.broadcast_to(given.places[alone][before], shape)),
        found.seen(np.broadcast_to(found.places[middle], shape)),
    ]
    params: dict[str, Any] = {"steps": [given.places.strides[axis]], "lengths": [given.places.shape[axis]]}
    compute(self, number, "gather", pair, made, params)


def gathered_nd(self: Lowering, number: int, operator: Operator) -> None:
    """GATHER_ND: the last axis of the indices holds one for each of the tensor's first axes."""
    self.make(operator.outputs[0])
    given, found, made = (view(self, i) for i in (*operator.inputs, operator.outputs[0]))
    count = found.places.shape[-1]
    rest = (NEW,) * (given.places.ndim - count)
    parts = [found.seen(np.broadcast_to(found.places[..., n][(..., *rest)], made.places.shape)) for n in range(count)]
    source = given.seen(np.broadcast_to(given.places[(*(0,) * count, Ellipsis)], made.places.shape))
    params: dict[str, Any] = {
        "steps": list(given.places.strides[:count]), "lengths": list(given.places.shape[:count]),
    }  # fmt: skip
    compute(self, number, "gather", [source, *parts], made, params)


def one_hot(self: Lowering, number: int, operator: Operator) -> None:
    """ONE_HOT: along a new axis ``on`` where the place is the index, ``off`` elsewhere."""
    self.make(operator.outputs[0])
    made = view(self, operator.outputs[0])
    indices, on, off = (view(self, operator.inputs[n]) for n in (0, 2, 3))
    axis = operator.options.axis % made.places.ndim
    depth = constant(self, np.arange(made.places.shape[axis], dtype=indices.row.dtype))
    shape = made.places.shape
    along = (NEW,) * axis + (slice(None),) + (NEW,) * (len(shape) - axis - 1)
    given = [
        indices.seen(np.broadcast_to(np.expand_dims(indices.places, axis), shape)),
        depth.seen(np.broadcast_to(depth.places[along], shape)),
        *(one.seen(np.broadcast_to(one.places.reshape(()), shape)) for one in (on, off)),
    ]
    compute(self, number, "one_hot", given, made, {})


def largest(self: Lowering, number: int, operator: Operator) -> None:
    """ARG_MAX, ARG_MIN: of equal ones the first."""
    self.make(operator.outputs[0])
    given, made = view(self, operator.inputs[0]), view(self, operator.outputs[0])
    axis = int(self.graph.tensors[operator.inputs[1]].array().reshape(-1)[0]) % given.places.ndim
    rest = given.places[(slice(None),) * axis + (0, Ellipsis)]
    out = split_axes(made.places, rest.shape)
    extents, strides = loops([rest, out])
    params: dict[str, Any] = {
        "kind": "max" if operator.op == "ARG_MAX" else "min", "shape": extents, "strides": strides,
        "length": given.places.shape[axis], "step": given.places.strides[axis],
        "offsets": [given.offset, made.offset], "sizes": [given.row.shape[0], made.row.shape[0]],
        "dtypes": [given.row.dtype], "dtype": made.row.dtype,
    }  # fmt: skip
    self.program.kernels.append(Kernel("largest", params, number, (given.row, made.row)))


def running(self: Lowering, number: int, operator: Operator) -> None:
    """CUMSUM along a constant axis, forwards or backwards, with or without an element itself."""
    self.make(operator.outputs[0])
    given, made = view(self, operator.inputs[0]), view(self, operator.outputs[0])
    axis = int(self.graph.tensors[operator.inputs[1]].array().reshape(-1)[0]) % given.places.ndim
    way = (slice(None),) * axis + (slice(None, None, -1 if operator.options.reverse else 1),)
    if given.places.shape != made.places.shape:
        raise ValueError("CUMSUM changes the shape")
    x, y = given.seen(given.places[way]), made.seen(made.places[way])
    first: tuple[Any, ...] = (slice(None),) * axis + (0, Ellipsis)
    extents, strides = loops([x.places[first], y.places[first]])
    params: dict[str, Any] = {
        "shape": extents, "strides": strides, "length": x.places.shape[axis],
        "steps": [x.places.strides[axis], y.places.strides[axis]], "offsets": [x.offset, y.offset],
        "sizes": [x.row.shape[0], y.row.shape[0]], "exclusive": bool(operator.options.exclusive),
        "dtype": y.row.dtype,
    }  # fmt: skip
    self.program.kernels.append(Kernel("running", params, number, (x.row, y.row)))


def gathered_obstacle(graph: Graph, operator: Operator) -> str:
    x, indices = (graph.tensors[i] for i in operator.inputs)
    if operator.op == "EMBEDDING_LOOKUP":
        x, indices = indices, x
    if indices.dtype not in ("int32", "int64"):
        return f"its indices are {indices.dtype}"
    if indices.data is not None:
        lengths: Any = x.shape[int(getattr(operator.options, "axis", 0))]
        if operator.op == "GATHER_ND":
            lengths = np.array(x.shape[: indices.shape[-1]])
        if not ((indices.array() >= 0) & (indices.array() < lengths)).all():
            return "its indices are out of range"
    return alike(graph, operator)


def axis_obstacle(graph: Graph, operator: Operator) -> str:
    """The second input of ARG_MAX, ARG_MIN, CUMSUM and ONE_HOT."""
    return "" if graph.tensors[operator.inputs[1]].data is not None else "its axis or depth is not constant"
