"""Network -> Program: one rule per kind of kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen import parameters as p
from edgekit.codegen.schedule.unrolled import exact, rounding
from edgekit.codegen.schedule.unrolled.exact import STORED_LIMITS
from edgekit.codegen.schedule.unrolled.rounding import Fit, NoRounding
from edgekit.codegen.schedule.unrolled.steps import (
    NOTHING,
    Integers,
    Largest,
    Linear,
    Pair,
    Pick,
    Program,
    Step,
    Table,
)
from edgekit.codegen.tables import STORED, table
from edgekit.codegen.views import View, row_major

NO_CIRCUIT = "there is no circuit for it"


class Unsuitable(Exception):
    """Why a kernel does not become steps."""


@dataclass
class Context:
    """A network, and the steps so far."""

    network: k.Network
    steps: list[Step] = field(default_factory=list)
    moves: dict[int, Pick] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=dict)
    """Elements of vectors that are no tensors of the network, by their numbers."""

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The tensor's."""
        return self.network.tensors[tensor].shape

    def size(self, tensor: int) -> int:
        """Elements of a tensor, or of a vector between two."""
        return self.made[tensor] if tensor in self.made else int(np.prod(self.shape(tensor), dtype=np.int64))

    def places(self, view: View) -> Integers:
        """The place in its tensor of each of a view's elements, in the view's shape."""
        layout = row_major(self.shape(view.tensor))
        places = np.full(view.shape, view.offset(layout), np.int64)
        for axis, (extent, stride) in enumerate(zip(view.shape, view.strides(layout), strict=True)):
            places += (np.arange(extent, dtype=np.int64) * stride).reshape(-1, *[1] * (len(view.shape) - axis - 1))
        return places


def missing(network: k.Network) -> list[tuple[int, str]]:
    """Operators that do not become logic, with the reason."""
    return _scheduled(network)[1]


def schedule(network: k.Network) -> Program:
    """Schedule a network that has no missing operators."""
    context, unsuitable = _scheduled(network)
    assert not unsuitable, unsuitable
    products = sum(
        int(np.count_nonzero(np.broadcast_to(step.weights != 0, (len(step.index), *step.weights.shape))))
        for step in context.steps
        if isinstance(step, Linear)
    )
    sizes = {step.output: context.size(step.output) for step in context.steps}
    sizes |= {index: context.size(index) for index in network.inputs}
    return Program(tuple(context.steps), network.inputs, network.outputs, sizes, products)


def _scheduled(network: k.Network) -> tuple[Context, list[tuple[int, str]]]:
    context = Context(network)
    unsuitable: dict[int, str] = {}
    for kernel in network.kernels:
        try:
            for tensor in (*k.reads(kernel), kernel.output):
                if network.tensors[tensor].dtype != "int8":
                    raise Unsuitable(f"it computes with {network.tensors[tensor].dtype}")
            rule = _RULES.get(type(kernel))
            if rule is None:
                raise Unsuitable(NO_CIRCUIT)
            rule(context, kernel)
        except Unsuitable as error:
            unsuitable.setdefault(kernel.node, str(error))
        except NoRounding:
            unsuitable.setdefault(kernel.node, "its rounding is not that of one multiplication")
    if network.variables:
        unsuitable.setdefault(0, "it keeps state from one run to the next")
    return context, sorted(unsuitable.items())


def _weighted(context: Context, kernel: Any) -> None:
    """Convolutions and matrix products, and the addition that follows."""
    end: k.Epilogue = kernel.epilogue
    assert end.requantization is not None
    index, weights = _windows(context, kernel)
    zero = context.network.scale(kernel.input).zero_point
    channels = weights.shape[0] * weights.shape[2]
    bias = np.zeros(channels, np.int64) if kernel.bias is None else kernel.bias.astype(np.int64)
    least, most = (bias + ends.reshape(-1) for ends in _ends(weights, zero))
    limits = (int(end.limits[0]), int(end.limits[1]))
    fits = exact.products(end.requantization, limits, least, most)
    rounded = rounding.joined(fits * len(index), limits, np.tile(bias, len(index)))
    result = kernel.output if end.residual is None else _fresh(context)
    context.made[result] = len(rounded.gain)
    context.steps.append(Linear(kernel.node, result, kernel.input, index, weights, zero, rounded))
    if (residual := end.residual) is not None:
        assert residual.other is not None and residual.output is not None
        operands = [(result, end.requantization.output), (residual.tensor, residual.other)]
        (one, first), (other, second) = operands if residual.first else operands[::-1]
        places = np.arange(context.size(kernel.output), dtype=np.int64)
        _add(context, kernel, (one, other), (places, places), (first, second, residual.output), residual.limits, 1)


