"""What templates of all kinds say: numbers, limits, places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx

from edgekit.codegen.loops import MAGIC, MAGIC_BITS

F, I32, I16 = "float32", "int32", "int16"


def f32(value: float) -> Any:
    """Return a float32 constant."""
    return tirx.const(float(value), F)


def clamped(value: Any, low: float, high: float) -> Any:
    """Limit a float; infinite bounds cost nothing."""
    value = tirx.max(value, f32(low)) if low > -1e38 else value
    return tirx.min(value, f32(high)) if high < 1e38 else value


def integer_of(value: Any, zero: int, low: float, high: float, dtype: str) -> Any:
    """A float, relative to the zero point, as the integer that is stored."""
    value = tirx.nearbyint(clamped(value, low - zero, high - zero))
    return (value.astype(I32) + tirx.const(zero, I32)).astype(dtype)


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, one instruction where the processor has it."""
    return tirx.call_llvm_pure_intrin(F, "llvm.fmuladd", a, b, c)


def float_of(value: Any, zero: float = 0.0) -> Any:
    """A 32-bit integer ``MAGIC_BITS + n`` as the float ``n - zero``, where n has less than 22 bits.

    NEON converts at half the rate at which it subtracts.
    """
    return tirx.reinterpret(F, value) - f32(MAGIC + zero)


def rounded_to(value: Any, scale: Any, zero: int, dtype: str, *, halves: bool) -> Any:
    """``clamp(round(value * scale) + zero)`` of a byte, where the result before the clamp has less than 22 bits.

    :param halves: less than 15 bits: narrowing starts with the low halves of the sums.
    """
    bits = tirx.reinterpret(I32, multiply_add(value, scale, f32(MAGIC + zero)))
    whole, kind = (bits.astype(I16), I16) if halves else (bits - tirx.const(MAGIC_BITS, I32), I32)
    least, most = (0, 255) if dtype == "uint8" else (-128, 127)
    return tirx.min(tirx.max(whole, tirx.const(least, kind)), tirx.const(most, kind)).astype(dtype)


def limited(value: Any, low: float, high: float, dtype: str) -> Any:
    """A byte within limits that leave some of a byte's values."""
    least, most = (0, 255) if dtype == "uint8" else (-128, 127)
    value = tirx.max(value, tirx.const(int(low), dtype)) if low > least else value
    return tirx.min(value, tirx.const(int(high), dtype)) if high < most else value


def outer_shape(spec: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the buffer in which a feature map lies."""
    return tuple(spec[:3])


def at(buffer: Any, spec: Sequence[int], y: Any, x: Any, c: Any) -> Any:
    """An element of a picture."""
    return buffer[y + spec[3], x + spec[4], c]


def place(offset: int, steps: Sequence[int], axes: Sequence[Any]) -> Any:
    """An element of a strided view: its place in the storage."""
    found: Any = offset
    for step, axis in zip(steps, axes, strict=True):
        found = found + axis * step if step else found
    return found


def lanes_of(count: int) -> int:
    """Elements at once: the largest divisor up to 64."""
    return max(d for d in range(1, min(count, 64) + 1) if count % d == 0)
