"""Element by element where types differ: comparisons, truth values, choices, conversions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx

from edgekit.backends.tvm.templates.common import I32, F, f32
from edgekit.codegen import loops

_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "equal": lambda a, b: tirx.EQ(a, b),
    "not_equal": lambda a, b: tirx.NE(a, b),
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
}


def _scaled(value: Any, scale: float, zero: int) -> Any:
    """A quantized operand as TFLite compares it (reference_ops/comparisons.h): 256 times its real value, a whole."""
    real = (value.astype(I32) - tirx.const(zero, I32)).astype(F) * f32(256 * scale)
    return tirx.trunc(real + tirx.Select(real < f32(0), f32(-0.5), f32(0.5)))


def _compared(p: loops.Nest, values: Sequence[Any]) -> Any:
    if p.scales:
        values = [_scaled(one, *scale) for one, scale in zip(values, p.scales, strict=True)]
    return _COMPARED[p.function](*values).astype(p.dtype)


def _cast(p: loops.Nest, values: Sequence[Any]) -> Any:
    """Floats lose their fraction; whatever is not 0 is true."""
    given = p.dtypes[0] if p.dtypes else p.dtype
    return tirx.NE(values[0], tirx.const(0, given)).astype(p.dtype) if p.truth else values[0].astype(p.dtype)


def _true(value: Any) -> Any:
    return tirx.NE(value, tirx.const(0, "uint8"))


TYPED: dict[str, Callable[[loops.Nest, Sequence[Any]], Any]] = {
    **dict.fromkeys(_COMPARED, _compared),
    "logical_and": lambda p, v: tirx.bitwise_and(v[0], v[1]),
    "logical_or": lambda p, v: tirx.bitwise_or(v[0], v[1]),
    "logical_not": lambda p, v: tirx.bitwise_xor(v[0], tirx.const(1, "uint8")),
    "select": lambda p, v: tirx.Select(_true(v[0]), v[1], v[2]),
    "one_hot": lambda p, v: tirx.Select(tirx.EQ(v[0], v[1]), v[2], v[3]),
    "cast": _cast,
    "copy": lambda p, v: v[0],
}
