"""Quantized kernels in NumPy, element by element in TFLite's exact integer arithmetic: what they mean, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import fixed_point as fx
from edgekit.codegen import kernels as k
from edgekit.codegen import parameters as p
from edgekit.codegen.base import Factor
from edgekit.codegen.tables import EXP16, RECIPROCAL16, SIGMOID16, STORED, table

Array = NDArray[Any]


def scaled(x: Array, factor: Factor) -> Array:
    """Rescaled with two roundings."""
    return fx.multiply_by_quantized_multiplier(x, factor.multiplier, factor.shift)


def clipped(x: Array, dtype: str, limits: k.Limits | None = None) -> Array:
    """Clamped to a type, and to an activation's limits."""
    info = np.iinfo(dtype)
    return np.clip(x, *(limits or (info.min, info.max)))


def added(p: p.AddParameters, a: Array, b: Array, limits: k.Limits, sign: int = 1) -> Array:
    """ADD, or SUB where ``sign`` is -1 (reference/integer_ops/add.h)."""
    one, other = (
        scaled((x - side.zero_point) << p.left_shift, side.factor) for x, side in ((a, p.first), (b, p.second))
    )
    return np.clip(scaled(one + sign * other, p.output.factor) + p.output.zero_point, *limits)


def squared(p: p.AddParameters, a: Array, b: Array) -> Array:
    one, other = (
        scaled((x - side.zero_point) << p.left_shift, side.factor) for x, side in ((a, p.first), (b, p.second))
    )
    return scaled((one - other) ** 2, p.output.factor) + p.output.zero_point


def multiplied(p: p.MulParameters, a: Array, b: Array) -> Array:
    return scaled((a - p.first_zero) * (b - p.second_zero), p.output.factor) + p.output.zero_point


def prelu(p: p.PreluParameters, a: Array, b: Array) -> Array:
    x = a - p.zero
    return np.where(x >= 0, scaled(x, p.same), scaled(x * (b - p.slope_zero), p.sloped)) + p.output_zero


COMPARE = {
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal,
}  # fmt: skip


def elementwise(kernel: k.Elementwise, network: k.Network, operands: list[Array]) -> Array:
    """A function of two quantized operands."""
    a, b = (x.astype(np.int64) for x in operands)
    first, second = (network.scale(view.tensor) for view in kernel.inputs)
    if kernel.function in COMPARE:
        sides = [p.comparison_parameters(one) for one in (first, second)]
        return COMPARE[kernel.function](*(
            scaled((x - side.zero_point) << p.COMPARISON_SHIFT, side.factor)
            for x, side in zip((a, b), sides, strict=True)
        ))  # fmt: skip
    output, limits = network.scale(kernel.output), kernel.limits
    dtype = network.tensors[kernel.output].dtype
    assert limits is not None
    match kernel.function:
        case "add" | "sub":
            sign = 1 if kernel.function == "add" else -1
            return added(p.add_parameters(first, second, output, dtype), a, b, limits, sign)
        case "mul":
            made = multiplied(p.mul_parameters(first, second, output), a, b)
        case "squared_difference":
            made = squared(p.squared_difference_parameters(first, second, output), a, b)
        case "prelu":
            made = prelu(p.prelu_parameters(first, second, output), a, b)
        case "maximum":
            made = np.maximum(a, b)
        case "minimum":
            made = np.minimum(a, b)
        case _:
            raise NotImplementedError(kernel.function)
    return np.clip(made, *limits)


def mapped(kernel: k.Map, network: k.Network, x: Array) -> Array:
    source, target = network.scale(kernel.input), network.scale(kernel.output)
    if x.dtype == np.int16:
        return sigmoid16(kernel.function, source, x.astype(np.int64))
    return table(kernel.function, source, target, kernel.options)[x.astype(np.int64) - STORED[0]]


SIGMOID = np.append(SIGMOID16, 0).astype(np.int64)


