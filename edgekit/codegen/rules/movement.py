"""Operators that move elements: copies between affine views."""

from __future__ import annotations

from edgekit.codegen.builder import QUANTIZED, Builder, fused, require
from edgekit.codegen.kernels import Move, Spread, scale_of
from edgekit.codegen.views import View
from edgekit.graph import Graph, Operator

MOST_MOVES = 64
"""Kernels that one operator may become."""
EVERY = slice(None)


def move(b: Builder, number: int, source: View, result: View) -> None:
    """Copy elements to the same places of another view.

    :raises DamagedModel: if the shapes differ.
    """
    require(source.shape == result.shape, f"it copies {source.shape} to {result.shape}")
    b.add(Move(b.nodes[number], result.tensor, source, result))


def axis_of(axis: int, rank: int) -> int:
    """An axis that may count from the end.

    :raises DamagedModel: if there is no such axis.
    """
    require(-rank <= axis < rank, f"it has no axis {axis}")
    return axis % rank


def concatenation(b: Builder, number: int, operator: Operator) -> None:
    """Lower CONCATENATION."""
    made = b.view(operator.outputs[0])
    axis, start = axis_of(operator.options.axis, made.ndim), 0
    for index in operator.inputs:
        given = b.view(index)
        require(given.ndim == made.ndim, "its inputs have another rank")
        end = start + given.shape[axis]
        move(b, number, given, made[(*(EVERY,) * axis, slice(start, end))])
        start = end


def split(b: Builder, number: int, operator: Operator) -> None:
    """SPLIT ``(axis, x)``, SPLIT_V ``(x, sizes, axis)``: the outputs' shapes say all."""
    x, axis = (operator.inputs[1], operator.inputs[0]) if operator.op == "SPLIT" else operator.inputs[::2]
    given, start = b.view(x), 0
    along = axis_of(_one(b, axis), given.ndim)
    for output in operator.outputs:
        made = b.view(output)
        require(made.ndim == given.ndim, "its outputs have another rank")
        end = start + made.shape[along]
        move(b, number, given[(*(EVERY,) * along, slice(start, end))], made)
        start = end


def _one(b: Builder, index: int) -> int:
    """The only value of a constant."""
    values = b.integers(index).reshape(-1)
    require(values.size >= 1, "its axis is missing")
    return int(values[0])


def pack(b: Builder, number: int, operator: Operator) -> None:
    """Lower PACK."""
    made = b.view(operator.outputs[0])
    axis = axis_of(operator.options.axis, made.ndim)
    for place, index in enumerate(operator.inputs):
        move(b, number, b.view(index), made[(*(EVERY,) * axis, place, Ellipsis)])


def unpack(b: Builder, number: int, operator: Operator) -> None:
    """Lower UNPACK."""
    given = b.view(operator.inputs[0])
    axis = axis_of(operator.options.axis, given.ndim)
    for place, output in enumerate(operator.outputs):
        move(b, number, given[(*(EVERY,) * axis, place, Ellipsis)], b.view(output))


def rearranged(b: Builder, number: int, operator: Operator) -> None:
    """Operators whose output is a view of their input."""
    seen = _seen(b, operator, b.view(operator.inputs[0]))
    move(b, number, seen, b.view(operator.outputs[0]).split(seen.shape))


def _seen(b: Builder, operator: Operator, x: View) -> View:
    constants = [b.integers(i).reshape(-1).tolist() for i in operator.inputs[1:]]
    output = b.graph.tensors[operator.outputs[0]].shape
    if operator.op == "TRANSPOSE":
        return x.transpose(constants[0])
    if operator.op == "SLICE":
        begin = constants[0]
        require(len(begin) == x.ndim == len(output), "its begin does not fit its input")
        inside = all(b_ >= 0 and b_ + n <= size for b_, n, size in zip(begin, output, x.shape, strict=True))
        require(inside, "it reads beyond its input")
        return x[tuple(slice(b_, b_ + n) for b_, n in zip(begin, output, strict=True))]
    if operator.op == "STRIDED_SLICE":
        require(all(len(c) == x.ndim for c in constants[:3]), "its slices do not fit its input")
        return x[_slices(operator, *constants)]
    if operator.op == "REVERSE_V2":
        back = {axis_of(axis, x.ndim) for axis in constants[0]}
        return x[tuple(slice(None, None, -1 if axis in back else 1) for axis in range(x.ndim))]
    if operator.op == "TILE":
        require(len(constants[0]) == x.ndim, "its repetitions do not fit its input")
        times = [n for pair in zip(constants[0], x.shape, strict=True) for n in pair]
        return x.split([m for n in x.shape for m in (1, n)]).broadcast(times)
    if operator.op == "BROADCAST_TO":
        return x.broadcast(output)
    size = int(operator.options.blockSize)
    require(x.ndim == 4 and size > 0, "its blocks have no size")
    n, h, w, c = x.shape
    if operator.op == "SPACE_TO_DEPTH":
        return x.split((n, h // size, size, w // size, size, c)).transpose((0, 1, 3, 2, 4, 5))
    return x.split((n, h, w, size, size, c // size**2)).transpose((0, 1, 3, 2, 4, 5))


def _slices(operator: Operator, begin: list[int], end: list[int], stride: list[int]) -> tuple[slice, ...]:
    o, slices = operator.options, list[slice]()
    for axis, (first, last, step) in enumerate(zip(begin, end, stride, strict=True)):
        if o.shrinkAxisMask >> axis & 1:
            slices.append(slice(first, first + 1 or None))
            continue
        require(step != 0, "a stride is 0")
        start = None if o.beginMask >> axis & 1 else first
        stop = None if o.endMask >> axis & 1 else first + last if o.offset else last
        slices.append(slice(start, stop, step))
    return tuple(slices)


def spread(b: Builder, number: int, operator: Operator) -> None:
    """A feature map's pixels apart on a larger one; ``options``: its corner and strides."""
    top, left, sy, sx = operator.options
    b.add(Spread(b.nodes[number], operator.outputs[0], operator.inputs[0], top, left, (sy, sx)))


def repeated(b: Builder, number: int, operator: Operator) -> None:
    """Each channel several times in a row."""
    given, made = b.view(operator.inputs[0]), b.view(operator.outputs[0])
    times = made.shape[3] // given.shape[3]
    wide = (*given.shape, times)
    move(b, number, given[..., None].broadcast(wide), made.split(wide))


def constants_unsupported(graph: Graph, operator: Operator) -> str:
    """Axes, begins and sizes must be known."""
    x = 1 if operator.op == "SPLIT" else 0
    known = all(graph.tensors[t].data is not None for n, t in enumerate(operator.inputs) if n != x)
    if not known:
        return "its shape is not constant"
    o = operator.options
    if operator.op == "STRIDED_SLICE" and (o.ellipsisMask or o.newAxisMask):
        return "it inserts axes"
    return same_scale(graph, operator)


def joined_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why joining tensors has no kernel; empty if it has one."""
    return "it has an activation" if fused(operator) else same_scale(graph, operator)


def same_scale(graph: Graph, operator: Operator) -> str:
    """Moved integers must mean the same real values afterwards."""
    flowing = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    scales = {scale_of(t) for t in flowing if t.dtype in QUANTIZED and t.has_scale}
    return "" if len(scales) <= 1 else "its tensors have different scales"
