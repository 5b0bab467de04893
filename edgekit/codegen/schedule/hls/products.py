"""Sums of products with weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen.schedule.hls import finish
from edgekit.codegen.schedule.hls import rounding as made
from edgekit.codegen.schedule.hls.context import Context, Unsuitable
from edgekit.codegen.schedule.hls.layers import Convolution, Dense, Integers, Range, Requantize, Value, Weighted
from edgekit.codegen.schedule.unrolled import exact


def convolution(context: Context, kernel: k.Conv2D | k.DepthwiseConv2D) -> None:
    """CONV_2D and DEPTHWISE_CONV_2D."""
    depthwise = isinstance(kernel, k.DepthwiseConv2D)
    if tuple(kernel.dilations) != (1, 1):
        raise Unsuitable("its window is dilated")
    if isinstance(kernel, k.Conv2D) and kernel.groups > 1:
        raise Unsuitable("its channels are in groups")
    if isinstance(kernel, k.DepthwiseConv2D) and kernel.multiplier > 1:
        raise Unsuitable("it has several output channels per input channel")
    weights = kernel.weights.astype(np.int64)
    weights = weights[..., None] if depthwise else weights.transpose(1, 2, 3, 0)
    axes = (0, 1, 3) if depthwise else (0, 1, 2)
    value = context.read(kernel.node, kernel.input, context.zero(kernel.input))
    value = context.shaped(kernel.node, value, context.shape(kernel.input))
    bias = _bias(kernel.bias, weights.shape[2] if depthwise else weights.shape[3])
    sums = context.fresh(context.shape(kernel.output), _sums(weights, axes, value.range, bias))
    layer = convolved(
        kernel.node, sums, value, weights, bias, kernel.strides, kernel.padding, depthwise=depthwise
    )  # fmt: skip
    _weighted(context, kernel, layer)


def convolved(
    node: int, sums: Value, value: Value, weights: Integers, bias: Integers, strides: tuple[int, int],
    padding: tuple[int, ...], *, depthwise: bool,
) -> Convolution:  # fmt: skip
    """A convolution that hls4ml computes right; ``padding``: top and left."""
    if weights.shape[0] == 1 and (depthwise or (weights.shape[1] > 1 and strides[0] > 1)):
        weights = np.pad(weights, ((0, 1), (0, 0), (0, 0), (0, 0)))  # see :class:`Convolution`
    reach = [
        (sums.shape[axis] - 1) * strides[axis] + weights.shape[axis] - padding[axis] - value.shape[axis]
        for axis in (0, 1)
    ]
    around = (padding[0], padding[1], max(0, reach[0]), max(0, reach[1]))
    return Convolution(node, sums, value, weights, bias, strides, around, depthwise)


def product(context: Context, kernel: k.MatMul) -> None:
    """FULLY_CONNECTED."""
    weights = kernel.weights.astype(np.int64).T
    value = context.read(kernel.node, kernel.input, context.zero(kernel.input))
    if int(np.prod(value.shape)) != weights.shape[0]:
        raise Unsuitable("it multiplies several rows")
    value = context.shaped(kernel.node, value, (weights.shape[0],))
    bias = _bias(kernel.bias, weights.shape[1])
    sums = context.fresh((weights.shape[1],), _sums(weights, (0,), value.range, bias))
    _weighted(context, kernel, Dense(kernel.node, sums, value, weights, bias))


def _bias(bias: Any, channels: int) -> Integers:
    return np.zeros(channels, np.int64) if bias is None else bias.astype(np.int64)


def _sums(weights: Integers, axes: tuple[int, ...], numbers: Range, bias: Integers) -> Range:
    """What sums can be, and their parts on the way, in whatever order they are added up."""
    low, high = _ends(weights, axes, numbers)
    return Range(int((low + np.minimum(bias, 0)).min()), int((high + np.maximum(bias, 0)).max()))


def _ends(weights: Integers, axes: tuple[int, ...], numbers: Range) -> tuple[Integers, Integers]:
    """The least and the largest sums; a number can be 0, as padding is."""
    first, last = weights * min(0, numbers.low), weights * max(0, numbers.high)
    return np.minimum(first, last).sum(axes), np.maximum(first, last).sum(axes)


def _weighted(context: Context, kernel: Any, layer: Weighted) -> None:
    """A layer of sums, their rounding, and the addition that follows."""
    end: k.Epilogue = kernel.epilogue
    requantization = end.requantization
    assert requantization is not None
    limits = (int(end.limits[0]), int(end.limits[1]))
    axes = (0, 1, 3) if isinstance(layer, Convolution) and layer.depthwise else tuple(range(layer.weights.ndim - 1))
    low, high = (ends + layer.bias for ends in _ends(layer.weights, axes, layer.input.range))
    fits = exact.products(requantization, limits, low, high)
    context.layers.append(layer)
    if end.residual is None:
        finish.rounded(context, kernel, layer.output, fits, limits)
        return
    residual = end.residual
    assert residual.other is not None and residual.output is not None
    zero = requantization.output.zero_point
    rounded = made.of_fits(fits, limits, layer.output.range, zero)
    inner = context.fresh(context.shape(kernel.output), rounded.range)
    context.layers.append(Requantize(kernel.node, inner, layer.output, rounded))
    there, other = context.any_of(residual.tensor)
    operands = [(inner, zero, requantization.output), (other, there, residual.other)]
    finish.added(
        context, kernel, operands if residual.first else operands[::-1], residual.output, residual.limits, 1
    )  # fmt: skip