def sigmoid16(function: str, source: k.Scale, x: Array) -> Array:
    """LOGISTIC and TANH of int16, interpolated in a table (reference/integer_ops/logistic.h, tanh.h)."""
    factor = p.sigmoid16_factor(source)
    half = (1 << factor.shift) >> 1
    x = (x * factor.multiplier + half) >> factor.shift
    bits = 9 if function == "LOGISTIC" else 8
    size = np.abs(x)
    place = np.minimum(size >> bits, 255)
    result = (SIGMOID[place] << bits) + (size & ((1 << bits) - 1)) * (SIGMOID[place + 1] - SIGMOID[place])
    if function == "LOGISTIC":
        result = np.where(size >> bits >= 255, 0x7FFF << 10, result)
        return np.where(x >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1) >> 10
    result = np.where(size >> bits >= 255, 0xFFFF << 8, result)
    return np.where(x >= 0, result - (1 << 23) + (1 << 7), -result + (1 << 23) + (1 << 7) - 1) >> 8


def finished(end: k.Epilogue, total: Array, other: Array | None) -> Array:
    """The stored integers of sums, and the addition that follows."""
    assert end.requantization is not None
    made = np.clip(end.requantization.apply(total), *end.limits)
    if (residual := end.residual) is None:
        return made
    assert residual.other is not None and residual.output is not None and other is not None
    operands = [(made, end.requantization.output), (other.reshape(made.shape).astype(np.int64), residual.other)]
    (a, scale_a), (b, scale_b) = operands if residual.first else operands[::-1]
    return added(p.add_parameters(scale_a, scale_b, residual.output), a, b, residual.limits)


