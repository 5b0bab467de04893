"""Operators that lay a tensor into a larger one, or take it out of one, in pieces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from edgekit.codegen.builder import Builder, require
from edgekit.codegen.rules.movement import EVERY, MOST_MOVES, move, same_scale
from edgekit.codegen.views import View
from edgekit.graph import Graph, Operator

SYMMETRIC = 1
"""MIRROR_PAD's mode that repeats the edge; 0 (REFLECT) does not."""


def filled(b: Builder, number: int, operator: Operator) -> None:
    """PAD, PADV2 of any axes: a value everywhere, then the tensor in the middle."""
    given, made = b.view(operator.inputs[0]), b.view(operator.outputs[0])
    pads = _pads(b, operator, given)
    _fill(b, number, made, operator.inputs[2] if len(operator.inputs) > 2 else -1)
    inside = tuple(slice(before, before + n) for (before, _), n in zip(pads, given.shape, strict=True))
    move(b, number, given, made[inside])


def _pads(b: Builder, operator: Operator, given: View) -> list[list[int]]:
    """Before and after each axis of the input."""
    pads = b.integers(operator.inputs[1])
    require(pads.shape == (given.ndim, 2) and (pads >= 0).all(), "its padding does not fit its input")
    sizes = tuple(n + int(before) + int(after) for n, (before, after) in zip(given.shape, pads, strict=True))
    require(sizes == b.graph.tensors[operator.outputs[0]].shape, "its padding does not fit its output")
    rows: list[list[int]] = pads.tolist()
    return rows


def _fill(b: Builder, number: int, made: View, value: int = -1) -> None:
    """Write one value everywhere: a tensor's, or what means 0."""
    tensor = b.tensors[made.tensor]
    if value < 0:
        scale = b.scale(made.tensor)
        value = b.constant(np.array(scale.zero_point if scale else 0, np.dtype(tensor.dtype)))
    require(b.tensors[value].elements == 1, "it fills with more than one value")
    move(b, number, b.view(value).split(()).broadcast(made.shape), made)


def mirrored(b: Builder, number: int, operator: Operator) -> None:
    """MIRROR_PAD: the tensor, and beside each side a mirrored piece of it; corners are mirrored twice."""
    given, made = b.view(operator.inputs[0]), b.view(operator.outputs[0])
    sides = []
    edge = 0 if int(operator.options.mode) == SYMMETRIC else 1
    for (before, after), n in zip(_pads(b, operator, given), given.shape, strict=True):
        require(before <= n - edge and after <= n - edge, "its padding is larger than its input")
        pieces = [(slice(before, before + n), slice(0, n))]
        pieces += [(slice(0, before), _backwards(before - 1 + edge, before))] * bool(before)
        pieces += [(slice(before + n, before + n + after), _backwards(n - 1 - edge, after))] * bool(after)
        sides.append(pieces)
    for corner in itertools.product(*sides):
        to, source = zip(*corner, strict=True)
        move(b, number, given[source], made[to])


def _backwards(start: int, count: int) -> slice:
    return slice(start, start - count if start >= count else None, -1)


def batches(b: Builder, number: int, operator: Operator) -> None:
    """SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: each place within a block is a batch of its own."""
    x, _, shifts = operator.inputs
    given, made = b.view(x), b.view(operator.outputs[0])
    scattered = operator.op == "SPACE_TO_BATCH_ND"
    whole, parts = (given, made) if scattered else (made, given)
    if scattered and b.integers(shifts).any():
        _fill(b, number, made)
    count = whole.shape[0]
    for place, (dense, sparse) in enumerate(_blocks(b, operator, whole.shape, parts.shape)):
        one = whole[(EVERY, *dense)]
        other = parts[(slice(place * count, (place + 1) * count), *sparse)]
        if other.elements:
            move(b, number, *((one, other) if scattered else (other, one)))


def _blocks(
    b: Builder, operator: Operator, whole: tuple[int, ...], parts: tuple[int, ...]
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """For each place within a block its elements in the whole, and in its batch: ``i * block + place - shift``, i."""
    sizes = b.integers(operator.inputs[1]).reshape(-1).tolist()
    shifts = b.integers(operator.inputs[2])
    require(shifts.shape == (len(sizes), 2) and len(sizes) < min(len(whole), len(parts)), "its blocks do not fit")
    for places in itertools.product(*(range(size) for size in sizes)):
        dense, sparse = [], []
        rows = zip(sizes, places, shifts[:, 0].tolist(), strict=True)
        for axis, (size, place, shift) in enumerate(rows, 1):
            first = max(0, -((place - shift) // size))
            last = min(parts[axis], (whole[axis] - 1 - place + shift) // size + 1)
            start = first * size + place - shift
            count = max(0, last - first)
            dense.append(slice(start, start + (count - 1) * size + 1 if count else start, size))
            sparse.append(slice(first, first + count))
        yield tuple(dense), tuple(sparse)


def padding_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why a padding has no kernel; empty if it has one."""
    if any(graph.tensors[i].data is None for i in operator.inputs[1:]):
        return "its padding is not constant"
    return same_scale(graph, operator)


def mirrored_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why MIRROR_PAD has no kernel; empty if it has one."""
    if reason := padding_unsupported(graph, operator):
        return reason
    pads = graph.tensors[operator.inputs[1]].array()
    count = np.prod(1 + (pads > 0).sum(axis=-1))
    return f"it is more than {MOST_MOVES} pieces" if count > MOST_MOVES else ""


def batches_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why SPACE_TO_BATCH_ND or BATCH_TO_SPACE_ND has no kernel; empty if it has one."""
    if reason := padding_unsupported(graph, operator):
        return reason
    sizes = graph.tensors[operator.inputs[1]].array()
    if (sizes < 1).any():
        return "its blocks have no size"
    return f"it is more than {MOST_MOVES} pieces" if sizes.prod() > MOST_MOVES else ""
