"""The schedule for GPUs: one work-item computes a tile of pixels by a few vectors of channels, in float32.

A convolution compares coordinates where it reads beyond its input: on a GPU that costs less than a halo, which needs
launches to fill it and to copy feature maps into it. Tiles are as large as loads want them, and as small as it takes to
give every multiplier a work-item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import kernels, loops
from edgekit.codegen.program import Program
from edgekit.codegen.schedule import packing, shared
from edgekit.codegen.schedule.base import FeatureMap, Scheduler
from edgekit.codegen.schedule.machine import Machine
from edgekit.codegen.schedule.tiles import Tile, tile

THREAD = Machine(lanes=4, registers=11)
"""Vectors of four, and at most eight of them as accumulators: 32 of the 64 registers that a thread of Mali has at full
occupancy."""
WAVES = 2
"""Work-items wanted for each multiplier, so that some compute while others wait for memory."""
DEPTHWISE_PIXELS = (4, 2, 1)


def schedule(network: kernels.Network, multipliers: int) -> Program:
    """Schedule a float network.

    :param multipliers: of the GPU; tiles are cut so that ``WAVES`` times as many work-items run, where there is so much
        work.
    """
    return GpuScheduler(network, multipliers).run()


class GpuScheduler(Scheduler):
    """See :func:`schedule`."""

    def __init__(self, network: kernels.Network, multipliers: int) -> None:
        super().__init__(network, RULES)
        self.work_items = WAVES * multipliers


def smaller(given: Tile, shape: tuple[int, int, int], wanted: int) -> Tile:
    """Pixels, channels and lanes of a tile of which ``shape`` (height, width, channels) holds ``wanted``, or nearly.

    Of the two sides the longer is cut, to its next smaller divisor; channels stay multiples of the lanes.
    """
    (pixels, channels, lanes), (height, width, count) = given, shape
    while height * (width // pixels) * (count // channels) < wanted and (pixels > 1 or channels > lanes):
        if pixels > channels // lanes:
            pixels = max(n for n in range(1, pixels) if width % n == 0)
        else:
            channels = max(n for n in range(lanes, channels, lanes) if count % n == 0)
    return pixels, channels, lanes


def conv2d(s: GpuScheduler, kernel: kernels.Conv2D) -> None:
    """Schedule a convolution."""
    given = s.maps[kernel.input]
    residual = s.maps[kernel.epilogue.residual.tensor] if kernel.epilogue.residual else None
    out = s.make(kernel.output)
    top, left, _, _ = kernel.padding
    steps = (*kernel.strides, *kernel.dilations)
    _product(s, kernel, kernel.weights, (given, residual, out), (-top, -left), steps)


def matmul(s: GpuScheduler, kernel: kernels.MatMul) -> None:
    """A convolution of one pixel by one; rows are pixels."""
    made, depth = kernel.weights.shape
    given = s.rows_of(kernel.input, kernel.node, depth)
    residual = s.maps[kernel.epilogue.residual.tensor] if kernel.epilogue.residual else None
    placed = s.make(kernel.output)
    size = (1, given.size[1], made)
    out = FeatureMap(placed.buffer, placed.dtype, size, 0, 0, size)
    weights = kernel.weights.reshape(made, 1, 1, depth)
    _product(s, kernel, weights, (given, residual, out), (0, 0), (1, 1, 1, 1))


def _product(
    s: GpuScheduler, kernel: kernels.Conv2D | kernels.MatMul, weights: NDArray[Any],
    maps: tuple[FeatureMap, FeatureMap | None, FeatureMap], corner: tuple[int, int], steps: tuple[int, int, int, int],
) -> None:  # fmt: skip
    """:param weights: ``[out, kh, kw, in]``. :param maps: input, residual, output."""
    given, residual, out = maps
    made, kh, kw, depth = weights.shape
    height, width = out.size[:2]
    if (kh, kw) == (1, 1) and steps[:2] == (1, 1) and height > 1:  # a plain matrix product: pixels are rows
        given, out = given.as_rows(), out.as_rows()
        residual = residual.as_rows() if residual else None
        height, width = 1, height * width
    shape = (height, width, made)
    chosen = smaller(tile(width, made, THREAD), shape, s.work_items)
    inputs = [given, residual] if residual else [given]
    nest = loops.Conv(
        out.dtype, tuple(p.corner for p in inputs), out.corner, shape, (kh, kw, depth), steps, corner, chosen,
        _end(kernel.epilogue), residual is not None,
    )  # fmt: skip
    bias = _bias(kernel.bias, made)
    s.emit(nest, kernel.node, inputs, out, [packing.blocks(weights, chosen[1]), bias])


def depthwise(s: GpuScheduler, kernel: kernels.DepthwiseConv2D) -> None:
    """Schedule a depthwise convolution."""
    given, weights = s.maps[kernel.input], kernel.weights
    out = s.make(kernel.output)
    _, width, count = out.size
    pixels = next(n for n in DEPTHWISE_PIXELS if width % n == 0)
    lanes = next(n for n in (4, 2, 1) if count % n == 0)
    top, left, _, _ = kernel.padding
    nest = loops.Depthwise(
        out.dtype, (given.corner,), out.corner, out.size, (weights.shape[0], weights.shape[1]),
        (*kernel.strides, *kernel.dilations), (-top, -left), smaller((pixels, lanes, lanes), out.size, s.work_items),
        _end(kernel.epilogue),
    )  # fmt: skip
    s.emit(nest, kernel.node, [given], out, [weights, _bias(kernel.bias, count)])


def _end(epilogue: kernels.Epilogue) -> loops.FloatEnd:
    return loops.FloatEnd(*(epilogue.residual.limits if epilogue.residual else epilogue.limits))


def _bias(bias: NDArray[Any] | None, count: int) -> NDArray[np.float32]:
    return np.zeros(count, np.float32) if bias is None else bias.astype(np.float32)


RULES: dict[type[kernels.Kernel], Callable[..., None]] = {
    **shared.RULES, kernels.Conv2D: conv2d, kernels.MatMul: matmul, kernels.DepthwiseConv2D: depthwise,
}  # fmt: skip