def pooled(kernel: k.Pool, shape: tuple[int, ...], x: Array) -> Array:
    x = x[0].astype(np.int64)
    (top, left), (wh, ww), (sy, sx) = kernel.padding, kernel.window, kernel.strides
    _, height, width, count = shape
    made = np.zeros((height, width, count), np.int64)
    for y in range(height):
        for x0 in range(width):
            part = x[max(0, y * sy - top) : y * sy - top + wh, max(0, x0 * sx - left) : x0 * sx - left + ww]
            size = part.shape[0] * part.shape[1]
            total = part.sum((0, 1))
            mean = np.where(total > 0, (total + size // 2) // size, -((-total + size // 2) // size))
            made[y, x0] = part.max((0, 1)) if kernel.kind == "max" else mean
    return np.clip(made, *kernel.limits)


def reduced(kernel: k.Reduce, network: k.Network, operands: list[Array]) -> Array:
    """Sums, means, extremes and matrix products."""
    axes = tuple(range(kernel.kept, operands[0].ndim))
    dtype = network.tensors[kernel.output].dtype
    output, scales = network.scale(kernel.output), [network.scale(view.tensor) for view in kernel.inputs]
    if kernel.kind in ("max", "min"):
        return (np.max if kernel.kind == "max" else np.min)(operands[0], axis=axes)
    if len(operands) > 1:
        a, b = (x.astype(np.int64) - scale.zero_point for x, scale in zip(operands, scales, strict=True))
        total = (a * b).sum(axes)
        factor = p.product_factor(*scales, output)
        multiply = fx.multiply_wide if dtype == "int16" else fx.multiply_by_quantized_multiplier
        return clipped(multiply(total, factor.multiplier, factor.shift) + output.zero_point, dtype)
    total = operands[0].astype(np.int64).sum(axes)
    count = int(np.prod(kernel.reduced))
    assert kernel.mean
    factor = p.mean_factor(scales[0], output, count)
    return clipped(scaled(total - count * scales[0].zero_point, factor) + output.zero_point, dtype)


def softmax(kernel: k.Softmax, network: k.Network, x: Array) -> Array:
    """int8 to int8 or int16 (reference/softmax.h)."""
    scale, out = network.scale(kernel.input), network.tensors[kernel.output]
    if x.dtype == np.int16:
        return softmax16(kernel, scale, x.astype(np.int64))
    bits = 8 if out.dtype == "int8" else 16
    q = p.softmax_parameters(scale, kernel.beta)
    x = x.astype(np.int64)
    less = x - x.max(-1, keepdims=True)
    powers = np.where(less >= q.least, fx.exp_on_negative_values(scaled(less, q.factor)), 0)
    total = fx.rounding_divide_by_pot(powers, 12).sum(-1, keepdims=True)
    headroom = np.vectorize(lambda value: 32 - int(value).bit_length())(total)
    inverse = fx.one_over_one_plus_x((total << headroom) - (1 << 31))
    product = fx.saturating_rounding_doubling_high_mul(inverse, powers)
    shares = fx.rounding_divide_by_pot(product, 12 - headroom + 31 - bits)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return np.where(less >= q.least, np.clip(shares + low, low, high), low)


def looked_up16(x: Array, lut: Array) -> Array:
    place, offset = 256 + (x >> 7), x & 127
    return lut[place] + (((lut[place + 1] - lut[place]) * offset + 64) >> 7)


EXP, RECIPROCAL = EXP16.astype(np.int64), RECIPROCAL16.astype(np.int64)


def softmax16(kernel: k.Softmax, scale: k.Scale, x: Array) -> Array:
    """int16 (``SoftmaxInt16``)."""
    less = scaled(x - x.max(-1, keepdims=True), p.softmax16_factor(scale, kernel.beta))
    powers = looked_up16(np.clip(less + 32767, -0x8000, 0x7FFF), EXP)
    total = powers.sum(-1, keepdims=True)
    headroom = np.vectorize(lambda value: 32 - int(value).bit_length())(total)
    shifted = ((total << (headroom - 1)) + (1 << 13)) >> 14
    inverse = looked_up16(np.clip(shifted - (1 << 15) - (1 << 16), -0x8000, 0x7FFF), RECIPROCAL)
    right = 31 - headroom
    return np.clip((powers * inverse + (np.int64(1) << (right - 1))) >> right, 0, 0x7FFF)


def log_softmax(kernel: k.LogSoftmax, network: k.Network, x: Array) -> Array:
    """int8 (reference/integer_ops/log_softmax.h)."""
    q = p.softmax_parameters(network.scale(kernel.input), 1.0)
    back = p.log_softmax_inverse(q)
    x = x.astype(np.int64)
    less = x - x.max(-1, keepdims=True)
    fine = scaled(less, q.factor)
    powers = np.where(less >= q.least, fx.exp_on_negative_values(fine), 0)
    log = fx.log_of_at_least_one(fx.rounding_divide_by_pot(powers, 12).sum(-1, keepdims=True))
    least = np.maximum(q.least - 1, scaled(log - (1 << 31), back))
    shares = fx.rounding_divide_by_pot(fine - log, 31 - 5 - 4) + 127
    return np.where(less > least, np.clip(shares, -128, 127), -128)


def normalized(kernel: k.L2Normalization, network: k.Network, x: Array) -> Array:
    """int8 (reference/integer_ops/l2normalization.h)."""
    x = x.astype(np.int64) - network.scale(kernel.input).zero_point
    rows = x.reshape(-1, x.shape[-1])
    made = []
    for row in rows:
        multiplier, shift = fx.inverse_square_root(int((row * row).sum()))
        made.append(np.clip(fx.multiply_by_quantized_multiplier(row, multiplier, shift + 7), -128, 127))
    return np.array(made)


def resized(kernel: k.Resize, x: Array) -> Array:
    """Nearest, and bilinear in steps of 1/1024 (reference/resize_bilinear.h)."""
    x = x[0].astype(np.int64)
    (top, bottom, down), (left, right, across) = kernel.rows, kernel.columns
    if kernel.method == "nearest":
        return x[top][:, left]
    down, across = (np.rint(share * 1024).astype(np.int64) for share in (down, across))
    down, across = down[:, None, None], across[None, :, None]
    upper = x[top][:, left] * (1024 - across) + x[top][:, right] * across
    lower = x[bottom][:, left] * (1024 - across) + x[bottom][:, right] * across
    total = upper * (1024 - down) + lower * down
    return np.sign(total) * ((np.abs(total) + (1 << 19)) >> 20)


def converted(kernel: k.Convert, network: k.Network, x: Array) -> Array:
    tensor = network.tensors[kernel.output]
    if tensor.dtype == "float32":
        scale = network.scale(kernel.input)
        return (x.astype(np.int64) - scale.zero_point).astype(np.float32) * np.float32(scale.scale)
    out = network.scale(kernel.output)
    if x.dtype == np.float32:
        real = x / np.float32(out.scale)
        whole = np.trunc(real + np.copysign(np.float32(0.5), real)).astype(np.int64) + out.zero_point
    else:
        q = p.convert_parameters(network.scale(kernel.input), out)
        whole = scaled(x.astype(np.int64) - q.zero, q.factor) + q.output_zero
    return clipped(whole, tensor.dtype)
