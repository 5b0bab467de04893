"""Loops over rows of elements at strided places, and resized pictures."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule

from edgekit.backends.tvm.templates.building import block, function, local, store
from edgekit.backends.tvm.templates.common import (
    I32,
    F,
    Params,
    at,
    clamped,
    f32,
    integer_of,
    lanes_of,
    outer_shape,
)
from edgekit.backends.tvm.templates.elements import combined


def _place(offset: int, steps: list[int], axes: tuple[Any, ...]) -> Any:
    found: Any = offset
    for step, axis in zip(steps, axes, strict=True):
        found = found + axis * step if step else found
    return found


def nest(p: Params) -> Any:
    """``out = function(inputs)`` element by element."""
    *sizes, made_size = p["sizes"]
    *strides, made_strides = p["strides"]
    *offsets, made_offset = p["offsets"]
    dtype = p["dtype"]

    def body(*given: Any) -> None:
        def one(*axes: Any) -> None:
            values = [
                a[_place(offset, steps, axes)] for a, offset, steps in zip(given[:-1], offsets, strides, strict=True)
            ]
            value = values[0] if p["function"] == "copy" else combined(p, values)
            store(given[-1], value, _place(made_offset, made_strides, axes))

        block("E", p["shape"], one)

    arguments = [*(((size,), dtype) for size in sizes), ((made_size,), dtype)]
    s = Schedule(function(arguments, body))
    if made_strides[-1] == 1 and all(steps[-1] in (0, 1) for steps in strides):
        _, lane = s.split(s.get_loops(s.get_sblock("E"))[-1], [None, lanes_of(p["shape"][-1])])
        s.vectorize(lane)
    return s.mod["main"]


def accumulate(p: Params) -> Any:
    """Sums, largest or smallest of products over the reduced axes."""
    *sizes, made_size = p["sizes"]
    *strides, made_strides = p["strides"]
    *offsets, made_offset = p["offsets"]
    dtype, kept, integer = p["dtype"], len(p["shape"]), p["dtype"] != F
    kind = I32 if integer else F
    start = {"sum": tirx.const(0, kind), "max": tirx.min_value(kind), "min": tirx.max_value(kind)}[p["kind"]]
    joined = {"sum": lambda a, b: a + b, "max": tirx.max, "min": tirx.min}[p["kind"]]

    def body(*given: Any) -> None:
        c = local(p["shape"], kind)

        def add(*axes: Any) -> None:
            value: Any = None
            for number, a in enumerate(given[:-1]):
                place = _place(offsets[number], [*strides[number], *p["steps"][number]], axes)
                one = a[place].astype(kind)
                one = one - tirx.const(p["zeros"][number], I32) if integer else one
                value = one if value is None else value * one
            store(c, joined(c[axes[:kept]], value), *axes[:kept])

        def end(*axes: Any) -> None:
            value = c[axes].astype(F) * f32(p["factor"])
            if integer:
                low, high = p["limits"]
                value = integer_of(value, p["made"], low, high, dtype)
            store(given[-1], value, _place(made_offset, made_strides, axes))

        block("C", p["shape"], add, reduced=p["reduced"], first=lambda *axes: store(c, start, *axes[:kept]))
        block("D", p["shape"], end)

    arguments = [*(((size,), dtype) for size in sizes), ((made_size,), dtype)]
    s = Schedule(function(arguments, body))
    c, d = s.get_sblock("C"), s.get_sblock("D")
    vector = made_strides[-1] == 1 and all(steps[-1] in (0, 1) for steps in strides)
    jo, ji = s.split(s.get_loops(d)[-1], [None, lanes_of(p["shape"][-1]) if vector else 1])
    s.compute_at(c, jo, preserve_unit_loops=True)
    lane, *inner = s.get_loops(c)[-1 - len(p["reduced"]) :]
    s.reorder(*inner, lane)
    if vector:
        s.vectorize(ji)
        s.vectorize(lane)
    s.decompose_reduction(c, inner[0])
    return s.mod["main"]


def nearest(p: Params) -> Any:
    height, width, count = p["shape"]
    dtype = p["dtype"]

    def body(a: Any, rows: Any, columns: Any, d: Any) -> None:
        def one(y: Any, x: Any, c: Any) -> None:
            store(d, at(a, p["in"][0], rows[y], columns[x], c), y + p["out"][3], x + p["out"][4], c)

        block("E", (height, width, count), one)

    arguments = [(outer_shape(p["in"][0]), dtype), ((height,), I32), ((width,), I32), (outer_shape(p["out"]), dtype)]
    return _over_channels(function(arguments, body), count)


def bilinear(p: Params) -> Any:
    height, width, count = p["shape"]
    dtype = p["dtype"]

    def body(a: Any, top: Any, bottom: Any, down: Any, left: Any, right: Any, across: Any, d: Any) -> None:
        def one(y: Any, x: Any, c: Any) -> None:
            def value(row: Any, column: Any) -> Any:
                return at(a, p["in"][0], row[y], column[x], c).astype(F)

            v, h = down[y], across[x]
            upper = value(top, left) * (f32(1) - h) + value(top, right) * h
            lower = value(bottom, left) * (f32(1) - h) + value(bottom, right) * h
            made = upper * (f32(1) - v) + lower * v
            low, high = p["limits"]
            made = clamped(made, low, high) if dtype == F else integer_of(made, 0, low, high, dtype)
            store(d, made, y + p["out"][3], x + p["out"][4], c)

        block("E", (height, width, count), one)

    arguments = [(outer_shape(p["in"][0]), dtype)]
    for size in (height, width):
        arguments += [((size,), I32), ((size,), I32), ((size,), F)]
    return _over_channels(function([*arguments, (outer_shape(p["out"]), dtype)], body), count)


def _over_channels(f: Any, count: int) -> Any:
    s = Schedule(f)
    _, lane = s.split(s.get_loops(s.get_sblock("E"))[-1], [None, lanes_of(count)])
    s.vectorize(lane)
    return s.mod["main"]
