"""What each kernel computes and how its loops run; imports TVM, so it is used in a child only.

A function takes its arguments in a kernel's order (inputs, constants, output), as dense arrays of the outer shapes,
and finds pictures at their corners. Schedules are fixed rules: a register tile of pixels by channels whose
accumulators stay local, the reduction around it, everything inside unrolled, vectorized over channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule

from edgekit.backends.tvm import intrinsics
from edgekit.backends.tvm.building import block, function, local, store

F, I32, I16 = "float32", "int32", "int16"
CACHE = 32768
"""Bytes of weights that may stay in the first cache while a picture is walked."""
UNROLLED = 512
"""Window positions times pixels, above which a window stays a loop."""
Params = dict[str, Any]


def make(template: str, params: Params) -> Any:
    """Return the scheduled function of a kernel."""
    return TEMPLATES[template](params)


def _f(value: float) -> Any:
    return tirx.const(float(value), F)


def _clamped(value: Any, low: float, high: float) -> Any:
    value = tirx.max(value, _f(low)) if low > -1e38 else value
    return tirx.min(value, _f(high)) if high < 1e38 else value


def _integer(value: Any, zero: int, low: float, high: float, dtype: str) -> Any:
    """A float, relative to the zero point, as the integer that is stored."""
    value = tirx.nearbyint(_clamped(value, low - zero, high - zero))
    return (value.astype(I32) + tirx.const(zero, I32)).astype(dtype)


def _outer(spec: Sequence[int]) -> tuple[int, ...]:
    return tuple(spec[:3])


def _at(buffer: Any, spec: Sequence[int], y: Any, x: Any, c: Any) -> Any:
    """An element of a picture."""
    return buffer[y + spec[3], x + spec[4], c]


# Convolutions and matrix products


def _conv(p: Params) -> Any:
    (height, width, count), (kh, kw, depth) = p["shape"], p["kernel"]
    sy, sx, dy, dx = p["steps"]
    top, left = p["corner"]
    channels = p["tile"][1]
    integer, dtype, dot = p["dtype"] != F, p["dtype"], p.get("dot", "")
    packed = (kh, kw, depth // 4, channels, 4) if dot else (kh, kw, depth, channels)
    arguments = [(_outer(spec), dtype) for spec in p["in"]]
    arguments += [((count // channels, *packed), "int8" if integer else F), ((count,), I32 if integer else F)]
    arguments += [((count,), F)] * integer + [(_outer(p["out"]), dtype)]

    def body(*given: Any) -> None:
        a, d, rest = given[0], given[-1], given[1:-1]
        other = rest[0] if p["residual"] else None
        w, b, *scale = rest[1:] if p["residual"] else rest
        c = local((height, width, count), I32 if integer else F)

        def multiply(y: Any, x: Any, j: Any, r: Any, q: Any, k: Any) -> None:
            place = [k // 4, j % channels, k % 4] if dot else [k, j % channels]
            left_, right = a[y * sy + r * dy + top, x * sx + q * dx + left, k], w[(j // channels, r, q, *place)]
            if dot:
                left_, right = left_.astype(I32), right.astype(I32)
            elif integer:
                left_, right = left_.astype(I16).astype(I32), right.astype(I16).astype(I32)
            store(c, c[y, x, j] + left_ * right, y, x, j)

        def end(y: Any, x: Any, j: Any) -> None:
            value = c[y, x, j] + b[j]
            extra = _at(other, p["in"][1], y, x, j) if other is not None else None
            value = _int8_end(p, value.astype(F) * scale[0][j], extra) if integer else _float_end(p, value, extra)
            store(d, value, y + p["out"][3], x + p["out"][4], j)

        block("C", (height, width, count), multiply, reduced=(kh, kw, depth), first=lambda y, x, j, *_: store(
            c, tirx.const(0, I32 if integer else F), y, x, j))  # fmt: skip
        block("D", (height, width, count), end)

    item = 1 if integer else 4
    return _tiled(function(arguments, body), p, outer=count * kh * kw * depth * item > CACHE)


def _float_end(p: Params, value: Any, other: Any) -> Any:
    return _clamped(value if other is None else value + other, p["low"], p["high"])


def _int8_end(p: Params, value: Any, other: Any) -> Any:
    zero, low, high, dtype = p["zero"], p["low"], p["high"], p["dtype"]
    if other is None:
        return _integer(value, zero, low, high, dtype)
    ka, kb, zero_r, zero_2, low_2, high_2 = p["add"]
    own = tirx.nearbyint(_clamped(value, low - zero, high - zero))
    both = own * _f(ka) + (other.astype(I32) - tirx.const(zero_r, I32)).astype(F) * _f(kb)
    return _integer(both, zero_2, low_2, high_2, dtype)


def _tiled(f: Any, p: Params, *, outer: bool) -> Any:
    """Tile the blocks C and D of a convolution.

    :param outer: the weights do not fit the first cache: walk the picture for each block of channels.
    """
    pixels, channels, lanes = p["tile"]
    s = Schedule(f)
    c, d = s.get_sblock("C"), s.get_sblock("D")
    y, x, j = s.get_loops(d)
    xo, xi = s.split(x, [None, pixels])
    jo, ji = s.split(j, [None, channels])
    s.reorder(*((jo, y, xo, xi, ji) if outer else (y, xo, jo, xi, ji)))
    vectors, lane = s.split(ji, [None, lanes])
    s.vectorize(lane)
    s.unroll(vectors)
    s.unroll(xi)
    s.compute_at(c, xo if outer else jo, preserve_unit_loops=True)
    cx, cj, r, q, k = s.get_loops(c)[-5:]
    a, b = s.split(cj, [None, lanes])
    if p.get("dot"):
        ko, ki = s.split(k, [None, 4])
        s.reorder(r, q, ko, cx, a, b, ki)
    else:
        s.reorder(r, q, k, cx, a, b)
        s.vectorize(b)
    s.unroll(cx)
    s.unroll(a)
    init = s.decompose_reduction(c, r)
    if p.get("dot"):
        s.vectorize(s.get_loops(init)[-1])
        s.tensorize(b, intrinsics.register(p["dot"], lanes))
    return s.mod["main"]


def _depthwise(p: Params) -> Any:
    (height, width, count), (kh, kw) = p["shape"], p["kernel"]
    sy, sx, dy, dx = p["steps"]
    top, left = p["corner"]
    integer, dtype = p["dtype"] != F, p["dtype"]
    kind = I32 if integer else F
    arguments = [(_outer(p["in"][0]), dtype), ((kh, kw, count), I16 if integer else F), ((count,), kind)]
    arguments += [((count,), F)] * integer + [(_outer(p["out"]), dtype)]

    def body(a: Any, w: Any, b: Any, *rest: Any) -> None:
        d = rest[-1]
        c = local((height, width, count), kind)

        def multiply(y: Any, x: Any, j: Any, r: Any, q: Any) -> None:
            left_, right = a[y * sy + r * dy + top, x * sx + q * dx + left, j], w[r, q, j]
            if integer:
                left_, right = left_.astype(I16).astype(I32), right.astype(I32)
            store(c, c[y, x, j] + left_ * right, y, x, j)

        def end(y: Any, x: Any, j: Any) -> None:
            value = c[y, x, j]
            value = _int8_end(p, value.astype(F) * rest[0][j], None) if integer else _float_end(p, value, None)
            store(d, value, y + p["out"][3], x + p["out"][4], j)

        block(
            "C", (height, width, count), multiply, reduced=(kh, kw), first=lambda y, x, j, *_: store(c, b[j], y, x, j)
        )
        block("D", (height, width, count), end)

    pixels, channels, _ = p["tile"]
    rows = 2 if height % 2 == 0 and pixels * 2 <= 14 and sy == 1 else 1
    s = Schedule(function(arguments, body))
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
    s.decompose_reduction(c, r)
    return s.mod["main"]


# Element by element


def _lanes(count: int) -> int:
    """Elements at once: the largest divisor up to 64."""
    return max(d for d in range(1, min(count, 64) + 1) if count % d == 0)


def _elements(p: Params, dtypes: Sequence[str], constants: Sequence[tuple[Sequence[int], str]], value: Any) -> Any:
    """``out[y, x, c] = value(inputs, constants, y, x, c)`` with ``inputs`` the elements there, vectorized."""
    shape = tuple(p["shape"])
    specs, out = p["in"], p["out"]
    arguments: list[tuple[Sequence[int], str]] = [(_outer(spec), d) for spec, d in zip(specs, dtypes, strict=True)]
    arguments += [*constants, (_outer(out), p["dtype"])]

    def body(*given: Any) -> None:
        inputs, kept, d = given[: len(specs)], given[len(specs) : -1], given[-1]

        def one(y: Any, x: Any, c: Any) -> None:
            found = [_at(a, spec, y, x, c) for a, spec in zip(inputs, specs, strict=True)]
            store(d, value(found, kept, c), y + out[3], x + out[4], c)

        block("E", shape, one)

    s = Schedule(function(arguments, body))
    loop = s.get_loops(s.get_sblock("E"))[-1]
    _, lane = s.split(loop, [None, _lanes(shape[2])])
    s.vectorize(lane)
    return s.mod["main"]


_MAPS: dict[str, Callable[[Any], Any]] = {
    "copy": lambda x: x,
    "relu": lambda x: tirx.max(x, _f(0)),
    "relu6": lambda x: tirx.min(tirx.max(x, _f(0)), _f(6)),
    "hard_swish": lambda x: x * tirx.min(tirx.max(x + _f(3), _f(0)), _f(6)) * _f(1 / 6),
    "logistic": lambda x: _f(1) / (_f(1) + tirx.exp(-x)),
    "tanh": tirx.tanh,
}
_BINARIES: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "maximum": tirx.max,
    "minimum": tirx.min,
}  # fmt: skip


def _map(p: Params) -> Any:
    function_ = _MAPS[p["function"]]
    return _elements(p, [p["dtype"]], [], lambda given, kept, c: function_(given[0]))


def _shift(p: Params) -> Any:
    """int8 to uint8 with 128 added, or back."""
    other = "int8" if p["dtype"] == "uint8" else "uint8"

    def flip(x: Any) -> Any:
        return tirx.bitwise_xor(x.astype("uint8"), tirx.const(128, "uint8")).astype(p["dtype"])

    return _elements(p, [other], [], lambda given, kept, c: flip(given[0]))


def _table(p: Params) -> Any:
    """Each of the 256 values has its own result."""
    least = tirx.const(p["least"], I32)
    return _elements(p, [p["dtype"]], [((256,), p["dtype"])], lambda g, kept, c: kept[0][g[0].astype(I32) - least])


def _binary(p: Params) -> Any:
    integer, count, function_ = p["dtype"] != F, p["shape"][2], _BINARIES[p["function"]]
    kinds = p["kinds"]
    constants = [((1 if kind == "scalar" else count,), p["dtype"]) for kind in kinds if kind != "picture"]
    low, high = p["limits"]

    def value(given: list[Any], kept: Sequence[Any], c: Any) -> Any:
        pictures, others, sides = iter(given), iter(kept), []
        for number, kind in enumerate(kinds):
            one = next(pictures) if kind == "picture" else next(others)[0 if kind == "scalar" else c]
            if integer:
                scale, zero = p["scales"][number]
                one = (one.astype(I32) - tirx.const(zero, I32)).astype(F) * _f(scale)
            sides.append(one)
        made = function_(*sides)
        if not integer:
            return _clamped(made, low, high)
        scale, zero = p["made"]
        return _integer(made * _f(1 / scale), zero, low, high, p["dtype"])

    return _elements(p, [p["dtype"]] * len(p["in"]), constants, value)


def _convert(p: Params) -> Any:
    def value(given: list[Any], kept: Sequence[Any], c: Any) -> Any:
        one = given[0]
        if "from" in p:
            scale, zero = p["from"]
            one = (one.astype(I32) - tirx.const(zero, I32)).astype(F) * _f(scale)
        if "to" not in p:
            return one
        scale, zero, low, high = p["to"]
        return _integer(one * _f(1 / scale), zero, low, high, p["dtype"])

    return _elements(p, [p["given"]], [], value)


# Windows and rows


def _pool(p: Params) -> Any:
    (height, width, count), (ah, aw) = p["shape"], p["size"]
    (wh, ww), (sy, sx), (pt, pl) = p["window"], p["strides"], p["pads"]
    integer, dtype, largest = p["dtype"] != F, p["dtype"], p["kind"] == "max"
    low, high = p["limits"]
    kind = dtype if largest else I32 if integer else F
    least = tirx.min_value(dtype) if largest else tirx.const(0, kind)
    inside = pt == 0 and pl == 0 and (height - 1) * sy + wh <= ah and (width - 1) * sx + ww <= aw

    def body(a: Any, d: Any) -> None:
        c = local((height, width, count), kind)

        def gather(y: Any, x: Any, j: Any, r: Any, q: Any) -> None:
            ay, ax = y * sy + r - pt, x * sx + q - pl
            one = _at(a, p["in"][0], ay, ax, j).astype(kind)
            if not inside:
                one = tirx.if_then_else(tirx.all(ay >= 0, ay < ah, ax >= 0, ax < aw), one, least)
            store(c, tirx.max(c[y, x, j], one) if largest else c[y, x, j] + one, y, x, j)

        def end(y: Any, x: Any, j: Any) -> None:
            value = c[y, x, j]
            if largest:
                value = tirx.min(tirx.max(value, tirx.const(low, dtype)), tirx.const(high, dtype)) if integer else (
                    _clamped(value, low, high))  # fmt: skip
            else:
                rows = tirx.min(y * sy - pt + wh, ah) - tirx.max(y * sy - pt, 0)
                columns = tirx.min(x * sx - pl + ww, aw) - tirx.max(x * sx - pl, 0)
                share = _f(1 / (wh * ww)) if inside else _f(1) / (rows * columns).astype(F)
                if integer:  # the mean of integers about the same zero point, halves away from 0 as TFLite has it
                    mean = value.astype(F) * share
                    half = tirx.Select(value >= 0, _f(0.5), _f(-0.5))
                    value = _integer(tirx.trunc(mean + half), 0, low, high, dtype)
                else:
                    value = _clamped(value * share, low, high)
            store(d, value, y + p["out"][3], x + p["out"][4], j)

        block("C", (height, width, count), gather, reduced=(wh, ww), first=lambda y, x, j, *_: store(c, least, y, x, j))
        block("D", (height, width, count), end)

    s = Schedule(function([(_outer(p["in"][0]), dtype), (_outer(p["out"]), dtype)], body))
    c, d = s.get_sblock("C"), s.get_sblock("D")
    jo, ji = s.split(s.get_loops(d)[-1], [None, _lanes(count)])
    s.vectorize(ji)
    s.compute_at(c, jo, preserve_unit_loops=True)
    cj, r, q = s.get_loops(c)[-3:]
    s.reorder(r, q, cj)
    s.vectorize(cj)
    s.decompose_reduction(c, r)
    return s.mod["main"]


def _mean(p: Params) -> Any:
    height, width, count = p["size"]
    integer, dtype = p["dtype"] != F, p["dtype"]
    kind = I32 if integer else F

    def body(a: Any, d: Any) -> None:
        c = local((count,), kind)

        def add(j: Any, y: Any, x: Any) -> None:
            store(c, c[j] + _at(a, p["in"][0], y, x, j).astype(kind), j)

        def end(j: Any) -> None:
            if integer:
                zero_in, zero_out = p["zeros"]
                value = (c[j] - tirx.const(height * width * zero_in, I32)).astype(F)
                low, high = p["limits"]
                value = _integer(value * _f(p["factor"] / (height * width)), zero_out, low, high, dtype)
            else:
                value = c[j] * _f(1 / (height * width))
            store(d, value, 0, 0, j)

        block("C", (count,), add, reduced=(height, width), first=lambda j, *_: store(c, tirx.const(0, kind), j))
        block("D", (count,), end)

    s = Schedule(function([(_outer(p["in"][0]), dtype), ((1, 1, count), dtype)], body))
    c, d = s.get_sblock("C"), s.get_sblock("D")
    jo, ji = s.split(s.get_loops(d)[0], [None, _lanes(count)])
    s.vectorize(ji)
    s.compute_at(c, jo, preserve_unit_loops=True)
    cj, y, x = s.get_loops(c)[-3:]
    s.reorder(y, x, cj)
    s.vectorize(cj)
    s.decompose_reduction(c, y)
    return s.mod["main"]


def _softmax(p: Params) -> Any:
    height, width, count = p["shape"]
    integer, dtype = p["dtype"] != F, p["dtype"]
    factor = p["beta"] * (p["scales"][0] if integer else 1.0)

    def body(a: Any, d: Any) -> None:
        m, e, t = local((height, width), F), local((height, width, count), F), local((height, width), F)

        def value(y: Any, x: Any, j: Any) -> Any:
            return _at(a, p["in"][0], y, x, j).astype(F)

        def end(y: Any, x: Any, j: Any) -> None:
            share = e[y, x, j] / t[y, x]
            if integer:
                least, most = (0, 255) if dtype == "uint8" else (-128, 127)
                share = _integer(share * _f(1 / p["scales"][1]), p["scales"][2], least, most, dtype)
            store(d, share, y + p["out"][3], x + p["out"][4], j)

        block("M", (height, width), lambda y, x, j: store(m, tirx.max(m[y, x], value(y, x, j)), y, x), reduced=(count,),
              first=lambda y, x, j: store(m, tirx.min_value(F), y, x))  # fmt: skip
        block("X", (height, width, count), lambda y, x, j: store(
            e, tirx.exp((value(y, x, j) - m[y, x]) * _f(factor)), y, x, j))  # fmt: skip
        block("S", (height, width), lambda y, x, j: store(t, t[y, x] + e[y, x, j], y, x), reduced=(count,),
              first=lambda y, x, j: store(t, _f(0), y, x))  # fmt: skip
        block("D", (height, width, count), end)

    return Schedule(function([(_outer(p["in"][0]), dtype), (_outer(p["out"]), dtype)], body)).mod["main"]


TEMPLATES: dict[str, Callable[[Params], Any]] = {
    "conv": _conv, "conv_int8": _conv, "depthwise": _depthwise, "depthwise_int8": _depthwise, "map": _map,
    "shift": _shift, "table": _table, "binary": _binary, "convert": _convert, "pool": _pool, "mean": _mean,
    "softmax": _softmax,
}  # fmt: skip
