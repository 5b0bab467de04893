"""Pooling, means and padding."""

from __future__ import annotations

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen.schedule.hls import finish, products
from edgekit.codegen.schedule.hls.context import NO_LAYER, Context, Unsuitable, places
from edgekit.codegen.schedule.hls.layers import Largest, Range, Sum, Zeros
from edgekit.codegen.schedule.unrolled import exact, rounding
from edgekit.codegen.schedule.unrolled.exact import STORED_LIMITS
from edgekit.codegen.schedule.unrolled.rounding import Fit


def pool(context: Context, kernel: k.Pool) -> None:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    shape, output = context.shape(kernel.input), context.shape(kernel.output)
    limits = (int(kernel.limits[0]), int(kernel.limits[1]))
    reach = [
        (output[axis] - 1) * kernel.strides[axis] + kernel.window[axis] - kernel.padding[axis] - shape[axis]
        for axis in (0, 1)
    ]
    padding = (*kernel.padding, max(0, reach[0]), max(0, reach[1]))
    if kernel.kind == "average":
        if any(padding):
            raise Unsuitable("its windows are padded")
        _average(context, kernel, limits)
        return
    if kernel.window != kernel.strides:
        raise Unsuitable("its windows do not lie side by side")
    if limits != STORED_LIMITS:
        raise Unsuitable("it has an activation")
    base, value = context.any_of(kernel.input)
    if any(padding):  # 0 is the least
        base, value = STORED_LIMITS[0], context.read(kernel.node, kernel.input, STORED_LIMITS[0])
    value = context.shaped(kernel.node, value, shape)
    if any(padding):
        around = (shape[0] + padding[0] + padding[2], shape[1] + padding[1] + padding[3], shape[2])
        padded = context.fresh(around, value.range)
        context.layers.append(Zeros(kernel.node, padded, value, padding))
        value = padded
    result = context.passed(kernel.output, base, value.range)
    context.layers.append(Largest(kernel.node, result, value, kernel.window))


def _average(context: Context, kernel: k.Pool, limits: tuple[int, int]) -> None:
    """Means of windows: sums of the whole feature map, or products with 1."""
    shape, output = context.shape(kernel.input), context.shape(kernel.output)
    count = int(np.prod(kernel.window))
    fit = rounding.of_mean(count, limits)
    if kernel.window == shape[:2]:
        _whole(context, kernel, kernel.input, fit, limits, 0)
        return
    base, value = context.any_of(kernel.input)
    value = context.shaped(kernel.node, value, shape)
    sums = context.fresh(output, Range(min(0, value.range.low * count), max(0, value.range.high * count)))
    ones, none = np.ones((*kernel.window, shape[2], 1), np.int64), np.zeros(shape[2], np.int64)
    layer = products.convolved(kernel.node, sums, value, ones, none, kernel.strides, (0, 0), depthwise=True)
    context.layers.append(layer)
    finish.rounded(context, kernel, sums, [fit], limits, base * count)


def _whole(
    context: Context, kernel: k.Kernel, tensor: int, fit: Fit, limits: tuple[int, int], zero: int
) -> None:  # fmt: skip
    """The rounded sum of a feature map's pixels, of stored integers less ``zero``."""
    shape = context.shape(tensor)
    base, value = context.any_of(tensor)
    value = context.shaped(kernel.node, value, shape)
    count = int(np.prod(shape[:-1]))
    sums = context.fresh((shape[-1],), Range(min(0, value.range.low * count), max(0, value.range.high * count)))
    context.layers.append(Sum(kernel.node, sums, value))
    finish.rounded(context, kernel, sums, [fit], limits, (base - zero) * count)


def reduce(context: Context, kernel: k.Reduce) -> None:
    """MEAN."""
    view = kernel.inputs[0]
    shape = context.network.tensors[view.tensor].shape
    if len(kernel.inputs) != 1 or kernel.kind != "sum" or not kernel.mean or len(shape) != 4:
        raise Unsuitable(NO_LAYER)
    read = places(context, view).reshape(int(np.prod(view.shape[: kernel.kept], dtype=np.int64)), -1)
    expected = np.arange(int(np.prod(shape))).reshape(-1, shape[-1]).T
    if not np.array_equal(np.sort(read, 1), expected):
        raise Unsuitable("only the mean of a whole feature map has a layer")
    source, output = context.network.scale(view.tensor), context.network.scale(kernel.output)
    fit = exact.mean(source, output, read.shape[1])
    _whole(context, kernel, view.tensor, fit, STORED_LIMITS, source.zero_point)


def pad(context: Context, kernel: k.Pad) -> None:
    """PAD."""
    value = context.read(kernel.node, kernel.input, context.zero(kernel.output))
    shape, output = context.shape(kernel.input), context.shape(kernel.output)
    value = context.shaped(kernel.node, value, shape)
    rest = (output[0] - shape[0] - kernel.top, output[1] - shape[1] - kernel.left)
    numbers = Range(min(0, value.range.low), max(0, value.range.high))
    result = context.passed(kernel.output, context.zero(kernel.output), numbers)
    context.layers.append(Zeros(kernel.node, result, value, (kernel.top, kernel.left, *rest)))
