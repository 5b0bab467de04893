"""Windows and rows."""

from __future__ import annotations

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
)
from edgekit.backends.tvm.templates.sharing import share
from edgekit.codegen import loops


def pool(p: loops.Pool) -> Template:
    """Write a pool."""
    (height, width, count), (ah, aw) = p.shape, p.size
    (wh, ww), (sy, sx), (pt, pl) = p.window, p.strides, p.pads
    integer, dtype, largest = p.dtype != F, p.dtype, p.kind == "max"
    low, high = p.limits
    kind = dtype if largest else I32 if integer else F
    least = tirx.min_value(dtype) if largest else tirx.const(0, kind)
    inside = pt == 0 and pl == 0 and (height - 1) * sy + wh <= ah and (width - 1) * sx + ww <= aw

    def body(a: Any, d: Any) -> None:
        c = local((height, width, count), kind)

        def gather(y: Any, x: Any, j: Any, r: Any, q: Any) -> None:
            ay, ax = y * sy + r - pt, x * sx + q - pl
            one = at(a, p.inputs[0], ay, ax, j).astype(kind)
            if not inside:
                one = tirx.if_then_else(tirx.all(ay >= 0, ay < ah, ax >= 0, ax < aw), one, least)
            store(c, tirx.max(c[y, x, j], one) if largest else c[y, x, j] + one, y, x, j)

        def end(y: Any, x: Any, j: Any) -> None:
            value = c[y, x, j]
            if largest:
                value = tirx.min(tirx.max(value, tirx.const(low, dtype)), tirx.const(high, dtype)) if integer else (
                    clamped(value, low, high))  # fmt: skip
            else:
                rows = tirx.min(y * sy - pt + wh, ah) - tirx.max(y * sy - pt, 0)
                columns = tirx.min(x * sx - pl + ww, aw) - tirx.max(x * sx - pl, 0)
                share = f32(1 / (wh * ww)) if inside else f32(1) / (rows * columns).astype(F)
                if integer:  # the mean of integers about the same zero point, halves away from 0 as TFLite has it
                    mean = value.astype(F) * share
                    half = tirx.Select(value >= 0, f32(0.5), f32(-0.5))
                    value = integer_of(tirx.trunc(mean + half), 0, low, high, dtype)
                else:
                    value = clamped(value * share, low, high)
            store(d, value, y + p.output[3], x + p.output[4], j)

        block("C", (height, width, count), gather, reduced=(wh, ww), first=lambda y, x, j, *_: store(c, least, y, x, j))
        block("D", (height, width, count), end)

    return _by_channels(function([(outer_shape(p.inputs[0]), dtype), (outer_shape(p.output), dtype)], body), count)


def mean(p: loops.Mean) -> Template:
    """Write the mean of a feature map's pixels."""
    height, width, count = p.size
    integer, dtype = p.dtype != F, p.dtype
    kind = I32 if integer else F

    def body(a: Any, d: Any) -> None:
        c = local((count,), kind)

        def add(j: Any, y: Any, x: Any) -> None:
            store(c, c[j] + at(a, p.inputs[0], y, x, j).astype(kind), j)

        def end(j: Any) -> None:
            if p.limits is not None:
                zero_in, zero_out = p.zeros
                value = (c[j] - tirx.const(height * width * zero_in, I32)).astype(F)
                low, high = p.limits
                value = integer_of(value * f32(p.factor / (height * width)), zero_out, low, high, dtype)
            else:
                value = c[j] * f32(1 / (height * width))
            store(d, value, 0, 0, j)

        block("C", (count,), add, reduced=(height, width), first=lambda j, *_: store(c, tirx.const(0, kind), j))
        block("D", (count,), end)

    return _by_channels(function([(outer_shape(p.inputs[0]), dtype), ((1, 1, count), dtype)], body), count)


def _by_channels(f: Any, count: int) -> Template:
    """Schedule block C, which reduces over two dimensions, inside D, which ends it: vectors of channels, innermost."""
    return Template(f, lambda s: _reduced(s, count))


def _reduced(s: Schedule, count: int) -> None:
    c, d = s.get_sblock("C"), s.get_sblock("D")
    jo, ji = s.split(s.get_loops(d)[-1], [None, lanes_of(count)])
    s.vectorize(ji)
    s.compute_at(c, jo, preserve_unit_loops=True)
    cj, y, x = s.get_loops(c)[-3:]
    s.reorder(y, x, cj)
    s.vectorize(cj)
    share(s, d)
    s.decompose_reduction(c, y)


def softmax(p: loops.Softmax) -> Template:
    """Rows of shares; integers find the powers of their distances to the largest in a table."""
    height, width, count = p.shape
    integer, dtype = p.dtype != F, p.dtype
    arguments = [(outer_shape(p.inputs[0]), dtype), *[((256,), F)] * integer, (outer_shape(p.output), dtype)]

    def body(a: Any, *rest: Any) -> None:
        *table, d = rest
        kind = I32 if integer else F
        m, e, t = local((height, width), kind), local((height, width, count), F), local((height, width), F)

        def value(y: Any, x: Any, j: Any) -> Any:
            return at(a, p.inputs[0], y, x, j).astype(kind)

        def power(y: Any, x: Any, j: Any) -> Any:
            less = value(y, x, j) - m[y, x]
            return table[0][-less] if integer else tirx.exp(less * f32(p.beta))

        def end(y: Any, x: Any, j: Any) -> None:
            share = e[y, x, j] / t[y, x]
            if p.made is not None:
                least, most = (0, 255) if dtype == "uint8" else (-128, 127)
                scale, zero = p.made
                share = integer_of(share * f32(1 / scale), zero, least, most, dtype)
            store(d, share, y + p.output[3], x + p.output[4], j)

        block("M", (height, width), lambda y, x, j: store(m, tirx.max(m[y, x], value(y, x, j)), y, x), reduced=(count,),
              first=lambda y, x, j: store(m, tirx.min_value(kind), y, x))  # fmt: skip
        block("X", (height, width, count), lambda y, x, j: store(e, power(y, x, j), y, x, j))
        block("S", (height, width), lambda y, x, j: store(t, t[y, x] + e[y, x, j], y, x), reduced=(count,),
              first=lambda y, x, j: store(t, f32(0), y, x))  # fmt: skip
        block("D", (height, width, count), end)

    def schedule(s: Schedule) -> None:
        for name in ("M", "X", "S", "D"):
            share(s, s.get_sblock(name))

    return Template(function(arguments, body), schedule)
