"""Convolutions, matrix products and means: what the array computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import kernels as k
from edgekit.codegen import parameters as p
from edgekit.codegen.schedule.overlay import modes, vectors, windows
from edgekit.codegen.schedule.overlay.command import Factor
from edgekit.codegen.schedule.overlay.layout import READ_ANYHOW, WRITTEN_ANYHOW, Blocks, Layout, size_of
from edgekit.codegen.schedule.overlay.modes import Window
from edgekit.codegen.schedule.overlay.program import Step
from edgekit.codegen.schedule.overlay.rules.base import Context, Item, Layouts, Unsuitable, exact, sized, stored
from edgekit.codegen.schedule.overlay.rules.elements import addition


def convolution(c: Context, kernel: k.Conv2D | k.DepthwiseConv2D) -> list[Item]:
    """Convolutions of both kinds, and the addition after one."""
    depthwise = isinstance(kernel, k.DepthwiseConv2D)
    if isinstance(kernel, k.Conv2D) and kernel.groups != 1:
        raise Unsuitable("its channels are in groups")
    if isinstance(kernel, k.DepthwiseConv2D) and kernel.multiplier != 1:
        raise Unsuitable("it has a channel multiplier")
    x, y = (c.network.tensors[i].shape for i in (kernel.input, kernel.output))
    sized(c, kernel.input, x)
    c.sizes[kernel.output] = size_of(y)
    name = "depthwise" if depthwise else "conv"
    window = window_of(c, kernel.node, name, kernel.weights, kernel.bias, kernel.epilogue, kernel.input)
    window = replace(window, strides=kernel.strides, dilations=kernel.dilations, padding=kernel.padding[:2])
    if isinstance(kernel, k.Conv2D):
        window = _in_blocks(c, kernel, window)
    return _finished(c, kernel.epilogue, window, kernel.input, kernel.output)


def _in_blocks(c: Context, kernel: k.Conv2D, window: Window) -> Window:
    """A strided convolution of an input of few channels as one of stride 1 whose pixels are blocks, if that is faster.

    The host writes the input in blocks, so that a read brings more of it.
    """
    source, network = kernel.input, c.network
    rows, columns, channels = c.size(source)
    block = kernel.strides[0]
    private = source in network.inputs and source not in network.outputs and len(network.readers[source]) == 1
    plain = kernel.dilations == (1, 1) and kernel.strides == (block, block) and block > 1
    if not (private and plain and channels * block * block <= c.machine.ic):
        return window
    (top, left), (height, width) = window.padding, window.kernel
    tall, wide = -(-height // block), -(-width // block)
    weights = np.zeros((window.channels, tall * block, wide * block, channels), np.int64)
    weights[:, :height, :width] = window.weights
    weights = weights.reshape(-1, tall, block, wide, block, channels).transpose(0, 1, 3, 2, 4, 5)
    blocked = replace(
        window, weights=weights.reshape(window.channels, tall, wide, -1), strides=(1, 1), padding=(0, 0),
        products=window.weights.size,
    )  # fmt: skip
    size = (-(-(rows + top) // block), -(-(columns + left) // block), channels * block * block)
    made = WRITTEN_ANYHOW.layout(c.size(kernel.output))
    before, after = (
        modes.best_mode(c.machine, one, READ_ANYHOW.layout(of), made)[1]
        for one, of in ((window, c.size(source)), (blocked, size))
    )
    if after >= before:
        return window
    c.sizes[source] = size
    c.blocks[source] = Blocks(block, top, left, window.pad)
    return blocked


def dense(c: Context, kernel: k.MatMul) -> list[Item]:
    """A matrix product: a convolution over pixels, or over a whole feature map."""
    count, depth = kernel.weights.shape
    rows, columns, channels = c.size(kernel.input)
    weights = kernel.weights.reshape(count, 1, 1, depth)
    if channels != depth:
        if rows * columns * channels != depth:
            raise Unsuitable(f"its rows of {depth} are not pixels or all of its input")
        weights = kernel.weights.reshape(count, rows, columns, channels)
        rows = columns = 1
    c.sizes[kernel.output] = (rows, columns, count)
    window = window_of(c, kernel.node, "dense", weights, kernel.bias, kernel.epilogue, kernel.input)
    return _finished(c, kernel.epilogue, window, kernel.input, kernel.output)


def _finished(c: Context, end: k.Epilogue, window: Window, source: int, output: int) -> list[Item]:
    if end.residual is None:
        return [product(c, window, source, output)]
    assert end.requantization is not None and end.residual.other is not None and end.residual.output is not None
    own = c.temporary(c.size(output))
    residual, given = end.residual, end.requantization.output
    pair, scales = (own, residual.tensor), (given, end.residual.other)
    if not residual.first:
        pair, scales = pair[::-1], scales[::-1]
    return [
        product(c, window, source, own),
        addition(c, window.node, pair, scales, end.residual.output, stored(residual.limits), output),
    ]


def product(c: Context, window: Window, source: int, output: int) -> Item:
    """An item of the array."""

    def emit(layouts: Layouts) -> list[Step]:
        return windows.steps(c.machine, window, layouts(source), layouts(output))

    if c.machine.packed and int(window.weights.min(initial=0)) < -127:
        raise Unsuitable("it has the weight -128, which two products per multiplier cannot have")
    return Item(window.node, (source,), output, emit, window)


def window_of(
    c: Context, node: int, name: str, weights: NDArray[np.int8], bias: NDArray[np.int32] | None, end: k.Epilogue,
    source: int,
) -> Window:  # fmt: skip
    """A convolution of stride 1 without padding: weights, sums and requantization of an operator."""
    requantization = end.requantization
    if requantization is None or requantization.wide or c.network.tensors[source].dtype != "int8":
        raise Unsuitable("it does not compute in int8")
    wide = weights.astype(np.int64)
    channels = wide.shape[-1] if wide.ndim == 3 else wide.shape[0]
    axes = (0, 1) if wide.ndim == 3 else (1, 2, 3)
    offset = -requantization.input.zero_point * wide.sum(axes)
    whole = offset if bias is None else offset + bias.astype(np.int64)
    multipliers, shifts = requantization.fixed_point(channels)
    if requantization.rounds_once and _shifted_out(wide, axes, whole, shifts):
        raise Unsuitable("its scales make it so large that a sum takes more than 32 bits")
    factors = tuple(exact(int(m), int(s)) for m, s in zip(multipliers, shifts, strict=True))
    return Window(
        node, name, wide, whole, factors, (1, 1), (1, 1), (0, 0), requantization.input.zero_point,
        requantization.output.zero_point, stored(end.limits), requantization.rounds_once,
    )  # fmt: skip


def _shifted_out(
    weights: NDArray[np.int64], axes: tuple[int, ...], bias: NDArray[np.int64], shifts: NDArray[np.int64]
) -> bool:
    """True if a sum, shifted to the left before it is multiplied, may lose bits, which TFLite keeps in 64."""
    largest = 128 * np.abs(weights).sum(axes) + np.abs(bias)
    return bool((largest >> (31 - np.clip(shifts, 0, 31))).any())


def pool(c: Context, kernel: k.Pool) -> list[Item]:
    """The largest of windows by the vector unit; means by the array, windows that are cut at the edge by themselves."""
    x, y = (c.network.tensors[i].shape for i in (kernel.input, kernel.output))
    sized(c, kernel.input, x)
    size = size_of(y)
    c.sizes[kernel.output] = size
    limits = stored(kernel.limits)
    if c.network.tensors[kernel.input].dtype != "int8":
        raise Unsuitable("it does not compute in int8")

    def greatest(layouts: Layouts) -> list[Step]:
        return [
            vectors.largest(
                kernel.node, "max pool", layouts(kernel.input), layouts(kernel.output), kernel.window, kernel.strides,
                kernel.padding, limits,
            )
        ]  # fmt: skip

    if kernel.kind == "max":
        return [Item(kernel.node, (kernel.input,), kernel.output, greatest)]

    def mean(layouts: Layouts) -> list[Step]:
        return _means(c, kernel, layouts(kernel.input), layouts(kernel.output), limits)

    return [Item(kernel.node, (kernel.input,), kernel.output, mean)]


def _means(c: Context, kernel: k.Pool, source: Layout, output: Layout, limits: tuple[int, int]) -> list[Step]:
    (height, width), (sy, sx), (top, left) = kernel.window, kernel.strides, kernel.padding
    tall = _runs(output.size[0], sy, top, height, source.size[0])
    wide = _runs(output.size[1], sx, left, width, source.size[1])
    done: list[Step] = []
    channels = output.size[2]
    for y0, y1, taps_y, first_y in tall:
        for x0, x1, taps_x, first_x in wide:
            count = taps_y * taps_x
            bits = (count - 1).bit_length()
            factor = Factor.of(-(-(1 << (30 + bits)) // count), 1 - bits)
            weights = np.ones((taps_y, taps_x, channels), np.int64)
            window = Window(
                kernel.node, "mean pool", weights, np.zeros(channels, np.int64), (factor,) * channels, (sy, sx), (1, 1),
                (0, 0), 0, 0, limits, once=True, alike=True,
            )  # fmt: skip
            part = Layout((y1 - y0, x1 - x0, channels), output.at(y0, x0), output.pitch, output.row)
            shifted = Layout(source.size, source.at(first_y, first_x), source.pitch, source.row)
            done += windows.steps(c.machine, window, shifted, part)
    return done


def _runs(count: int, stride: int, before: int, window: int, size: int) -> list[tuple[int, int, int, int]]:
    """Output positions in a row whose windows have equally many taps inside: first, end, taps, the first's first tap.

    Windows that are cut have other strides between their first taps, so that they are runs of one.
    """
    runs: list[tuple[int, int, int, int]] = []
    for index in range(count):
        start = index * stride - before
        first, end = max(start, 0), min(start + window, size)
        taps = end - first
        whole = start >= 0 and taps == window
        if runs and whole and runs[-1][2] == window and runs[-1][3] + stride * (index - runs[-1][0]) == first:
            runs[-1] = (runs[-1][0], index + 1, taps, runs[-1][3])
        else:
            runs.append((index, index + 1, taps, first))
    return runs


def reduce(c: Context, kernel: k.Reduce) -> list[Item]:
    """The mean over all pixels of a feature map."""
    view = kernel.inputs[0]
    if not (kernel.mean and kernel.spatial and len(kernel.inputs) == 1):
        raise Unsuitable("it is not the mean over all pixels of a feature map")
    sized(c, view.tensor, c.network.tensors[view.tensor].shape)
    rows, columns, channels = c.size(view.tensor)
    if c.network.tensors[view.tensor].dtype != "int8":
        raise Unsuitable("it does not compute in int8")
    source, output = c.network.scale(view.tensor), c.network.scale(kernel.output)
    count = rows * columns
    q = p.mean_factor(source, output, count)
    factor = exact(q.multiplier, q.shift)
    c.sizes[kernel.output] = (1, 1, channels)
    window = Window(
        kernel.node, "mean", np.ones((rows, columns, channels), np.int64),
        np.full(channels, -count * source.zero_point, np.int64), (factor,) * channels, (1, 1), (1, 1), (0, 0), 0,
        output.zero_point, (-128, 127), alike=True,
    )  # fmt: skip
    return [product(c, window, view.tensor, kernel.output)]
