"""Network -> Program: one rule per kind of kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen.schedule.hls import rounding as made
from edgekit.codegen.schedule.hls.layers import (
    Combine,
    Convolution,
    Dense,
    Integers,
    Largest,
    Layer,
    Program,
    Range,
    Requantize,
    Shaped,
    Sum,
    Table,
    Value,
    Weighted,
    Zeros,
)
from edgekit.codegen.schedule.unrolled import exact, rounding
from edgekit.codegen.schedule.unrolled.exact import STORED_LIMITS
from edgekit.codegen.schedule.unrolled.rounding import Fit, NoRounding
from edgekit.codegen.tables import STORED, table
from edgekit.codegen.views import View, row_major

STORED_RANGE = Range(*STORED_LIMITS)
NO_LAYER = "there is no layer for it"
MOST_PACK = 4096
"""Numbers that pass at once at most: the tools refuse larger partitions."""


class Unsuitable(Exception):
    """Why a kernel does not become layers."""


@dataclass
class Context:
    """A network, and the layers so far.

    :param values: what is passed on of a tensor, by its base.
    """

    network: k.Network
    layers: list[Layer] = field(default_factory=list)
    values: dict[int, dict[int, Value]] = field(default_factory=dict)
    count: int = 0

    def shape(self, tensor: int) -> tuple[int, ...]:
        """A tensor's, without the batch."""
        shape = self.network.tensors[tensor].shape
        if len(shape) > 1 and shape[0] != 1:
            raise Unsuitable("its batch is not 1")
        return shape[1:] if len(shape) > 1 else shape

    def zero(self, tensor: int) -> int:
        """A tensor's zero point."""
        return self.network.scale(tensor).zero_point

    def fresh(self, shape: tuple[int, ...], numbers: Range) -> Value:
        """A value of the next number."""
        if shape[-1] > MOST_PACK:
            raise Unsuitable(f"it passes {shape[-1]:,} numbers on at once: at most {MOST_PACK:,}")
        self.count += 1
        return Value(self.count, shape, numbers)

    def passed(self, tensor: int, base: int, numbers: Range) -> Value:
        """A new value of a tensor, less a base."""
        value = self.fresh(self.shape(tensor), numbers)
        self.values.setdefault(tensor, {})[base] = value
        return value

    def any_of(self, tensor: int) -> tuple[int, Value]:
        """A base and the value less it, whichever there is."""
        if tensor not in self.values:
            raise Unsuitable("it reads a constant")
        return next(iter(self.values[tensor].items()))

    def read(self, node: int, tensor: int, base: int) -> Value:
        """A tensor's value less a base, by a layer of its own if there is another base only."""
        there, value = self.any_of(tensor)
        if base not in self.values[tensor]:
            moved = Value(self.count + 1, value.shape, value.range.minus(base - there))
            self.count += 1
            self.layers.append(Requantize(node, moved, value, made.moved(there - base, moved.range)))
            self.values[tensor][base] = moved
        return self.values[tensor][base]

    def base(self, tensor: int) -> int:
        """The base of what is passed on of a tensor that is computed: outputs have none."""
        return 0 if tensor in self.network.outputs else self.zero(tensor)

    def shaped(self, node: int, value: Value, shape: tuple[int, ...]) -> Value:
        """A value in another shape."""
        if value.shape == shape:
            return value
        other = self.fresh(shape, value.range)
        self.layers.append(Shaped(node, other, value))
        return other


def missing(network: k.Network) -> list[tuple[int, str]]:
    """Operators that do not become layers, with the reason."""
    return _scheduled(network)[1]


def schedule(network: k.Network) -> Program:
    """Schedule a network that has no missing operators."""
    context, unsuitable = _scheduled(network)
    assert not unsuitable, unsuitable
    inputs = tuple(context.values[tensor][0] for tensor in network.inputs)
    outputs = tuple(context.read(network.kernels[-1].node, tensor, 0) for tensor in network.outputs)
    return Program(tuple(context.layers), inputs, outputs)


def _scheduled(network: k.Network) -> tuple[Context, list[tuple[int, str]]]:
    context, unsuitable = Context(network), dict[int, str]()
    for tensor in network.inputs:
        try:
            context.passed(tensor, 0, STORED_RANGE)
        except Unsuitable as error:
            unsuitable[0] = str(error)
    for kernel in network.kernels:
        try:
            for tensor in (*k.reads(kernel), kernel.output):
                if network.tensors[tensor].dtype != "int8":
                    raise Unsuitable(f"it computes with {network.tensors[tensor].dtype}")
            rule = _RULES.get(type(kernel))
            if rule is None:
                raise Unsuitable(NO_LAYER)
            rule(context, kernel)
        except Unsuitable as error:
            unsuitable.setdefault(kernel.node, str(error))
            _continued(context, kernel.output)
        except NoRounding:
            unsuitable.setdefault(kernel.node, "its rounding is not that of one multiplication")
            _continued(context, kernel.output)
    if network.variables:
        unsuitable.setdefault(0, "it keeps state from one run to the next")
    return context, sorted(unsuitable.items())


