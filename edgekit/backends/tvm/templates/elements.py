"""Element by element."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule

from edgekit.backends.tvm.templates.building import Template, block, function, store
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


def each(
    p: loops.Elements, dtypes: Sequence[str], constants: Sequence[tuple[Sequence[int], str]], value: Any
) -> Template:
    """``out[y, x, c] = value(inputs, constants, y, x, c)`` with ``inputs`` the elements there, vectorized."""
    shape = tuple(p.shape)
    specs, out = p.inputs, p.output
    arguments: list[tuple[Sequence[int], str]] = [(outer_shape(spec), d) for spec, d in zip(specs, dtypes, strict=True)]
    arguments += [*constants, (outer_shape(out), p.dtype)]

    def body(*given: Any) -> None:
        inputs, kept, d = given[: len(specs)], given[len(specs) : -1], given[-1]

        def one(y: Any, x: Any, c: Any) -> None:
            found = [at(a, spec, y, x, c) for a, spec in zip(inputs, specs, strict=True)]
            store(d, value(found, kept, c), y + out[3], x + out[4], c)

        block("E", shape, one)

    def schedule(s: Schedule) -> None:
        over_vectors(s, lanes_of(shape[2]))

    return Template(function(arguments, body), schedule)


def over_vectors(s: Schedule, lanes: int) -> None:
    """Schedule the single block E: vectors along the last axis, the others divided among threads."""
    block = s.get_sblock("E")
    _, lane = s.split(s.get_loops(block)[-1], [None, lanes])
    s.vectorize(lane)
    share(s, block)


_MAPS: dict[str, Callable[[Any, loops.Map], Any]] = {
    "copy": lambda x, p: x,
    "relu": lambda x, p: tirx.max(x, f32(0)),
    "relu6": lambda x, p: tirx.min(tirx.max(x, f32(0)), f32(6)),
    "relu_n1_to_1": lambda x, p: tirx.min(tirx.max(x, f32(-1)), f32(1)),
    "relu_0_to_1": lambda x, p: tirx.min(tirx.max(x, f32(0)), f32(1)),
    "leaky_relu": lambda x, p: tirx.max(x, f32(0)) + tirx.min(x, f32(0)) * f32(p.alpha),
    "elu": lambda x, p: tirx.Select(x < f32(0), tirx.exp(tirx.min(x, f32(0))) - f32(1), x),
    "hard_swish": lambda x, p: x * tirx.min(tirx.max(x + f32(3), f32(0)), f32(6)) * f32(1 / 6),
    "logistic": lambda x, p: f32(1) / (f32(1) + tirx.exp(-x)),
    "gelu_tanh": lambda x, p: (
        x * f32(0.5) * (f32(1) + tirx.tanh((x + x * x * x * f32(0.044715)) * f32((2 / math.pi) ** 0.5)))
    ),
    "gelu": lambda x, p: x * f32(0.5) * (f32(1) + tirx.erf(x * f32(0.5**0.5))),
    "tanh": lambda x, p: tirx.tanh(x),
    "exp": lambda x, p: tirx.exp(x),
    "log": lambda x, p: tirx.log(x),
    "sqrt": lambda x, p: tirx.sqrt(x),
    "rsqrt": lambda x, p: f32(1) / tirx.sqrt(x),
    "abs": lambda x, p: tirx.max(x, -x),
    "neg": lambda x, p: -x,
    "square": lambda x, p: x * x,
    "sin": lambda x, p: tirx.sin(x),
    "cos": lambda x, p: tirx.cos(x),
    "floor": lambda x, p: tirx.floor(x),
    "ceil": lambda x, p: tirx.ceil(x),
    "round": lambda x, p: tirx.nearbyint(x),
}
_BINARIES: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "maximum": tirx.max,
    "minimum": tirx.min,
    "squared_difference": lambda a, b: (a - b) * (a - b),
    "floor_div": lambda a, b: tirx.floor(a / b),
    "floor_mod": lambda a, b: a - tirx.floor(a / b) * b,
    "pow": tirx.power,
    "prelu": lambda a, b: tirx.max(a, f32(0)) + tirx.min(a, f32(0)) * b,
}


_DIVISIONS: dict[str, Callable[[Any, Any], Any]] = {
    "div": tirx.truncdiv, "floor_div": tirx.floordiv, "floor_mod": tirx.floormod,
}  # fmt: skip
"""Of plain integers."""


def mapped(p: loops.Map) -> Template:
    """Write a function of each element."""
    function_ = _MAPS[p.function]
    return each(p, [p.dtype], [], lambda given, kept, c: function_(given[0], p))


def shift(p: loops.Shift) -> Template:
    """int8 to uint8 with 128 added, or back."""
    other = "int8" if p.dtype == "uint8" else "uint8"

    def flip(x: Any) -> Any:
        return tirx.bitwise_xor(x.astype("uint8"), tirx.const(128, "uint8")).astype(p.dtype)

    return each(p, [other], [], lambda given, kept, c: flip(given[0]))


def table(p: loops.Table) -> Template:
    """Each of the 256 values has its own result."""
    least = tirx.const(p.least, I32)
    return each(p, [p.dtype], [((256,), p.dtype)], lambda g, kept, c: kept[0][g[0].astype(I32) - least])


def binary(p: loops.Binary) -> Template:
    """Feature maps and constants, one value or one a channel, in the operator's order."""
    count, kinds = p.shape[2], p.kinds
    constants = [((1 if kind == "scalar" else count,), p.dtype) for kind in kinds if kind != "map"]

    def value(given: list[Any], kept: Sequence[Any], c: Any) -> Any:
        maps, others = iter(given), iter(kept)
        return combined(
            p,
            [next(maps) if kind == "map" else next(others)[0 if kind == "scalar" else c] for kind in kinds],
        )

    return each(p, [p.dtype] * len(p.inputs), constants, value)


def combined(p: loops.Binary | loops.Nest, values: Sequence[Any]) -> Any:
    """The function of two stored elements as it is stored: integers with a scale, floats, or plain integers."""
    integer, function_ = bool(p.scales), _BINARIES[p.function]
    if p.function in _DIVISIONS and p.dtype != F and not integer:
        none = tirx.EQ(values[1], tirx.const(0, p.dtype))  # a division by 0 would end the process
        return _DIVISIONS[p.function](values[0], tirx.Select(none, tirx.const(1, p.dtype), values[1]))
    if integer:
        values = [
            (one.astype(I32) - tirx.const(zero, I32)).astype(F) * f32(scale)
            for one, (scale, zero) in zip(values, p.scales, strict=True)
        ]
    made = function_(*values)
    if not integer and p.dtype != F:
        return made
    assert p.limits is not None
    low, high = p.limits
    if p.made is None:
        return clamped(made, low, high)
    scale, zero = p.made
    return integer_of(made * f32(1 / scale), zero, low, high, p.dtype)


def convert(p: loops.Convert) -> Template:
    """Write a conversion between real values and stored integers."""

    def value(given: list[Any], kept: Sequence[Any], c: Any) -> Any:
        one = given[0]
        if p.source is not None:
            scale, zero = p.source
            one = (one.astype(I32) - tirx.const(zero, I32)).astype(F) * f32(scale)
        if p.target is None:
            return one
        scale, zero, low, high = p.target
        return integer_of(one * f32(1 / scale), zero, low, high, p.dtype)

    return each(p, [p.given], [], value)