def _fresh(context: Context) -> int:
    """The number of a vector that no tensor of the network has."""
    return len(context.network.tensors) + len(context.steps)


def _ends(weights: Integers, zero: int) -> tuple[Integers, Integers]:
    """The least and the largest sum of products, ``[groups, out]``."""
    first, last = (weights * (end - zero) for end in STORED_LIMITS)
    return np.minimum(first, last).sum(1), np.maximum(first, last).sum(1)


def _windows(context: Context, kernel: Any) -> tuple[Integers, Integers]:
    """Places and weights of a :class:`Linear`."""
    size = context.size(kernel.input)
    if isinstance(kernel, k.MatMul):
        weights = kernel.weights.T.astype(np.int64)[None]
        return np.arange(size, dtype=np.int64).reshape(-1, 1, weights.shape[1]), weights
    _, height, width, count = context.shape(kernel.input)
    _, rows, columns, out = context.shape(kernel.output)
    depthwise = isinstance(kernel, k.DepthwiseConv2D)
    kh, kw = kernel.weights.shape[:2] if depthwise else kernel.weights.shape[1:3]
    window = _grid((rows, columns), (kh, kw), kernel.strides, kernel.dilations, kernel.padding[:2], (height, width))
    if depthwise:
        groups, per_group = count, 1
        weights = kernel.weights.reshape(kh * kw, groups, kernel.multiplier).transpose(1, 0, 2)
    else:
        groups, per_group = kernel.groups, count // kernel.groups
        weights = kernel.weights.reshape(groups, out // groups, kh * kw * per_group).transpose(0, 2, 1)
    channel = np.arange(groups * per_group).reshape(groups, 1, per_group)
    places = window[:, None, :, None] * count + channel
    places = np.where(window[:, None, :, None] == NOTHING, NOTHING, places)
    return places.reshape(rows * columns, groups, -1), np.ascontiguousarray(weights, np.int64)


def _grid(
    output: tuple[int, int], window: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int],
    padding: tuple[int, ...], size: tuple[int, int],
) -> Integers:  # fmt: skip
    """The pixels of each output pixel's window, ``[pixels, window]``, or :data:`NOTHING`."""
    axes = []
    for axis in range(2):
        start = np.arange(output[axis]) * strides[axis] - padding[axis]
        place = start[:, None] + np.arange(window[axis]) * dilations[axis]
        axes.append(np.where((place >= 0) & (place < size[axis]), place, NOTHING))
    y, x = axes[0][:, None, :, None], axes[1][None, :, None, :]
    pixels = np.where((y == NOTHING) | (x == NOTHING), NOTHING, y * size[1] + x)
    return pixels.reshape(output[0] * output[1], -1).astype(np.int64)


def _pool(context: Context, kernel: k.Pool) -> None:
    _, height, width, count = context.shape(kernel.input)
    output = context.shape(kernel.output)[1:3]
    grid = _grid(
        (output[0], output[1]), kernel.window, kernel.strides, (1, 1), kernel.padding, (height, width)
    )  # fmt: skip
    places = grid[:, None, :] * count + np.arange(count)[None, :, None]
    places = np.where(grid[:, None, :] == NOTHING, NOTHING, places)
    low, high = (int(limit) for limit in kernel.limits)
    if kernel.kind == "max":
        joined = places.reshape(len(grid) * count, -1)
        context.steps.append(Largest(kernel.node, kernel.output, (kernel.input,), joined, low, high))
        return
    sizes = (grid != NOTHING).sum(1)
    made = {int(n): rounding.of_mean(int(n), (low, high)) for n in np.unique(sizes)}
    rounded = rounding.joined([made[int(n)] for n in sizes for _ in range(count)], (low, high))
    weights = np.ones((count, grid.shape[1], 1), np.int64)
    context.steps.append(Linear(kernel.node, kernel.output, kernel.input, places, weights, 0, rounded))