def _continued(context: Context, tensor: int) -> None:
    """Go on behind an operator that has no layers, so that others are judged, too."""
    shape = context.network.tensors[tensor].shape
    context.values.setdefault(tensor, {})[0] = Value(0, shape[1:] or shape, STORED_RANGE)


def _convolution(context: Context, kernel: k.Conv2D | k.DepthwiseConv2D) -> None:
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
    padding = _padding(kernel.padding, value.shape, sums.shape, weights.shape, kernel.strides)
    layer = Convolution(
        kernel.node, sums, value, weights, bias, kernel.strides, padding, depthwise
    )  # fmt: skip
    _weighted(context, kernel, layer)


def _padding(
    padding: tuple[int, ...], shape: tuple[int, ...], output: tuple[int, ...], window: tuple[int, ...],
    strides: tuple[int, int],
) -> tuple[int, int, int, int]:  # fmt: skip
    """Top, left, bottom, right, as far as windows reach."""
    reach = [(output[axis] - 1) * strides[axis] + window[axis] - padding[axis] - shape[axis] for axis in range(2)]
    return padding[0], padding[1], max(0, reach[0]), max(0, reach[1])


def _product(context: Context, kernel: k.MatMul) -> None:
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

    def requantized(sums: Integers) -> Integers:
        clipped: Integers = np.clip(requantization.apply(sums), *limits)
        return clipped

    fits = rounding.of_channels(requantized, low, high, limits, requantization.factors(len(layer.bias)))
    context.layers.append(layer)
    if end.residual is None:
        _rounded(context, kernel, layer.output, fits, limits)
        return
    residual = end.residual
    assert residual.other is not None and residual.output is not None
    zero = requantization.output.zero_point
    rounded = made.of_fits(fits, limits, layer.output.range, zero)
    inner = context.fresh(context.shape(kernel.output), rounded.range)
    context.layers.append(Requantize(kernel.node, inner, layer.output, rounded))
    there, other = context.any_of(residual.tensor)
    operands = [(inner, zero, requantization.output), (other, there, residual.other)]
    _added(
        context, kernel, operands if residual.first else operands[::-1], residual.output, residual.limits, 1
    )  # fmt: skip


def _rounded(
    context: Context, kernel: k.Kernel, value: Value, fits: list[Fit], limits: tuple[int, int], bias: int = 0
) -> None:
    """Round a value to the kernel's output; ``bias`` is yet to be added to it."""
    base = context.base(kernel.output)
    rounded = made.of_fits(fits, limits, value.range, base, bias)
    output = context.passed(kernel.output, base, rounded.range)
    context.layers.append(Requantize(kernel.node, output, value, rounded))


def _added(
    context: Context, kernel: k.Kernel, operands: list[tuple[Value, int, k.Scale]], output: k.Scale,
    limits: k.Limits, sign: int,
) -> None:  # fmt: skip
    """ADD and SUB of two values, each less its base."""
    (one, first_base, first), (other, second_base, second) = operands
    if one.shape != other.shape:
        raise Unsuitable("its operands are of different shapes")
    ends = (int(limits[0]), int(limits[1]))
    added = exact.Sum((first, second, output), sign, ends)
    base = context.base(kernel.output)
    try:
        fit = added.fit()
        rounded = made.of_pair(fit, ends, (one.range, other.range), (first_base, second_base), base)
    except NoRounding:  # in two steps, as the reference
        one = _widened(context, kernel, one, added.operand(0), first_base)
        other = _widened(context, kernel, other, added.operand(1), second_base)
        rounded = made.of_pair(added.total(), ends, (one.range, other.range), (0, 0), base)
    result = context.passed(kernel.output, base, rounded.range)
    context.layers.append(Combine(kernel.node, result, one, other, rounded))


def _widened(context: Context, kernel: k.Kernel, value: Value, fit: Fit, base: int) -> Value:
    """An operand at the common scale."""
    rounded = made.of_fits([fit], exact.WORD_LIMITS, value.range, 0, base)
    wide = context.fresh(value.shape, rounded.range)
    context.layers.append(Requantize(kernel.node, wide, value, rounded))
    return wide


def _elementwise(context: Context, kernel: k.Elementwise) -> None:
    if len(kernel.inputs) != 2 or kernel.function not in ("add", "sub"):
        raise Unsuitable(NO_LAYER)
    size = int(np.prod(context.shape(kernel.output), dtype=np.int64))
    for view in (*kernel.inputs, kernel.result):
        if not np.array_equal(_places(context, view), np.arange(size)):
            raise Unsuitable("its operands are of different shapes")
    operands = []
    for view in kernel.inputs:
        base, value = context.any_of(view.tensor)
        operands.append((value, base, context.network.scale(view.tensor)))
    limits = kernel.limits or STORED_LIMITS
    _added(
        context, kernel, operands, context.network.scale(kernel.output), limits, 1 if kernel.function == "add" else -1
    )


