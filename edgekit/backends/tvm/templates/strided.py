"""Loops over rows of elements at strided places, and resized feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule

from edgekit.backends.tvm.templates.building import Template, block, function, local, store
from edgekit.backends.tvm.templates.common import (
    I32,
    F,
    at,
    clamped,
    f32,
    integer_of,
    lanes_of,
    outer_shape,
    place,
)
from edgekit.backends.tvm.templates.elements import combined, over_vectors
from edgekit.backends.tvm.templates.logic import TYPED
from edgekit.backends.tvm.templates.sharing import share
from edgekit.codegen import loops


def _found(p: loops.Nest, places: list[Any], indices: Sequence[Any]) -> Any:
    found = places[0]
    for index, where, step, length in zip(indices, places[1:], p.steps, p.lengths, strict=True):
        found = found + tirx.max(tirx.min(index[where].astype("int64"), length - 1), 0) * step
    return found


def nest(p: loops.Nest) -> Template:
    """``out = function(inputs)`` element by element.

    ``gather`` reads its first input at the places that the others, indices, say beside the loops' own; an index that is
    out of range finds the nearest end.
    """
    *sizes, made_size = p.sizes
    *strides, made_strides = p.strides
    *offsets, made_offset = p.offsets
    dtype = p.dtype

    def body(*given: Any) -> None:
        def one(*axes: Any) -> None:
            places = [place(offset, steps, axes) for offset, steps in zip(offsets, strides, strict=True)]
            if p.function == "gather":
                value = given[0][_found(p, places, given[1:-1])]
            else:
                values = [a[where] for a, where in zip(given[:-1], places, strict=True)]
                value = TYPED[p.function](p, values) if p.function in TYPED else combined(p, values)
            store(given[-1], value, place(made_offset, made_strides, axes))

        block("E", p.shape, one)

    dtypes = p.dtypes or [dtype] * len(sizes)
    arguments = [*(((size,), kind) for size, kind in zip(sizes, dtypes, strict=True)), ((made_size,), dtype)]

    def schedule(s: Schedule) -> None:
        if p.function != "gather" and made_strides[-1] == 1 and all(steps[-1] in (0, 1) for steps in strides):
            over_vectors(s, lanes_of(p.shape[-1]))
        else:
            share(s, s.get_sblock("E"))

    return Template(function(arguments, body), schedule)


def accumulate(p: loops.Accumulate) -> Template:
    """Sums, largest or smallest of products over the reduced axes."""
    *sizes, made_size = p.sizes
    *strides, made_strides = p.strides
    *offsets, made_offset = p.offsets
    dtype, kept, quantized = p.dtype, len(p.shape), bool(p.zeros)
    kind = I32 if quantized else dtype
    start = {
        "sum": tirx.const(0, kind), "prod": tirx.const(1, kind), "max": tirx.min_value(kind),
        "min": tirx.max_value(kind),
    }[p.kind]  # fmt: skip
    joined = {"sum": lambda a, b: a + b, "prod": lambda a, b: a * b, "max": tirx.max, "min": tirx.min}[p.kind]

    def body(*given: Any) -> None:
        c = local(p.shape, kind)

        def add(*axes: Any) -> None:
            value: Any = None
            for number, a in enumerate(given[:-1]):
                one = a[place(offsets[number], [*strides[number], *p.steps[number]], axes)].astype(kind)
                one = one - tirx.const(p.zeros[number], I32) if quantized else one
                value = one if value is None else value * one
            store(c, joined(c[axes[:kept]], value), *axes[:kept])

        def end(*axes: Any) -> None:
            value = c[axes].astype(F) * f32(p.factor) if quantized or dtype == F else c[axes]
            if p.limits is not None:
                low, high = p.limits
                value = integer_of(value, p.made, low, high, dtype)
            store(given[-1], value, place(made_offset, made_strides, axes))

        block("C", p.shape, add, reduced=p.reduced, first=lambda *axes: store(c, start, *axes[:kept]))
        block("D", p.shape, end)

    arguments = [*(((size,), dtype) for size in sizes), ((made_size,), dtype)]
    return Template(function(arguments, body), lambda s: _reduced(s, p))


def _reduced(s: Schedule, p: loops.Accumulate) -> None:
    """The reduction around vectors of what lies together."""
    *strides, made_strides = p.strides
    c, d = s.get_sblock("C"), s.get_sblock("D")
    vector = made_strides[-1] == 1 and all(steps[-1] in (0, 1) for steps in strides)
    jo, ji = s.split(s.get_loops(d)[-1], [None, lanes_of(p.shape[-1]) if vector else 1])
    s.compute_at(c, jo, preserve_unit_loops=True)
    lane, *inner = s.get_loops(c)[-1 - len(p.reduced) :]
    s.reorder(*inner, lane)
    if vector:
        s.vectorize(ji)
        s.vectorize(lane)
    share(s, d)
    s.decompose_reduction(c, inner[0])


def nearest(p: loops.Nearest) -> Template:
    """Write a feature map resized to the nearest pixels."""
    height, width, count = p.shape
    dtype = p.dtype

    def body(a: Any, rows: Any, columns: Any, d: Any) -> None:
        def one(y: Any, x: Any, c: Any) -> None:
            store(d, at(a, p.inputs[0], rows[y], columns[x], c), y + p.output[3], x + p.output[4], c)

        block("E", (height, width, count), one)

    arguments = [(outer_shape(p.inputs[0]), dtype), ((height,), I32), ((width,), I32), (outer_shape(p.output), dtype)]
    return _over_channels(function(arguments, body), count)


def bilinear(p: loops.Bilinear) -> Template:
    """Write a feature map resized by bilinear interpolation."""
    height, width, count = p.shape
    dtype = p.dtype

    def body(a: Any, top: Any, bottom: Any, down: Any, left: Any, right: Any, across: Any, d: Any) -> None:
        def one(y: Any, x: Any, c: Any) -> None:
            def value(row: Any, column: Any) -> Any:
                return at(a, p.inputs[0], row[y], column[x], c).astype(F)

            v, h = down[y], across[x]
            upper = value(top, left) * (f32(1) - h) + value(top, right) * h
            lower = value(bottom, left) * (f32(1) - h) + value(bottom, right) * h
            made = upper * (f32(1) - v) + lower * v
            low, high = p.limits
            made = clamped(made, low, high) if dtype == F else integer_of(made, 0, low, high, dtype)
            store(d, made, y + p.output[3], x + p.output[4], c)

        block("E", (height, width, count), one)

    arguments = [(outer_shape(p.inputs[0]), dtype)]
    for size in (height, width):
        arguments += [((size,), I32), ((size,), I32), ((size,), F)]
    return _over_channels(function([*arguments, (outer_shape(p.output), dtype)], body), count)


def _over_channels(f: Any, count: int) -> Template:
    return Template(f, lambda s: over_vectors(s, lanes_of(count)))
