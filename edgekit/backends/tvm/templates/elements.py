"""Element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule

from edgekit.backends.tvm.templates.building import block, function, store
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


def each(p: Params, dtypes: Sequence[str], constants: Sequence[tuple[Sequence[int], str]], value: Any) -> Any:
    """``out[y, x, c] = value(inputs, constants, y, x, c)`` with ``inputs`` the elements there, vectorized."""
    shape = tuple(p["shape"])
    specs, out = p["in"], p["out"]
    arguments: list[tuple[Sequence[int], str]] = [(outer_shape(spec), d) for spec, d in zip(specs, dtypes, strict=True)]
    arguments += [*constants, (outer_shape(out), p["dtype"])]

    def body(*given: Any) -> None:
        inputs, kept, d = given[: len(specs)], given[len(specs) : -1], given[-1]

        def one(y: Any, x: Any, c: Any) -> None:
            found = [at(a, spec, y, x, c) for a, spec in zip(inputs, specs, strict=True)]
            store(d, value(found, kept, c), y + out[3], x + out[4], c)

        block("E", shape, one)

    s = Schedule(function(arguments, body))
    loop = s.get_loops(s.get_sblock("E"))[-1]
    _, lane = s.split(loop, [None, lanes_of(shape[2])])
    s.vectorize(lane)
    return s.mod["main"]


_MAPS: dict[str, Callable[[Any], Any]] = {
    "copy": lambda x: x,
    "relu": lambda x: tirx.max(x, f32(0)),
    "relu6": lambda x: tirx.min(tirx.max(x, f32(0)), f32(6)),
    "hard_swish": lambda x: x * tirx.min(tirx.max(x + f32(3), f32(0)), f32(6)) * f32(1 / 6),
    "logistic": lambda x: f32(1) / (f32(1) + tirx.exp(-x)),
    "tanh": tirx.tanh,
}
_BINARIES: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "maximum": tirx.max,
    "minimum": tirx.min,
}  # fmt: skip


def mapped(p: Params) -> Any:
    function_ = _MAPS[p["function"]]
    return each(p, [p["dtype"]], [], lambda given, kept, c: function_(given[0]))


def shift(p: Params) -> Any:
    """int8 to uint8 with 128 added, or back."""
    other = "int8" if p["dtype"] == "uint8" else "uint8"

    def flip(x: Any) -> Any:
        return tirx.bitwise_xor(x.astype("uint8"), tirx.const(128, "uint8")).astype(p["dtype"])

    return each(p, [other], [], lambda given, kept, c: flip(given[0]))


def table(p: Params) -> Any:
    """Each of the 256 values has its own result."""
    least = tirx.const(p["least"], I32)
    return each(p, [p["dtype"]], [((256,), p["dtype"])], lambda g, kept, c: kept[0][g[0].astype(I32) - least])


def binary(p: Params) -> Any:
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
                one = (one.astype(I32) - tirx.const(zero, I32)).astype(F) * f32(scale)
            sides.append(one)
        made = function_(*sides)
        if not integer:
            return clamped(made, low, high)
        scale, zero = p["made"]
        return integer_of(made * f32(1 / scale), zero, low, high, p["dtype"])

    return each(p, [p["dtype"]] * len(p["in"]), constants, value)


def convert(p: Params) -> Any:
    def value(given: list[Any], kept: Sequence[Any], c: Any) -> Any:
        one = given[0]
        if "from" in p:
            scale, zero = p["from"]
            one = (one.astype(I32) - tirx.const(zero, I32)).astype(F) * f32(scale)
        if "to" not in p:
            return one
        scale, zero, low, high = p["to"]
        return integer_of(one * f32(1 / scale), zero, low, high, p["dtype"])

    return each(p, [p["given"]], [], value)
