"""Loops over rows of elements at strided places: moves, broadcast arithmetic, reductions, indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from edgekit.codegen import kernels, loops
from edgekit.codegen.loops import Quantized, Shape
from edgekit.codegen.program import Call
from edgekit.codegen.schedule.base import Row, Scheduler

COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


def joined(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[Shape, tuple[Shape, ...]]:
    """Extents and strides with axes of one element left out, and axes that continue each other joined.

    :param strides: of each operand, one per axis of ``shape``.
    """
    extents: list[int] = []
    result: list[list[int]] = [[] for _ in strides]
    for axis, extent in enumerate(shape):
        if extent == 1:
            continue
        steps = [one[axis] for one in strides]
        if extents and all(kept[-1] == step * extent for kept, step in zip(result, steps, strict=True)):
            extents[-1] *= extent
            for kept, step in zip(result, steps, strict=True):
                kept[-1] = step
            continue
        extents.append(extent)
        for kept, step in zip(result, steps, strict=True):
            kept.append(step)
    if not extents:
        return (1,), tuple((0,) for _ in strides)
    return tuple(extents), tuple(tuple(kept) for kept in result)


def _sizes(rows: Sequence[Row]) -> Shape:
    return tuple(row.argument.shape[0] for row in rows)


def _call(s: Scheduler, nest: loops.Loops, node: int, rows: Sequence[Row]) -> None:
    s.program.calls.append(Call(nest, node, tuple(row.argument for row in rows)))


def compute(s: Scheduler, kernel: kernels.Kernel, function: str, rows: Sequence[Row], **fields: Any) -> None:
    """``rows[-1][i] = function(rows[0][i], ...)``: rows of one shape, of any types that the function takes."""
    *given, made = rows
    shape, strides = joined(made.shape, [row.strides for row in rows])
    dtype = made.argument.dtype
    dtypes = tuple(row.argument.dtype for row in given)
    nest = loops.Nest(
        dtype, function, shape, strides, tuple(row.offset for row in rows), _sizes(rows),
        dtypes if any(one != dtype for one in dtypes) else (), **fields,
    )  # fmt: skip
    _call(s, nest, kernel.node, rows)


def move(s: Scheduler, kernel: kernels.Move) -> None:
    """Schedule a move of elements."""
    s.made(kernel.output)
    compute(s, kernel, "copy", [s.row(kernel.source), s.row(kernel.result)])


def elementwise(s: Scheduler, kernel: kernels.Elementwise) -> None:
    """Operands of shapes that broadcast."""
    s.made(kernel.output)
    by_tensor = {view: s.row(view) for view in sorted(kernel.inputs, key=lambda view: view.tensor)}
    rows = [by_tensor[view] for view in kernel.inputs]  # constants of the file lie before those that a rule made
    scales: tuple[Quantized, ...] = ()
    made: Quantized | None = None
    limits = None if kernel.limits is None else s.limits(kernel.limits, kernel.output)
    operands = [view.tensor for view in kernel.inputs]
    arithmetic = kernel.limits is not None and s.is_int8(kernel.output)
    if arithmetic or (kernel.function in COMPARISONS and s.is_int8(operands[0])):
        scales = tuple(s.quantized(index) for index in operands)
    if arithmetic:
        made = s.quantized(kernel.output)
    truth = kernel.function == "cast" and s.tensor(kernel.output).dtype == "bool"
    compute(s, kernel, kernel.function, [*rows, s.row(kernel.result)], limits=limits, scales=scales, made=made,
            truth=truth)  # fmt: skip


def gather(s: Scheduler, kernel: kernels.Gather) -> None:
    """Schedule a gather by computed indices."""
    s.made(kernel.output)
    source = s.row(kernel.source)
    rows = [source, *(s.row(view) for view in kernel.indices), s.row(kernel.result)]
    layout = s.layout(kernel.source.tensor)
    steps = tuple(sum(a * b for a, b in zip(axis, layout, strict=True)) for axis in kernel.axes)
    compute(s, kernel, "gather", rows, steps=steps, lengths=kernel.lengths)


def reduce(s: Scheduler, kernel: kernels.Reduce) -> None:
    """Products of rows, joined over all axes but the first ``kept``."""
    s.made(kernel.output)
    given, made = [s.row(view) for view in kernel.inputs], s.row(kernel.result)
    kept = kernel.kept
    shape, strides = joined(made.shape, [*(row.strides[:kept] for row in given), made.strides])
    reduced, steps = joined(kernel.reduced, [row.strides[kept:] for row in given])
    factor = 1 / math.prod(kernel.reduced) if kernel.mean else 1.0
    fields: dict[str, Any] = {}
    if kernel.limits is not None:
        scales = [s.quantized(view.tensor) for view in kernel.inputs]
        scale, zero = s.quantized(kernel.output)
        factor *= math.prod(one for one, _ in scales) / scale
        fields = {
            "zeros": tuple(zero_point for _, zero_point in scales), "made": zero,
            "limits": s.limits(kernel.limits, kernel.output),
        }  # fmt: skip
    rows = [*given, made]
    nest = loops.Accumulate(
        made.argument.dtype, kernel.kind, factor, shape, strides, reduced, steps, tuple(row.offset for row in rows),
        _sizes(rows), **fields,
    )  # fmt: skip
    _call(s, nest, kernel.node, rows)


def extreme(s: Scheduler, kernel: kernels.ArgExtreme) -> None:
    """Schedule ARG_MAX and ARG_MIN."""
    s.made(kernel.output)
    given, made = s.row(kernel.input), s.row(kernel.result)
    rest = (*given.strides[: kernel.axis], *given.strides[kernel.axis + 1 :])
    shape, strides = joined(made.shape, [rest, made.strides])
    nest = loops.Largest(
        made.argument.dtype, kernel.kind, shape, strides, given.shape[kernel.axis], given.strides[kernel.axis],
        (given.offset, made.offset), _sizes([given, made]), (given.argument.dtype,),
    )  # fmt: skip
    _call(s, nest, kernel.node, [given, made])


def cumsum(s: Scheduler, kernel: kernels.CumSum) -> None:
    """Schedule a cumulative sum."""
    s.made(kernel.output)
    given, made = s.row(kernel.input), s.row(kernel.result)
    axis = kernel.axis
    rest = [(*row.strides[:axis], *row.strides[axis + 1 :]) for row in (given, made)]
    shape, strides = joined((*made.shape[:axis], *made.shape[axis + 1 :]), rest)
    nest = loops.Running(
        made.argument.dtype, shape, strides, made.shape[axis], (given.strides[axis], made.strides[axis]),
        (given.offset, made.offset), _sizes([given, made]), kernel.exclusive,
    )  # fmt: skip
    _call(s, nest, kernel.node, [given, made])
