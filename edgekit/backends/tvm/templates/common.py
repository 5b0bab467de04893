"""What templates of all kinds say: numbers, limits, places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx

F, I32, I16 = "float32", "int32", "int16"
Params = dict[str, Any]


def f32(value: float) -> Any:
    return tirx.const(float(value), F)


def clamped(value: Any, low: float, high: float) -> Any:
    value = tirx.max(value, f32(low)) if low > -1e38 else value
    return tirx.min(value, f32(high)) if high < 1e38 else value


def integer_of(value: Any, zero: int, low: float, high: float, dtype: str) -> Any:
    """A float, relative to the zero point, as the integer that is stored."""
    value = tirx.nearbyint(clamped(value, low - zero, high - zero))
    return (value.astype(I32) + tirx.const(zero, I32)).astype(dtype)


def narrowed(value: Any, zero: int, low: float, high: float, dtype: str) -> Any:
    """The same of a float that fits 32 bits: limits are cheaper once all is bytes."""
    whole = tirx.call_llvm_pure_intrin(F, "llvm.roundeven", value).astype(I32) + tirx.const(zero, I32)
    least, most = (0, 255) if dtype == "uint8" else (-128, 127)
    made = tirx.min(tirx.max(whole, tirx.const(least, I32)), tirx.const(most, I32)).astype(dtype)
    made = tirx.max(made, tirx.const(int(low), dtype)) if low > least else made
    return tirx.min(made, tirx.const(int(high), dtype)) if high < most else made


def outer_shape(spec: Sequence[int]) -> tuple[int, ...]:
    return tuple(spec[:3])


def at(buffer: Any, spec: Sequence[int], y: Any, x: Any, c: Any) -> Any:
    """An element of a picture."""
    return buffer[y + spec[3], x + spec[4], c]


def lanes_of(count: int) -> int:
    """Elements at once: the largest divisor up to 64."""
    return max(d for d in range(1, min(count, 64) + 1) if count % d == 0)
