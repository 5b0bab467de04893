"""Rules for operators that lay a tensor into a larger one, or take it out of one, in pieces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edgekit.backends.tvm.strided import MOVES, alike
from edgekit.backends.tvm.views import Strided, constant, move, view
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering

SYMMETRIC = 1
"""MIRROR_PAD's mode that repeats the edge; 0 (REFLECT) does not."""


def filled(self: Lowering, number: int, operator: Operator) -> None:
    """PAD, PADV2 of any axes: a value everywhere, then the tensor in the middle."""
    self.make(operator.outputs[0])
    given, made = view(self, operator.inputs[0]), view(self, operator.outputs[0])
    _fill(self, number, made, operator.outputs[0], operator.inputs[2] if len(operator.inputs) > 2 else -1)
    pads = self.graph.tensors[operator.inputs[1]].array().tolist()
    inside = tuple(slice(int(p), int(p) + n) for (p, _), n in zip(pads, given.places.shape, strict=True))
    move(self, number, given, made.seen(made.places[inside]))


def _fill(self: Lowering, number: int, made: Strided, index: int, value: int = -1) -> None:
    """Write one value everywhere: a tensor's, or what means 0."""
    if value >= 0:
        one = view(self, value)
    else:
        zero = self.scale(index)[1] if self.graph.tensors[index].dtype == "int8" else 0
        one = constant(self, np.array(zero, made.row.dtype))
    move(self, number, one.seen(np.broadcast_to(one.places.reshape(()), made.places.shape)), made)


def mirrored(self: Lowering, number: int, operator: Operator) -> None:
    """MIRROR_PAD: the tensor, and beside each side a mirrored piece of it; corners are mirrored twice."""
    self.make(operator.outputs[0])
    given, made = view(self, operator.inputs[0]), view(self, operator.outputs[0])
    sides = []
    edge = 0 if int(operator.options.mode) == SYMMETRIC else 1
    pads = self.graph.tensors[operator.inputs[1]].array().tolist()
    for (before, after), n in zip(pads, given.places.shape, strict=True):
        pieces = [(slice(before, before + n), slice(0, n))]
        pieces += [(slice(0, before), _backwards(before - 1 + edge, before))] * bool(before)
        pieces += [(slice(before + n, before + n + after), _backwards(n - 1 - edge, after))] * bool(after)
        sides.append(pieces)
    for corner in itertools.product(*sides):
        to, source = zip(*corner, strict=True)
        move(self, number, given.seen(given.places[source]), made.seen(made.places[to]))


def _backwards(start: int, count: int) -> slice:
    return slice(start, start - count if start >= count else None, -1)


def batches(self: Lowering, number: int, operator: Operator) -> None:
    """SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: each place within a block is a batch of its own."""
    graph, (x, _, shifts) = self.graph, operator.inputs
    self.make(operator.outputs[0])
    given, made = view(self, x), view(self, operator.outputs[0])
    scattered = operator.op == "SPACE_TO_BATCH_ND"
    whole, parts = (given, made) if scattered else (made, given)
    if scattered and graph.tensors[shifts].array().any():
        _fill(self, number, made, operator.outputs[0])
    count = whole.places.shape[0]
    for place, (dense, sparse) in enumerate(_blocks(graph, operator, whole.places.shape, parts.places.shape)):
        one = whole.seen(whole.places[(slice(None), *dense)])
        other = parts.seen(parts.places[(slice(place * count, (place + 1) * count), *sparse)])
        if other.places.size:
            move(self, number, *((one, other) if scattered else (other, one)))


def _blocks(
    graph: Graph, operator: Operator, whole: tuple[int, ...], parts: tuple[int, ...]
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """For each place within a block its elements in the whole, and in its batch: ``i * block + place - shift``, i."""
    sizes = graph.tensors[operator.inputs[1]].array().reshape(-1).tolist()
    shifts = graph.tensors[operator.inputs[2]].array().reshape(-1, 2)[:, 0].tolist()
    for places in itertools.product(*(range(size) for size in sizes)):
        dense, sparse = [], []
        for axis, (size, place, shift) in enumerate(zip(sizes, places, shifts, strict=True), 1):
            first = max(0, -((place - shift) // size))
            last = min(parts[axis], (whole[axis] - 1 - place + shift) // size + 1)
            start = first * size + place - shift
            count = max(0, last - first)
            dense.append(slice(start, start + (count - 1) * size + 1 if count else start, size))
            sparse.append(slice(first, first + count))
        yield tuple(dense), tuple(sparse)


def padding_obstacle(graph: Graph, operator: Operator) -> str:
    if any(graph.tensors[i].data is None for i in operator.inputs[1:]):
        return "its padding is not constant"
    return alike(graph, operator)


def mirrored_obstacle(graph: Graph, operator: Operator) -> str:
    if reason := padding_obstacle(graph, operator):
        return reason
    pads = graph.tensors[operator.inputs[1]].array()
    count = np.prod(1 + (pads > 0).sum(axis=1))
    return f"it is more than {MOVES} pieces" if count > MOVES else ""


def batches_obstacle(graph: Graph, operator: Operator) -> str:
    if reason := padding_obstacle(graph, operator):
        return reason
    sizes = graph.tensors[operator.inputs[1]].array()
    if (sizes < 1).any():
        return "its blocks have no size"
    return f"it is more than {MOVES} pieces" if sizes.prod() > MOVES else ""