def _reduce(context: Context, kernel: k.Reduce) -> None:
    if len(kernel.inputs) != 1:
        raise Unsuitable("it multiplies two values that both change")
    view = kernel.inputs[0]
    places = context.places(view).reshape(int(np.prod(view.shape[: kernel.kept], dtype=np.int64)), -1)
    target = context.places(kernel.result).reshape(-1)
    if not np.array_equal(target, np.arange(context.size(kernel.output))):
        raise Unsuitable("its results are spread over a tensor")
    if kernel.kind in ("max", "min"):
        limits = STORED_LIMITS
        context.steps.append(
            Largest(kernel.node, kernel.output, (view.tensor,), places, *limits, smallest=kernel.kind == "min")
        )
        return
    if not (kernel.kind == "sum" and kernel.mean):
        raise Unsuitable(f"there is no circuit for a {kernel.kind}")
    source, output = context.network.scale(view.tensor), context.network.scale(kernel.output)
    count = places.shape[1]
    fits = [exact.mean(source, output, count)]
    rounded = rounding.joined(fits * len(places), STORED_LIMITS)
    weights = np.ones((1, count, 1), np.int64)
    step = Linear(kernel.node, kernel.output, view.tensor, places[:, None], weights, source.zero_point, rounded)
    context.steps.append(step)


def _elementwise(context: Context, kernel: k.Elementwise) -> None:
    if len(kernel.inputs) != 2 or kernel.function not in ("add", "sub", "maximum", "minimum"):
        raise Unsuitable("it multiplies two values that both change" if kernel.function == "mul" else NO_CIRCUIT)
    if not np.array_equal(context.places(kernel.result).reshape(-1), np.arange(context.size(kernel.output))):
        raise Unsuitable("its results are spread over a tensor")
    tensors = (kernel.inputs[0].tensor, kernel.inputs[1].tensor)
    places = [context.places(view).reshape(-1) for view in kernel.inputs]
    for tensor in tensors:
        _constant(context, tensor)
    limits = kernel.limits or STORED_LIMITS
    if kernel.function in ("maximum", "minimum"):
        joined = np.stack([places[0], places[1] + context.size(tensors[0])], 1)
        low, high = (int(limit) for limit in limits)
        step = Largest(
            kernel.node, kernel.output, tensors, joined, low, high, smallest=kernel.function == "minimum"
        )  # fmt: skip
        context.steps.append(step)
        return
    scale = context.network.scale
    scales = (scale(tensors[0]), scale(tensors[1]), scale(kernel.output))
    sign = 1 if kernel.function == "add" else -1
    _add(context, kernel, tensors, (places[0], places[1]), scales, limits, sign)


def _add(
    context: Context, kernel: k.Kernel, tensors: tuple[int, int], places: tuple[Integers, Integers],
    scales: tuple[k.Scale, k.Scale, k.Scale], limits: k.Limits, sign: int,
) -> None:  # fmt: skip
    """ADD and SUB (reference/integer_ops/add.h)."""
    ends = (int(limits[0]), int(limits[1]))
    added = exact.Sum(scales, sign, ends)
    try:
        fit = added.fit()
    except NoRounding:  # in two steps, as the reference
        wide = [_widened(context, kernel, tensor, added.operand(n)) for n, tensor in enumerate(tensors)]
        tensors, fit = (wide[0], wide[1]), added.total()
    context.steps.append(Pair(kernel.node, kernel.output, *tensors, places, fit.gains[1], rounding.joined([fit], ends)))


