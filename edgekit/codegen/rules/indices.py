"""Elements found by indices, operators that make indices, and running sums."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.builder import Builder, require
from edgekit.codegen.kernels import ArgExtreme, CumSum, Elementwise, Gather
from edgekit.codegen.rules.movement import EVERY, MOST_MOVES, axis_of, move, same_scale
from edgekit.codegen.views import View
from edgekit.graph import Graph, Operator

NEW = None
"""In an index: a new axis."""


def gather(b: Builder, number: int, operator: Operator) -> None:
    """GATHER: constant indices move neighbours together, others are read as the network runs."""
    indices = b.graph.tensors[operator.inputs[1]]
    batches = int(getattr(operator.options, "batchDims", 0))
    if indices.data is None or batches or len(indices.shape) > 1:
        return lookup(b, number, operator)
    runs = _runs(b.integers(operator.inputs[1]))
    if len(runs) > MOST_MOVES:
        return lookup(b, number, operator)
    given, made = b.view(operator.inputs[0]), b.view(operator.outputs[0])
    before = (EVERY,) * axis_of(int(getattr(operator.options, "axis", 0)), given.ndim)
    for first, start, count in runs:
        if made.ndim < given.ndim:  # one index, its axis goes
            move(b, number, given[(*before, first, Ellipsis)], made)
        else:
            part = given[(*before, slice(first, first + count))]
            move(b, number, part, made[(*before, slice(start, start + count))])
    return None


def _runs(indices: NDArray[Any]) -> list[tuple[int, int, int]]:
    """Indices that follow each other: the first, its place, how many."""
    runs: list[tuple[int, int, int]] = []
    for place, index in enumerate(indices.reshape(-1).tolist()):
        if runs and index == runs[-1][0] + runs[-1][2]:
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((index, place, 1))
    return runs


def lookup(b: Builder, number: int, operator: Operator) -> None:
    """Elements at ``x[..., index, ...]``; an index that is out of range finds the nearest end."""
    x, indices = operator.inputs
    x, indices = (indices, x) if operator.op == "EMBEDDING_LOOKUP" else (x, indices)
    given, found, made = b.view(x), b.view(indices), b.view(operator.outputs[0])
    rank = given.ndim
    axis = axis_of(int(getattr(operator.options, "axis", 0)), rank)
    batch = int(getattr(operator.options, "batchDims", 0))
    require(0 <= batch <= min(axis, found.ndim), "its batches do not fit its shapes")
    alone = given[(*(EVERY,) * axis, 0, Ellipsis)]
    source = alone[(*(EVERY,) * axis, *(NEW,) * (found.ndim - batch))].broadcast(made.shape)
    middle = (*(EVERY,) * batch, *(NEW,) * (axis - batch), Ellipsis, *(NEW,) * (rank - axis - 1))
    places = found[middle].broadcast(made.shape)
    _gathered(b, number, source, [places], [given.steps[axis]], [given.shape[axis]], made)


def gather_nd(b: Builder, number: int, operator: Operator) -> None:
    """GATHER_ND: the last axis of the indices holds one for each of the tensor's first axes."""
    given, found, made = (b.view(i) for i in (*operator.inputs, operator.outputs[0]))
    require(found.ndim >= 1 and found.shape[-1] <= given.ndim, "its indices have too many coordinates")
    count = found.shape[-1]
    rest = (NEW,) * (given.ndim - count)
    parts = [found[..., n][(Ellipsis, *rest)].broadcast(made.shape) for n in range(count)]
    source = given[(*(0,) * count, Ellipsis)].broadcast(made.shape)
    _gathered(b, number, source, parts, list(given.steps[:count]), list(given.shape[:count]), made)


def _gathered(
    b: Builder, number: int, source: View, indices: list[View], axes: list[tuple[int, ...]], lengths: list[int],
    made: View,
) -> None:  # fmt: skip
    b.add(Gather(b.nodes[number], made.tensor, source, tuple(indices), tuple(axes), tuple(lengths), made))


def one_hot(b: Builder, number: int, operator: Operator) -> None:
    """ONE_HOT: along a new axis ``on`` where the place is the index, ``off`` elsewhere."""
    made = b.view(operator.outputs[0])
    require(len(operator.inputs) == 4, "it lacks an operand")
    indices, on, off = (b.view(operator.inputs[n]) for n in (0, 2, 3))
    axis = axis_of(operator.options.axis, made.ndim)
    require(indices.ndim == made.ndim - 1, "its output has another rank")
    kind = b.graph.tensors[operator.inputs[0]].dtype
    depth = b.view(b.constant(np.arange(made.shape[axis], dtype=kind)))
    along = depth[(*(NEW,) * axis, EVERY, *(NEW,) * (made.ndim - axis - 1))]
    operands = (indices.expand(axis), along, on.split(()), off.split(()))
    given = tuple(one.broadcast(made.shape) for one in operands)
    b.add(Elementwise(b.nodes[number], operator.outputs[0], "one_hot", given, made))


def largest(b: Builder, number: int, operator: Operator) -> None:
    """ARG_MAX, ARG_MIN: of equal ones the first."""
    given, made = b.view(operator.inputs[0]), b.view(operator.outputs[0])
    axis = axis_of(int(b.integers(operator.inputs[1]).reshape(-1)[0]), given.ndim)
    result = made.split((*given.shape[:axis], *given.shape[axis + 1 :]))
    kind: Literal["max", "min"] = "max" if operator.op == "ARG_MAX" else "min"
    b.add(ArgExtreme(b.nodes[number], operator.outputs[0], kind, given, axis, result))


def cumsum(b: Builder, number: int, operator: Operator) -> None:
    """CUMSUM along a constant axis, forwards or backwards, with or without an element itself."""
    given, made = b.view(operator.inputs[0]), b.view(operator.outputs[0])
    axis = axis_of(int(b.integers(operator.inputs[1]).reshape(-1)[0]), given.ndim)
    require(given.shape == made.shape, "it changes the shape")
    way = (*(EVERY,) * axis, slice(None, None, -1 if operator.options.reverse else 1))
    exclusive = bool(operator.options.exclusive)
    b.add(CumSum(b.nodes[number], operator.outputs[0], given[way], axis, made[way], exclusive))


def gather_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why a gather has no kernel; empty if it has one."""
    x, indices = (graph.tensors[i] for i in operator.inputs[:2])
    if operator.op == "EMBEDDING_LOOKUP":
        x, indices = indices, x
    if indices.dtype not in ("int32", "int64"):
        return f"its indices are {indices.dtype}"
    if indices.data is not None:
        axis = int(getattr(operator.options, "axis", 0))
        if not -len(x.shape) <= axis < len(x.shape):
            return "its indices are out of range"
        lengths: Any = x.shape[axis]
        if operator.op == "GATHER_ND":
            lengths = np.array(x.shape[: indices.shape[-1]] if indices.shape else ())
            if not indices.shape or lengths.size != indices.shape[-1]:
                return "its indices have too many coordinates"
        if not ((indices.array() >= 0) & (indices.array() < lengths)).all():
            return "its indices are out of range"
    return same_scale(graph, operator)


def axis_unsupported(graph: Graph, operator: Operator) -> str:
    """The second input of ARG_MAX, ARG_MIN, CUMSUM and ONE_HOT."""
    axis = graph.tensors[operator.inputs[1]]
    return "" if axis.data is not None and axis.elements == 1 else "its axis or depth is not constant"