def _places(context: Context, view: View) -> Integers:
    layout = row_major(context.network.tensors[view.tensor].shape)
    places = np.full(view.shape, view.offset(layout), np.int64)
    for axis, (extent, stride) in enumerate(zip(view.shape, view.strides(layout), strict=True)):
        places += (np.arange(extent, dtype=np.int64) * stride).reshape(-1, *[1] * (len(view.shape) - axis - 1))
    return places.reshape(-1)


def _pool(context: Context, kernel: k.Pool) -> None:
    shape, output = context.shape(kernel.input), context.shape(kernel.output)
    limits = (int(kernel.limits[0]), int(kernel.limits[1]))
    if kernel.kind == "average":
        if kernel.window != shape[:2] or output[:2] != (1, 1):
            raise Unsuitable("only the mean of a whole feature map has a layer")
        _whole(context, kernel, kernel.input, rounding.of_mean(int(np.prod(shape[:2])), limits), limits, 0)
        return
    inside = all(output[axis] * kernel.window[axis] <= shape[axis] for axis in (0, 1))
    if kernel.window != kernel.strides or tuple(kernel.padding) != (0, 0) or not inside:
        raise Unsuitable("only windows side by side, without padding, have a layer")
    if limits != STORED_LIMITS:
        raise Unsuitable("it has an activation")
    base, value = context.any_of(kernel.input)
    value = context.shaped(kernel.node, value, shape)
    result = context.passed(kernel.output, base, value.range)
    context.layers.append(Largest(kernel.node, result, value, kernel.window))


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
    _rounded(context, kernel, sums, [fit], limits, (base - zero) * count)


def _reduce(context: Context, kernel: k.Reduce) -> None:
    view = kernel.inputs[0]
    shape = context.network.tensors[view.tensor].shape
    if len(kernel.inputs) != 1 or kernel.kind != "sum" or not kernel.mean or len(shape) != 4:
        raise Unsuitable(NO_LAYER)
    places = _places(context, view).reshape(int(np.prod(view.shape[: kernel.kept], dtype=np.int64)), -1)
    expected = np.arange(int(np.prod(shape))).reshape(-1, shape[-1]).T
    if not np.array_equal(np.sort(places, 1), expected):
        raise Unsuitable("only the mean of a whole feature map has a layer")
    source, output = context.network.scale(view.tensor), context.network.scale(kernel.output)
    fit = exact.mean(source, output, places.shape[1])
    _whole(context, kernel, view.tensor, fit, STORED_LIMITS, source.zero_point)


def _map(context: Context, kernel: k.Map) -> None:
    scale = context.network.scale
    results = table(kernel.function, scale(kernel.input), scale(kernel.output), kernel.options)
    _table(context, kernel, results.astype(np.int64))


def _convert(context: Context, kernel: k.Convert) -> None:
    source, output = context.network.scale(kernel.input), context.network.scale(kernel.output)
    conversion = made.conversion(source, output)
    _table(context, kernel, np.clip(conversion(STORED), *STORED_LIMITS))


def _table(context: Context, kernel: k.Map | k.Convert, results: Integers) -> None:
    base, value = context.any_of(kernel.input)
    target = context.base(kernel.output)
    numbers = results[value.range.low + base + 128 : value.range.high + base + 129] - target
    output = context.fresh(value.shape, Range(int(numbers.min()), int(numbers.max())))
    context.values.setdefault(kernel.output, {})[target] = output
    context.layers.append(Table(kernel.node, output, value, numbers))


def _reshape(context: Context, kernel: k.Reshape) -> None:
    """Numbers pass in the order in which they are stored, so that nothing is to be done."""
    context.any_of(kernel.input)
    context.values[kernel.output] = dict(context.values[kernel.input])


def _pad(context: Context, kernel: k.Pad) -> None:
    value = context.read(kernel.node, kernel.input, context.zero(kernel.output))
    shape, output = context.shape(kernel.input), context.shape(kernel.output)
    value = context.shaped(kernel.node, value, shape)
    rest = (output[0] - shape[0] - kernel.top, output[1] - shape[1] - kernel.left)
    numbers = Range(min(0, value.range.low), max(0, value.range.high))
    result = context.passed(kernel.output, context.zero(kernel.output), numbers)
    context.layers.append(Zeros(kernel.node, result, value, (kernel.top, kernel.left, *rest)))


_RULES: dict[type, Callable[[Context, Any], None]] = {
    k.Conv2D: _convolution, k.DepthwiseConv2D: _convolution, k.MatMul: _product, k.Pool: _pool, k.Reduce: _reduce,
    k.Elementwise: _elementwise, k.Map: _map, k.Convert: _convert, k.Reshape: _reshape, k.Pad: _pad,
}  # fmt: skip
