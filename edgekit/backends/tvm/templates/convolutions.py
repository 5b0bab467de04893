"""Convolutions and matrix products."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule

from edgekit.backends.tvm.templates import intrinsics
from edgekit.backends.tvm.templates.building import Template, block, function, local, store
from edgekit.backends.tvm.templates.common import (
    I16,
    I32,
    F,
    at,
    clamped,
    f32,
    float_of,
    integer_of,
    limited,
    multiply_add,
    outer_shape,
    rounded_to,
)
from edgekit.backends.tvm.templates.sharing import share
from edgekit.codegen import loops
from edgekit.codegen.loops import MAGIC, MAGIC_BITS
from edgekit.codegen.schedule.packing import GROUPS

UNROLLED = 512
"""Window positions times pixels, above which a window stays a loop."""


def conv(p: loops.Conv) -> Template:
    """Write a convolution or a matrix product, with its epilogue."""
    (height, width, count), (kh, kw, depth) = p.shape, p.kernel
    sy, sx, dy, dx = p.steps
    top, left = p.corner
    channels = p.tile[1]
    integer, dtype, dot = p.dtype != F, p.dtype, p.dot
    lanes = p.tile[2]
    groups, together = GROUPS[dot] if dot else (1, 1)
    step, grouped = groups * together, [groups] if groups > 1 else []
    packed = (kh, kw, depth // step, channels // lanes, *grouped, lanes, together) if dot else (kh, kw, depth, channels)
    instruction = intrinsics.register(dot, lanes) if dot else ""  # here, as traces of tuning name it
    arguments = [(outer_shape(spec), dtype) for spec in p.inputs]
    arguments += [((count // channels, *packed), "int8" if integer else F), ((count,), I32 if integer else F)]
    arguments += [((count,), F)] * integer + [(outer_shape(p.output), dtype)]

    def body(*given: Any) -> None:
        a, d, rest = given[0], given[-1], given[1:-1]
        other = rest[0] if p.residual else None
        w, b, *scale = rest[1:] if p.residual else rest
        c = local((height, width, count), I32 if integer else F)

        def factors(y: Any, x: Any, j: Any, r: Any, q: Any, k: Any, *inner: Any) -> tuple[Any, Any]:
            place = [k, j % channels // lanes, *inner[:-1], j % lanes, *inner[-1:]] if dot else [k, j % channels]
            for size, one in zip((*grouped, together), inner, strict=False):
                k = k * size + one
            return a[y * sy + r * dy + top, x * sx + q * dx + left, k], w[(j // channels, r, q, *place)]

        def multiply(y: Any, x: Any, j: Any, *reduced: Any) -> None:
            left_, right = factors(y, x, j, *reduced)
            if dot:
                left_, right = left_.astype(I32), right.astype(I32)
            elif integer:
                left_, right = left_.astype(I16).astype(I32), right.astype(I16).astype(I32)
            store(c, c[y, x, j] + left_ * right, y, x, j)

        reduced = (kh, kw, depth // step, *grouped, together) if dot else (kh, kw, depth)

        def end(y: Any, x: Any, j: Any) -> None:
            value = c[y, x, j]
            extra = at(other, p.inputs[1], y, x, j) if other is not None else None
            value = _ended(p, value, scale[0][j] if integer else None, extra)
            store(d, value, y + p.output[3], x + p.output[4], j)

        block("C", (height, width, count), multiply, reduced=reduced, reads=factors,
              first=lambda y, x, j, *_: store(c, b[j], y, x, j))  # fmt: skip
        block("D", (height, width, count), end)

    return Template(function(arguments, body), lambda s: _tiled(s, p, instruction))


def _ended(p: loops.Conv | loops.Depthwise, value: Any, scale: Any, other: Any) -> Any:
    """What is stored of an accumulator."""
    end = p.end
    if isinstance(end, loops.IntegerEnd):
        return _integer_end(end, p.dtype, value, scale, other)
    return clamped(value if other is None else value + other, end.low, end.high)


def _integer_end(p: loops.IntegerEnd, dtype: str, value: Any, scale: Any, other: Any) -> Any:
    """The stored byte of an accumulator."""
    zero, low, high, add = p.zero, p.low, p.high, p.add
    value = float_of(value) if p.shifted else value.astype(F)
    if add is None and p.bits < 22:
        return limited(rounded_to(value, scale, zero, dtype, halves=_halves(p, p.bits)), low, high, dtype)
    if add is None:
        return integer_of(value * scale, zero, low, high, dtype)
    ka, kb, zero_r, zero_2 = add.own_factor, add.other_factor, add.other_zero, add.zero
    own = value * scale
    if p.bits < 22:  # round, then clamp, both above MAGIC
        own = clamped(multiply_add(value, scale, f32(MAGIC)), MAGIC + low - zero, MAGIC + high - zero) - f32(MAGIC)
    else:
        own = tirx.nearbyint(clamped(own, low - zero, high - zero))
    if p.neon:
        more = float_of(other.astype(I16).astype(I32) + tirx.const(MAGIC_BITS, I32), zero_r)
    else:
        more = (other.astype(I32) - tirx.const(zero_r, I32)).astype(F)
    if add.bits < 22:
        both = multiply_add(own, f32(ka), more * f32(kb))
        made = rounded_to(both, f32(1), zero_2, dtype, halves=_halves(p, add.bits))
        return limited(made, add.low, add.high, dtype)
    return integer_of(own * f32(ka) + more * f32(kb), zero_2, add.low, add.high, dtype)


def _halves(p: loops.IntegerEnd, bits: int) -> bool:
    return p.neon and bits < 15


def _tiled(s: Schedule, p: loops.Conv, instruction: str) -> None:
    """Tile the blocks C and D of a convolution; ``instruction`` is the intrinsic of a dot product."""
    pixels, channels, lanes = p.tile
    outer = p.outer
    c, d = s.get_sblock("C"), s.get_sblock("D")
    y, x, j = s.get_loops(d)
    xo, xi = s.split(x, [None, pixels])
    jo, ji = s.split(j, [None, channels])
    s.reorder(*((jo, y, xo, xi, ji) if outer else (y, xo, jo, xi, ji)))
    wide = next(n for n in (16, 8, 4, 2, 1) if channels % n == 0) if p.dtype != F else lanes
    vectors, lane = s.split(ji, [None, max(wide, lanes)])  # bytes are narrowed together
    s.vectorize(lane)
    s.unroll(vectors)
    s.unroll(xi)
    s.compute_at(c, xo if outer else jo, preserve_unit_loops=True)
    cx, cj, r, q, k, *inner = s.get_loops(c)[1 - len(s.get(c).iter_vars) :]
    a, b = s.split(cj, [None, lanes])
    if p.dot:
        s.reorder(r, q, k, cx, a, b, *inner)
    else:
        s.reorder(r, q, k, cx, a, b)
        s.vectorize(b)
    s.unroll(cx)
    s.unroll(a)
    share(s, d)
    init = s.decompose_reduction(c, r)
    if p.dot:
        s.vectorize(s.get_loops(init)[-1])
        s.tensorize(b, instruction)


def depthwise(p: loops.Depthwise) -> Template:
    """Write a depthwise convolution, with its epilogue."""
    (height, width, count), (kh, kw) = p.shape, p.kernel
    sy, sx, dy, dx = p.steps
    top, left = p.corner
    integer, dtype = p.dtype != F, p.dtype
    kind = I32 if integer else F
    odd = kh * kw % 2
    window = (kh * kw // 2, 1) if p.pairs and kh * kw > 1 else (kh, kw)
    pairs = p.pairs
    held = "int8" if pairs else I16 if integer else F
    arguments = [(outer_shape(p.inputs[0]), dtype), ((kh, kw, count), held), ((count,), kind)]
    arguments += [((count,), F)] * integer + [(outer_shape(p.output), dtype)]

    def body(a: Any, w: Any, b: Any, *rest: Any) -> None:
        d = rest[-1]
        c = local((height, width, count), kind)

        def product(y: Any, x: Any, j: Any, r: Any, q: Any) -> Any:
            left_, right = a[y * sy + r * dy + top, x * sx + q * dx + left, j], w[r, q, j]
            if pairs:
                return left_.astype(I16) * right.astype(I16)
            return left_.astype(I16).astype(I32) * right.astype(I32) if integer else left_ * right

        def multiply(y: Any, x: Any, j: Any, r: Any, q: Any) -> None:
            made = product(y, x, j, r, q)
            if pairs:  # r counts pairs of the window's positions
                first, second = 2 * r + odd, 2 * r + odd + 1
                made = product(y, x, j, first // kw, first % kw) + product(y, x, j, second // kw, second % kw)
            store(c, c[y, x, j] + made.astype(kind), y, x, j)

        def start(y: Any, x: Any, j: Any, *_: Any) -> None:
            store(c, b[j] + product(y, x, j, 0, 0).astype(kind) if pairs and odd else b[j], y, x, j)

        def end(y: Any, x: Any, j: Any) -> None:
            value = c[y, x, j]
            value = _ended(p, value, rest[0][j] if integer else None, None)
            store(d, value, y + p.output[3], x + p.output[4], j)

        block("C", (height, width, count), multiply, reduced=window, first=start)
        block("D", (height, width, count), end)

    return Template(function(arguments, body), lambda s: _windowed(s, p))


def _windowed(s: Schedule, p: loops.Depthwise) -> None:
    """Tile the blocks C and D of a depthwise convolution."""
    pixels, channels, _ = p.tile
    (kh, kw), rows = p.kernel, p.rows
    c, d = s.get_sblock("C"), s.get_sblock("D")
    y, x, j = s.get_loops(d)
    yo, yi = s.split(y, [None, rows])
    xo, xi = s.split(x, [None, pixels])
    jo, ji = s.split(j, [None, channels])
    s.reorder(yo, jo, xo, yi, xi, ji)
    s.vectorize(ji)
    s.unroll(xi)
    s.unroll(yi)
    s.compute_at(c, xo, preserve_unit_loops=True)
    cy, cx, cj, r, q = s.get_loops(c)[-5:]
    s.reorder(r, q, cy, cx, cj)
    s.vectorize(cj)
    for loop in (r, q, cy, cx) if kh * kw * rows * pixels <= UNROLLED else (cy, cx):
        s.unroll(loop)
    share(s, d)
    s.decompose_reduction(c, r)
