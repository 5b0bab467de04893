"""The interpreter's other half: every kernel on floats, truth values and whole numbers, element by element in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen.functions import REAL
from edgekit.codegen.views import View
from tests.codegen.sums import Array, products

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


def computed(
    kernel: k.Kernel, shape: tuple[int, ...], values: dict[int, Array], seen: Callable[[View], Array]
) -> Array | None:
    """The values that a kernel makes; None where it wrote them itself.

    :param shape: of its output. :param values: of tensors. :param seen: a view of them.
    """
    match kernel:
        case k.Conv2D() | k.DepthwiseConv2D() | k.MatMul() | k.TransposeConv():
            total = products(kernel, shape, values[kernel.input].astype(np.float64))
            made = np.clip(total, *kernel.epilogue.limits)
            if (residual := kernel.epilogue.residual) is not None:
                made = np.clip(made + values[residual.tensor].reshape(made.shape), *residual.limits)
            return made
        case k.Pool():
            return windows(kernel, shape, values[kernel.input])
        case k.Softmax():
            shares = np.exp(kernel.beta * (x := values[kernel.input]) - kernel.beta * x.max(-1, keepdims=True))
            return shares / shares.sum(-1, keepdims=True)
        case k.Map():
            return REAL[kernel.function](values[kernel.input], **kernel.options)
        case k.Elementwise():
            return clamped(FUNCTIONS[kernel.function](*map(seen, kernel.inputs)), kernel.limits)
        case k.Move():
            return seen(kernel.source)
        case k.Reduce():
            kind = values[kernel.inputs[0].tensor].dtype
            whole = np.prod([seen(view) for view in kernel.inputs], axis=0, dtype=kind)
            made = JOINS[kernel.kind](whole, axis=tuple(range(kernel.kept, whole.ndim)))
            return clamped(made / np.prod(kernel.reduced) if kernel.mean else made, kernel.limits)
        case k.Gather():
            return gathered(kernel, values, seen)
        case k.ArgExtreme():
            return (np.argmax if kernel.kind == "max" else np.argmin)(seen(kernel.input), axis=kernel.axis)
        case k.CumSum():
            sums = np.cumsum(x := seen(kernel.input), axis=kernel.axis)
            return sums - x if kernel.exclusive else sums
        case k.Resize():
            return resized(kernel, values[kernel.input])
        case k.Pad() | k.Spread():
            sy, sx = kernel.strides if isinstance(kernel, k.Spread) else (1, 1)
            source = values[kernel.input]
            _, height, width, _ = source.shape
            values[kernel.output][:, kernel.top :: sy, kernel.left :: sx][:, :height, :width] = source
            return None
        case _:
            return values[kernel.input]  # type: ignore[attr-defined]


def clamped(values: Array, limits: k.Limits | None) -> Array:
    """Floats within an activation's limits."""
    return np.clip(values, *limits) if limits is not None and np.asarray(values).dtype.kind == "f" else values


def windows(kernel: k.Pool, shape: tuple[int, ...], x: Array) -> Array:
    (top, left), (wh, ww), (sy, sx) = kernel.padding, kernel.window, kernel.strides
    x, (_, height, width, _) = x[0], shape
    join = np.max if kernel.kind == "max" else np.mean
    rows = [slice(max(0, y * sy - top), y * sy - top + wh) for y in range(height)]
    columns = [slice(max(0, c * sx - left), c * sx - left + ww) for c in range(width)]
    made = [[join(x[row, column], axis=(0, 1)) for column in columns] for row in rows]
    return np.clip(np.array(made), *kernel.limits)


def gathered(kernel: k.Gather, values: dict[int, Array], seen: Callable[[View], Array]) -> Array:
    source = values[kernel.source.tensor]
    at = np.array(kernel.source.origin).reshape(-1, *[1] * kernel.result.ndim)
    places = np.indices(kernel.result.shape)
    at = at + sum(place * np.array(step).reshape(-1, *[1] * kernel.result.ndim)
                  for place, step in zip(places, kernel.source.steps, strict=True))  # fmt: skip
    for view, step, length in zip(kernel.indices, kernel.axes, kernel.lengths, strict=True):
        index = np.clip(seen(view), 0, length - 1)
        at = at + index * np.array(step).reshape(-1, *[1] * kernel.result.ndim)
    return source[tuple(at)]


def resized(kernel: k.Resize, x: Array) -> Array:
    x = x[0]
    (top, bottom, down), (left, right, across) = kernel.rows, kernel.columns
    if kernel.method == "nearest":
        return x[top][:, left]
    down, across = down[:, None, None], across[None, :, None]
    upper = x[top][:, left] * (1 - across) + x[top][:, right] * across
    lower = x[bottom][:, left] * (1 - across) + x[bottom][:, right] * across
    return np.clip(upper * (1 - down) + lower * down, *kernel.limits)
