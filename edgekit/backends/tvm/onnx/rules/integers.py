"""Rules for operators of quantized networks: integer sums, one factor, rounding half to even, as ONNX says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.tvm.onnx.rules.building import Rewrite


def _centered(r: Rewrite, place: int, zero: int, channel_axis: int | None = None) -> str:
    """An input less its zero point, as int32."""
    value = r.cast(r.input(place), "int32")
    if not r.has(zero):
        return value
    point = r.cast(r.input(zero), "int32")
    size, rank = r.spec(zero).elements, len(r.spec(place).shape)
    if size > 1 and channel_axis is not None:
        point = r.shaped(point, [size if n == channel_axis else 1 for n in range(rank)])
    elif size == 1:
        point = r.shaped(point, [])
    return r.op("Sub", value, point)


def _factor(r: Rewrite, left: int, right: int, made: int, shape: list[int]) -> str:
    scales = [r.constant(n) for n in (left, right, made)]
    if any(s is None for s in scales):
        a, b, c = (
            r.shaped(r.cast(r.input(n), "float32"), shape if r.spec(n).elements > 1 else [])
            for n in (left, right, made)
        )
        return r.op("Div", r.op("Mul", a, b), c)
    a64, b64, c64 = (np.asarray(s, np.float32).reshape(-1).astype(np.float64) for s in scales)
    found: NDArray[Any] = a64 * b64 / c64
    return r.value(found.reshape(shape if found.size > 1 else ()), "float32")


def _stored(r: Rewrite, sums: str, factor: str, zero: int) -> None:
    dtype = r.spec(zero).dtype
    bounds = np.iinfo(dtype)
    real = r.op("Round", r.op("Mul", r.cast(sums, "float32"), factor))
    moved = r.op("Add", real, r.shaped(r.cast(r.input(zero), "float32"), []))
    low, high = r.value(float(bounds.min), "float32"), r.value(float(bounds.max), "float32")
    r.out(r.cast(r.op("Min", r.op("Max", moved, low), high), dtype))


def matmul(r: Rewrite) -> bool:
    """QLinearMatMul: a, scale, zero, b, scale, zero, the result's scale and zero."""
    if r.spec(2).elements > 1:
        raise r.refused("its left operand has several scales")
    sums = r.op("MatMul", _centered(r, 0, 2), _centered(r, 3, 5, len(r.spec(3).shape) - 1))
    _stored(r, sums, _factor(r, 1, 4, 6, [-1]), 7)
    return True


def _window(r: Rewrite) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("pads", "strides", "dilations", "kernel_shape", "group"):
        if (value := r.attribute(name)) is not None:
            found[name] = value
    mode = r.attribute("auto_pad", b"NOTSET").decode()
    return found | {"auto_pad": mode}


def _sums(r: Rewrite, given: str, weights: str) -> str:
    """Conv takes floats only; those of 64 bits hold the integers' sums exactly."""
    return r.cast(r.op("Conv", r.cast(given, "float64"), r.cast(weights, "float64"), **_window(r)), "int32")


def convolution(r: Rewrite) -> bool:
    """QLinearConv: x, scale, zero, w, scale, zero, the result's scale and zero, bias."""
    sums = _sums(r, _centered(r, 0, 2), _centered(r, 3, 5, 0))
    rank = len(r.spec(0).shape)
    if r.has(8):
        sums = r.op("Add", sums, r.shaped(r.input(8), [1, -1, *[1] * (rank - 2)]))
    _stored(r, sums, _factor(r, 1, 4, 6, [1, -1, *[1] * (rank - 2)]), 7)
    return True


def integer_convolution(r: Rewrite) -> bool:
    """ConvInteger: x, w, their zero points."""
    r.out(_sums(r, _centered(r, 0, 2), _centered(r, 1, 3, 0)))
    return True
