"""A backend in NumPy: interprets typed kernels, integers in TFLite's exact arithmetic. No TVM, no schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import NDArray

from edgekit.codegen import fixed_point as fx
from edgekit.codegen import kernels as k
from edgekit.codegen.views import View, row_major

Array = NDArray[Any]


def run(network: k.Network, inputs: list[Array]) -> list[Array]:
    """Compute the outputs for one sample."""
    state = Interpreter(network)
    for index, values in zip(network.inputs, inputs, strict=True):
        state.values[index] = values.reshape(network.tensors[index].shape)
    for kernel in network.kernels:
        state.step(kernel)
    return [state.values[index] for index in network.outputs]


class Interpreter:
    def __init__(self, network: k.Network) -> None:
        self.network = network
        self.values: dict[int, Array] = {
            index: tensor.array() for index, tensor in enumerate(network.tensors) if _readable(tensor)
        }

    def step(self, kernel: k.Kernel) -> None:
        tensor = self.network.tensors[kernel.output]
        if kernel.output not in self.values:
            self.values[kernel.output] = np.zeros(tensor.shape, np.dtype(tensor.dtype))
        match kernel:
            case k.Conv2D() | k.DepthwiseConv2D():
                made = self.finish(kernel, self.convolved(kernel))
            case k.MatMul():
                x = self.values[kernel.input].reshape(-1, kernel.weights.shape[1]).astype(np.int64)
                total = (x - self.zero(kernel.input)) @ kernel.weights.T.astype(np.int64)
                made = self.finish(kernel, total if kernel.bias is None else total + kernel.bias)
            case k.Pool():
                made = self.pooled(kernel)
            case k.Softmax():
                made = self.softmax(kernel)
            case k.Elementwise(function="add", limits=limits) if limits is not None:
                a, b = (self.seen(view).astype(np.int64) for view in kernel.inputs)
                scales = [self.network.scale(view.tensor) for view in kernel.inputs]
                made = added(a, b, scales[0], scales[1], self.network.scale(kernel.output), limits)
            case k.Move():
                self.seen(kernel.result)[...] = self.seen(kernel.source)
                return
            case k.Pad():
                made = np.full(tensor.shape, self.zero(kernel.output), np.int64)
                _, h, w, _ = self.values[kernel.input].shape
                made[:, kernel.top : kernel.top + h, kernel.left : kernel.left + w] = self.values[kernel.input]
            case k.Reshape():
                made = self.values[kernel.input]
            case k.Convert():
                made = self.converted(kernel)
            case _:
                raise NotImplementedError(type(kernel).__name__)
        self.values[kernel.output] = np.asarray(made).reshape(tensor.shape).astype(np.dtype(tensor.dtype))

    def seen(self, view: View) -> Array:
        """A view of a tensor's values."""
        values = self.values[view.tensor]
        layout = row_major(self.network.tensors[view.tensor].shape)
        strides = tuple(s * values.itemsize for s in view.strides(layout))
        return as_strided(values.reshape(-1)[view.offset(layout) :], view.shape, strides)

    def zero(self, index: int) -> int:
        return self.network.scale(index).zero_point

    def convolved(self, kernel: k.Conv2D | k.DepthwiseConv2D) -> Array:
        top, left, bottom, right = kernel.padding
        x = self.values[kernel.input][0].astype(np.int64) - self.zero(kernel.input)
        x = np.pad(x, ((top, bottom), (left, right), (0, 0)))
        depthwise = isinstance(kernel, k.DepthwiseConv2D)
        kh, kw = kernel.weights.shape[:2] if depthwise else kernel.weights.shape[1:3]
        (sy, sx), (dy, dx) = kernel.strides, kernel.dilations
        windows = sliding_window_view(x, ((kh - 1) * dy + 1, (kw - 1) * dx + 1), axis=(0, 1))[::sy, ::sx]
        _, height, width, _ = self.network.tensors[kernel.output].shape
        windows = windows[:height, :width, :, ::dy, ::dx]
        total = np.einsum(
            "yxcrq,rqc->yxc" if depthwise else "yxcrq,orqc->yxo", windows, kernel.weights.astype(np.int64)
        )
        return total if kernel.bias is None else total + kernel.bias

    def finish(self, kernel: k.Conv2D | k.DepthwiseConv2D | k.MatMul, total: Array) -> Array:
        end = kernel.epilogue
        assert end.requantization is not None
        made = np.clip(end.requantization.apply(total), *end.limits)
        if (residual := end.residual) is None:
            return made
        assert residual.other is not None and residual.output is not None
        other = self.values[residual.tensor].reshape(made.shape).astype(np.int64)
        operands = [(made, end.requantization.output), (other, residual.other)]
        (a, scale_a), (b, scale_b) = operands if residual.first else operands[::-1]
        return added(a, b, scale_a, scale_b, residual.output, residual.limits)

    def pooled(self, kernel: k.Pool) -> Array:
        x = self.values[kernel.input][0].astype(np.int64)
        (top, left), (wh, ww), (sy, sx) = kernel.padding, kernel.window, kernel.strides
        _, height, width, count = self.network.tensors[kernel.output].shape
        made = np.zeros((height, width, count), np.int64)
        for y in range(height):
            for x0 in range(width):
                part = x[max(0, y * sy - top) : y * sy - top + wh, max(0, x0 * sx - left) : x0 * sx - left + ww]
                size = part.shape[0] * part.shape[1]
                total = part.sum((0, 1))
                mean = np.where(total > 0, (total + size // 2) // size, -((-total + size // 2) // size))
                made[y, x0] = part.max((0, 1)) if kernel.kind == "max" else mean
        return np.clip(made, *kernel.limits)

    def softmax(self, kernel: k.Softmax) -> Array:
        """TFLite's reference_ops::Softmax for integers (reference/softmax.h)."""
        scale, out = self.network.scale(kernel.input), self.network.tensors[kernel.output]
        bits = 8 if out.dtype == "int8" else 16
        multiplier, shift = fx.quantize_multiplier(min(kernel.beta * scale.scale * (1 << 26), (1 << 31) - 1.0))
        least = -int(np.floor(((1 << 5) - 1) * (2.0 ** (31 - 5)) / 2.0**shift))
        x = self.values[kernel.input].astype(np.int64)
        less = x - x.max(-1, keepdims=True)
        scaled = fx.saturating_rounding_doubling_high_mul(less << shift, multiplier)
        powers = np.where(less >= least, fx.exp_on_negative_values(scaled), 0)
        total = fx.rounding_divide_by_pot(powers, 12).sum(-1, keepdims=True)
        headroom = np.vectorize(lambda value: 32 - int(value).bit_length())(total)
        inverse = fx.one_over_one_plus_x((total << headroom) - (1 << 31))
        product = fx.saturating_rounding_doubling_high_mul(inverse, powers)
        shares = fx.rounding_divide_by_pot(product, 12 - headroom + 31 - bits)
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        return np.where(less >= least, np.clip(shares + low, low, high), low)

    def converted(self, kernel: k.Convert) -> Array:
        x, tensor = self.values[kernel.input], self.network.tensors[kernel.output]
        if tensor.dtype == "float32":
            scale = self.network.scale(kernel.input)
            return (x.astype(np.int64) - scale.zero_point).astype(np.float32) * np.float32(scale.scale)
        limits, out = np.iinfo(tensor.dtype), self.network.scale(kernel.output)
        if x.dtype == np.float32:
            real = x / np.float32(out.scale)
            whole = np.trunc(real + np.copysign(np.float32(0.5), real)).astype(np.int64)
        else:
            scale = self.network.scale(kernel.input)
            factor = fx.quantize_multiplier(scale.scale / out.scale)
            whole = fx.multiply_by_quantized_multiplier(x.astype(np.int64) - scale.zero_point, *factor)
        return np.clip(whole + out.zero_point, limits.min, limits.max)


def added(a: Array, b: Array, scale_a: k.Scale, scale_b: k.Scale, out: k.Scale, limits: k.Limits) -> Array:
    """TFLite's int8 ADD (reference/integer_ops/add.h): both sides at 20 more bits, at twice the larger scale."""
    twice = 2 * max(scale_a.scale, scale_b.scale)
    total = np.zeros(a.shape, np.int64)
    for x, scale in ((a, scale_a), (b, scale_b)):
        factor = fx.quantize_multiplier(scale.scale / twice)
        total = total + fx.multiply_by_quantized_multiplier((x - scale.zero_point) << 20, *factor)
    made = fx.multiply_by_quantized_multiplier(total, *fx.quantize_multiplier(twice / ((1 << 20) * out.scale)))
    return np.clip(made + out.zero_point, *limits)


def _readable(tensor: Any) -> bool:
    return tensor.data is not None and tensor.sparsity is None
