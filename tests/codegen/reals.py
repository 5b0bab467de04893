"""The interpreter's other half: every kernel on floats, truth values and whole numbers, element by element in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen.functions import REAL
from tests.codegen.interpreter import Array, Interpreter

FUNCTIONS: dict[str, Callable[..., Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "squared_difference": lambda a, b: (a - b) ** 2, "prelu": lambda x, slope: np.where(x >= 0, x, x * slope),
    "div": lambda a, b: np.trunc(a / b) if a.dtype.kind == "i" else a / b, "pow": np.power,
    "floor_div": np.floor_divide, "floor_mod": np.mod, "equal": np.equal, "not_equal": np.not_equal, "less": np.less,
    "less_equal": np.less_equal, "greater": np.greater, "greater_equal": np.greater_equal,
    "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_not": np.logical_not, "cast": lambda x: x,
    "select": np.where, "one_hot": lambda index, at, on, off: np.where(index == at, on, off),
}  # fmt: skip
JOINS = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}


class Reals(Interpreter):
    def step(self, kernel: k.Kernel) -> None:
        tensor = self.network.tensors[kernel.output]
        whole = self.values.setdefault(kernel.output, np.zeros(tensor.shape, np.dtype(tensor.dtype)))
        match kernel:
            case k.Conv2D() | k.DepthwiseConv2D() | k.MatMul():
                total = self.product(kernel) + (0 if kernel.bias is None else kernel.bias)
                made = np.clip(total, *kernel.epilogue.limits)
                if (residual := kernel.epilogue.residual) is not None:
                    made = np.clip(made + self.values[residual.tensor].reshape(made.shape), *residual.limits)
            case k.Pool():
                made = self.windows(kernel)
            case k.Softmax():
                shares = np.exp(kernel.beta * (x := self.values[kernel.input]) - kernel.beta * x.max(-1, keepdims=True))
                made = shares / shares.sum(-1, keepdims=True)
            case k.Map():
                made = REAL[kernel.function](self.values[kernel.input], **kernel.options)
            case k.Elementwise():
                made = FUNCTIONS[kernel.function](*map(self.seen, kernel.inputs))
                self.put(kernel.result, made, kernel.limits)
                return
            case k.Move():
                self.put(kernel.result, self.seen(kernel.source), None)
                return
            case k.Reduce():
                product = np.prod(
                    [self.seen(view) for view in kernel.inputs], axis=0, dtype=self.kind(kernel.inputs[0])
                )
                axes = tuple(range(kernel.kept, product.ndim))
                made = JOINS[kernel.kind](product, axis=axes)
                made = made / np.prod(kernel.reduced) if kernel.mean else made
                self.put(kernel.result, made, kernel.limits)
                return
            case k.Gather():
                self.put(kernel.result, self.gathered(kernel), None)
                return
            case k.ArgExtreme():
                find = np.argmax if kernel.kind == "max" else np.argmin
                self.put(kernel.result, find(self.seen(kernel.input), axis=kernel.axis), None)
                return
            case k.CumSum():
                sums = np.cumsum(x := self.seen(kernel.input), axis=kernel.axis)
                self.put(kernel.result, sums - x if kernel.exclusive else sums, None)
                return
            case k.Resize():
                made = self.resized(kernel)
            case k.Pad() | k.Spread():
                sy, sx = kernel.strides if isinstance(kernel, k.Spread) else (1, 1)
                source = self.values[kernel.input]
                _, height, width, _ = source.shape
                whole[:, kernel.top :: sy, kernel.left :: sx][:, :height, :width] = source
                return
            case _:
                made = self.values[kernel.input]  # type: ignore[attr-defined]
        whole[...] = made.reshape(whole.shape)

    def kind(self, view: k.View) -> np.dtype:
        return self.values[view.tensor].dtype

    def put(self, result: k.View, values: Array, limits: k.Limits | None) -> None:
        target = self.seen(result)
        limited = limits is not None and np.asarray(values).dtype.kind == "f"
        target[...] = (np.clip(values, *limits) if limited and limits else values).reshape(target.shape)

    def product(self, kernel: k.Conv2D | k.DepthwiseConv2D | k.MatMul) -> Array:
        x, w = self.values[kernel.input].astype(np.float64), kernel.weights.astype(np.float64)
        if isinstance(kernel, k.MatMul):
            return x.reshape(-1, w.shape[1]) @ w.T
        depthwise = isinstance(kernel, k.DepthwiseConv2D)
        kh, kw = w.shape[:2] if depthwise else w.shape[1:3]
        (top, left, bottom, right), (sy, sx), (dy, dx) = kernel.padding, kernel.strides, kernel.dilations
        x = np.pad(x[0], ((top, bottom + sy), (left, right + sx), (0, 0)))
        _, height, width, count = self.network.tensors[kernel.output].shape
        total = np.zeros((height, width, count))
        for row in range(kh):
            for column in range(kw):
                part = x[row * dy :: sy, column * dx :: sx][:height, :width]
                total += part * w[row, column] if depthwise else part @ w[:, row, column].T
        return total

    def windows(self, kernel: k.Pool) -> Array:
        (top, left), (wh, ww), (sy, sx) = kernel.padding, kernel.window, kernel.strides
        x, (_, height, width, _) = self.values[kernel.input][0], self.network.tensors[kernel.output].shape
        join = np.max if kernel.kind == "max" else np.mean
        rows = [slice(max(0, y * sy - top), y * sy - top + wh) for y in range(height)]
        columns = [slice(max(0, c * sx - left), c * sx - left + ww) for c in range(width)]
        made = [[join(x[row, column], axis=(0, 1)) for column in columns] for row in rows]
        return np.clip(np.array(made), *kernel.limits)

    def gathered(self, kernel: k.Gather) -> Array:
        source = self.values[kernel.source.tensor]
        at = np.array(kernel.source.origin).reshape(-1, *[1] * kernel.result.ndim)
        places = np.indices(kernel.result.shape)
        at = at + sum(place * np.array(step).reshape(-1, *[1] * kernel.result.ndim)
                      for place, step in zip(places, kernel.source.steps, strict=True))  # fmt: skip
        for view, step, length in zip(kernel.indices, kernel.axes, kernel.lengths, strict=True):
            index = np.clip(self.seen(view), 0, length - 1)
            at = at + index * np.array(step).reshape(-1, *[1] * kernel.result.ndim)
        return source[tuple(at)]

    def resized(self, kernel: k.Resize) -> Array:
        x = self.values[kernel.input][0]
        (top, bottom, down), (left, right, across) = kernel.rows, kernel.columns
        if kernel.method == "nearest":
            return x[top][:, left]
        down, across = down[:, None, None], across[None, :, None]
        upper = x[top][:, left] * (1 - across) + x[top][:, right] * across
        lower = x[bottom][:, left] * (1 - across) + x[bottom][:, right] * across
        return np.clip(upper * (1 - down) + lower * down, *kernel.limits)


def run(network: k.Network, inputs: list[Array]) -> list[Array]:
    """Compute the outputs for one sample."""
    state = Reals(network)
    for index, values in zip(network.inputs, inputs, strict=True):
        state.values[index] = values.reshape(network.tensors[index].shape)
    for kernel in network.kernels:
        state.step(kernel)
    return [state.values[index] for index in network.outputs]