def _widened(context: Context, kernel: k.Kernel, tensor: int, fit: Fit) -> int:
    """A vector of an operand's elements at the common scale."""
    places = np.arange(context.size(tensor), dtype=np.int64)
    result = _fresh(context)
    context.made[result] = len(places)
    weights = np.ones((1, 1, 1), np.int64)
    rounded = rounding.joined([fit] * len(places), exact.WORD_LIMITS)
    context.steps.append(Linear(kernel.node, result, tensor, places[:, None, None], weights, 0, rounded))
    return result


def _constant(context: Context, tensor: int) -> None:
    """Make a constant operand a vector, once."""
    data = context.network.tensors[tensor]
    if data.data is None or any(step.output == tensor for step in context.steps):
        return
    values = data.array().reshape(-1).astype(np.int64)
    context.steps.append(Pick(0, tensor, (), np.full(len(values), NOTHING, np.int64), values))


def _map(context: Context, kernel: k.Map) -> None:
    scale = context.network.scale
    made = table(kernel.function, scale(kernel.input), scale(kernel.output), kernel.options)
    context.steps.append(Table(kernel.node, kernel.output, kernel.input, made.astype(np.int64)))


def _convert(context: Context, kernel: k.Convert) -> None:
    source, output = context.network.scale(kernel.input), context.network.scale(kernel.output)
    made = p.convert_parameters(source, output)
    values = np.clip(exact.times(STORED - made.zero, made.factor) + made.output_zero, *STORED_LIMITS)
    context.steps.append(Table(kernel.node, kernel.output, kernel.input, values))


def _reshape(context: Context, kernel: k.Reshape) -> None:
    places = np.arange(context.size(kernel.output), dtype=np.int64)
    context.steps.append(Pick(kernel.node, kernel.output, (kernel.input,), places, np.zeros_like(places)))


def _pad(context: Context, kernel: k.Pad) -> None:
    zero = context.network.scale(kernel.output).zero_point
    _, height, width, count = context.shape(kernel.input)
    places = np.full(context.shape(kernel.output)[1:], NOTHING, np.int64)
    inner = np.arange(height * width * count).reshape(height, width, count)
    places[kernel.top : kernel.top + height, kernel.left : kernel.left + width] = inner
    flat = places.reshape(-1)
    context.steps.append(Pick(kernel.node, kernel.output, (kernel.input,), flat, np.full_like(flat, zero)))


def _move(context: Context, kernel: k.Move) -> None:
    """Copies; what several of them write to one tensor is one step."""
    _constant(context, kernel.source.tensor)
    before = context.moves.get(kernel.output)
    size = context.size(kernel.output)
    inputs = before.inputs if before else ()
    index = before.index.copy() if before else np.full(size, NOTHING, np.int64)
    base = sum(context.size(tensor) for tensor in inputs)
    target = context.places(kernel.result).reshape(-1)
    index[target] = base + context.places(kernel.source).reshape(-1)
    step = Pick(kernel.node, kernel.output, (*inputs, kernel.source.tensor), index, np.zeros(size, np.int64))
    context.moves[kernel.output] = step
    if before:
        context.steps.remove(before)
    context.steps.append(step)


def _resize(context: Context, kernel: k.Resize) -> None:
    if kernel.method != "nearest":
        raise Unsuitable("only nearest neighbours have a circuit")
    _, _, width, count = context.shape(kernel.input)
    y, x = kernel.rows[0].astype(np.int64), kernel.columns[0].astype(np.int64)
    places = ((y[:, None] * width + x)[..., None] * count + np.arange(count)).reshape(-1)
    context.steps.append(Pick(kernel.node, kernel.output, (kernel.input,), places, np.zeros_like(places)))


_RULES: dict[type, Callable[[Context, Any], None]] = {
    k.Conv2D: _weighted, k.DepthwiseConv2D: _weighted, k.MatMul: _weighted, k.Pool: _pool, k.Reduce: _reduce,
    k.Elementwise: _elementwise, k.Map: _map, k.Convert: _convert, k.Reshape: _reshape, k.Pad: _pad, k.Move: _move,
    k.Resize: _resize,
}  # fmt: skip
