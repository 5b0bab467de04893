"""Convolutions on the overlay: how windows are read, tiles, and what they cost.

A *block* is what the array's output lanes compute at once: ``oc`` channels of one pixel, or four channels of several
neighbouring pixels. A *slot* is one such group of pixels in the accumulators, a *pass* all slots of a tile with the
same weights. A read brings ``banks`` words: either channels of one pixel, or one word of each of ``banks`` neighbouring
pixels, so that a pass covers several taps (that is how depthwise convolutions and those of few channels keep more
multipliers busy).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.fixed_point import Integers
from edgekit.codegen.schedule.overlay import tiles
from edgekit.codegen.schedule.overlay.command import Command, Factor, Loop, Op
from edgekit.codegen.schedule.overlay.layout import Layout
from edgekit.codegen.schedule.overlay.machine import Machine
from edgekit.codegen.schedule.overlay.program import Step
from edgekit.codegen.schedule.overlay.tiles import PARAMETER_BYTES, Shape


@dataclass(frozen=True, eq=False)
class Window:
    """A convolution as the array computes it.

    :param weights: ``[out, kernel height, kernel width, in]``, or of a depthwise one ``[kernel height, kernel width,
        channels]``. :param bias: one per output channel, the input's zero point accounted for.
    :param padding: top, left. :param pad: what lies outside.
    :param alike: the weights of all taps are the same, and are loaded once per block.
    :param products: of an output pixel, where weights were added; 0: as many as weights.
    """

    node: int
    name: str
    weights: NDArray[np.int64]
    bias: Integers
    factors: tuple[Factor, ...]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: tuple[int, int]
    pad: int
    zero: int
    limits: tuple[int, int]
    once: bool = False
    alike: bool = False
    products: int = 0

    @property
    def depthwise(self) -> bool:
        """True if every output channel reads one input channel."""
        return self.weights.ndim == 3

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width."""
        first = 0 if self.depthwise else 1
        return self.weights.shape[first], self.weights.shape[first + 1]

    @property
    def channels(self) -> int:
        """Of the output."""
        return int(self.weights.shape[2 if self.depthwise else 0])


@dataclass(frozen=True)
class Mode:
    """How windows are read.

    :param axis: along which neighbouring pixels are read; None: channels of one pixel. :param pixels: of a slot.
    """

    axis: Literal["x", "y"] | None = None
    pixels: int = 1


def modes(machine: Machine, window: Window) -> Iterator[Mode]:
    """All that the array can do."""
    yield Mode()
    if machine.banks == 1 or window.alike:
        return
    groups = range(1, machine.oc // 4 + 1) if window.depthwise else {1, machine.oc // 4}
    for axis in ("x", "y"):
        for pixels in groups:
            yield Mode(axis, pixels)


def usable(mode: Mode, machine: Machine, source: Layout, output: Layout) -> bool:
    """True if neighbouring pixels lie in different banks, and what is written beyond a row does no harm."""
    if mode.axis is None:
        return True
    distance = source.pitch if mode.axis == "x" else source.row
    whole = output.size[1] <= machine.acc_depth
    return distance % 2 == 1 and (whole or mode.axis == "y")


def in_slots(window: Window, output: Layout) -> bool:
    """True if blocks of channels can be slots: of a mean over a whole feature map, where all channels are alike."""
    if not window.alike or not window.depthwise or output.size[:2] != (1, 1):
        return False
    return len(set(window.factors)) == 1 and len(set(map(int, window.bias))) == 1


def shape_of(machine: Machine, window: Window, source: Layout, output: Layout, mode: Mode) -> Shape:
    """The loops of a window in a mode."""
    rows, columns, channels = output.size
    height, width = window.kernel
    if in_slots(window, output):
        return Shape(1, (1, width, height), (1, -(-channels // machine.oc)), machine.oc, machine.oc // 4, True)
    if mode.axis is None:
        depth = 1 if window.depthwise else -(-source.size[2] // machine.ic)
        return Shape(
            -(-channels // machine.oc), (depth, width, height), (rows, columns), machine.oc, machine.oc // 4,
            window.alike, machine.banks if window.depthwise and machine.banks > 1 else 0,
        )  # fmt: skip
    along, other = (1, 0) if mode.axis == "x" else (0, 1)
    per_block = 4 if window.depthwise or mode.pixels > 1 else machine.oc
    reach = (mode.pixels - 1) * window.strides[along] + (window.kernel[along] - 1) * window.dilations[along] + 1
    depth = 1 if window.depthwise else -(-source.size[2] // 4)
    reads = (depth, -(-reach // machine.banks), window.kernel[other])
    slots = (rows, -(-columns // mode.pixels)) if along else (-(-rows // mode.pixels), columns)
    rows = machine.banks if window.depthwise else 0
    return Shape(-(-channels // per_block), reads, slots, per_block, mode.pixels * per_block // 4, rows=rows)


def best_mode(machine: Machine, window: Window, source: Layout, output: Layout) -> tuple[Mode, int]:
    """The mode that takes the fewest cycles, and the cycles."""
    found = [
        (tiles.cycles(machine, shape_of(machine, window, source, output, mode)), n, mode)
        for n, mode in enumerate(modes(machine, window))
        if usable(mode, machine, source, output)
    ]
    cycles, _, mode = min(found, key=lambda one: one[:2])
    return mode, cycles


def slack(machine: Machine, window: Window, mode: Mode, output: Layout) -> int:
    """Words beyond the output that are overwritten."""
    if in_slots(window, output):
        return -output.channel_words % (machine.oc // 4)
    if mode.pixels == 1:
        return 0
    return (mode.pixels - 1) * (output.pitch if mode.axis == "x" else output.row)


def steps(machine: Machine, window: Window, source: Layout, output: Layout) -> list[Step]:
    """The commands of a convolution, one per tile."""
    mode, _ = best_mode(machine, window, source, output)
    shape = shape_of(machine, window, source, output, mode)
    division = tiles.divided(machine, shape)
    width = division.width
    data = _data(machine, window, shape, mode)
    along = mode.axis == "x"
    group = (1, mode.pixels) if along or mode.axis is None else (mode.pixels, 1)  # rows, columns of a slot
    (sy, sx), (dy, dx) = window.strides, window.dilations
    if mode.axis is None:
        outer = [Loop(shape.reads[1], dx * source.pitch, dx, 0), Loop(shape.reads[2], dy * source.row, 0, dy)]
        spread, inner = (1, 0, 0), machine.banks
    elif along:
        far = machine.banks * source.pitch
        outer = [Loop(shape.reads[1], far, machine.banks, 0), Loop(shape.reads[2], dy * source.row, 0, dy)]
        spread, inner = (source.pitch, 1, 0), 1
    else:
        far = machine.banks * source.row
        outer = [Loop(shape.reads[1], far, 0, machine.banks), Loop(shape.reads[2], dx * source.pitch, dx, 0)]
        spread, inner = (source.row, 0, 1), 1
    depth = shape.per_block // 4 if window.depthwise else 0
    along_row = (Loop(1, group[1] * sx * source.pitch, group[1] * sx), group[1] * output.pitch)  # reads, writes
    if in_slots(window, output):
        along_row = (Loop(1, depth), depth)
    word_step = 1 if mode.pixels == 1 else (output.pitch if along else output.row)
    last_words = -(-(window.channels - (shape.blocks - 1) * shape.per_block) // 4) * mode.pixels
    last_words = min(last_words, shape.words)
    done: list[Step] = []
    rows, columns = shape.slots
    macs = output.size[0] * output.size[1] * (window.products or window.weights.size)
    for number, (top, tall) in enumerate(zip(accumulate(division.heights, initial=0), division.heights, strict=False)):
        for left in range(0, columns, width):
            wide = min(width, columns - left)
            y, x = top * group[0] * sy - window.padding[0], left * group[1] * sx - window.padding[1]
            loops = (
                replace(along_row[0], count=wide),
                Loop(tall, group[0] * sy * source.row, 0, group[0] * sy),
                Loop(shape.reads[0], inner),
                *outer,
                Loop(shape.blocks, depth),
            )
            command = Command(
                Op.CONV, loops, source.at(y, x), (x, y), (source.size[1], source.size[0]), spread, window.pad,
                output.at(top * group[0], left * group[1]),
                (word_step, along_row[1], group[0] * output.row, shape.per_block // 4),
                (shape.words, last_words), window.zero, window.limits,
                wait=not done, hold=window.alike, once=window.once, diagonal=shape.rows > 0,
            )  # fmt: skip
            share = macs * tall * wide // (rows * columns)
            before = division.cycles[number - 1] if number else 0
            expected = (division.cycles[number] - before) * wide // columns
            done.append(Step(window.node, window.name, command, data, share, expected))
    return done


def _data(machine: Machine, window: Window, shape: Shape, mode: Mode) -> bytes:
    """Parameters and weights of every block, in the order of their use."""
    parts: list[bytes] = []
    packed = _packed(machine, window, shape, mode)  # [block, pass, row, lane]
    lanes = np.arange(machine.oc) % shape.per_block if mode.axis else np.arange(machine.oc)
    used = shape.words * 4
    for block in range(shape.blocks):
        channels = block * shape.per_block + lanes
        known = (channels < window.channels) & (np.arange(machine.oc) < used)
        parameters = np.zeros((PARAMETER_BYTES, machine.oc), np.uint8)
        for lane in np.flatnonzero(known):
            channel = int(channels[lane])
            factor = window.factors[channel]
            bias = int(window.bias[channel]) & 0xFFFFFFFF
            row = bias.to_bytes(4, "little") + factor.multiplier.to_bytes(4, "little")
            parameters[:, lane] = [*row, factor.right, factor.left]
        weights = packed[block].astype(np.int8)
        parts += [parameters.tobytes(), (_diagonals(weights) if shape.rows else weights).tobytes()]
    return b"".join(parts)


def _diagonals(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Of weights ``[pass, row, lane]`` those of rows ``row % 4 == lane % 4``: ``[pass, row // 4, lane]``."""
    passes, rows, lanes = weights.shape
    lane = np.arange(lanes)
    kept: NDArray[np.int8] = weights.reshape(passes, rows // 4, 4, lanes)[:, :, lane % 4, lane]
    return kept


def _packed(machine: Machine, window: Window, shape: Shape, mode: Mode) -> NDArray[np.int64]:
    """Weights as the array takes them, ``[blocks, passes, ic, oc]``."""
    ic, oc, (deep, near, far) = machine.ic, machine.oc, shape.reads
    weights = window.weights
    if window.alike:
        weights = weights[:1, :1] if window.depthwise else weights[:, :1, :1]
        near = far = 1
    result = np.zeros((shape.blocks, far, near, deep, ic, oc), np.int64)
    if mode.axis is None:
        if window.depthwise:
            for channel in range(min(window.channels, shape.blocks * oc)):
                block, lane = divmod(channel, oc)
                result[block, :, :, 0, lane, lane] = weights[:, :, channel]
        else:
            padded = np.zeros((shape.blocks * oc, far, near, deep * ic), np.int64)
            padded[: weights.shape[0], :, :, : weights.shape[3]] = weights
            result[:] = padded.reshape(shape.blocks, oc, far, near, deep, ic).transpose(0, 2, 3, 4, 5, 1)
        return result.reshape(shape.blocks, -1, ic, oc)
    along = 1 if mode.axis == "x" else 0
    if along == 0:
        weights = weights.swapaxes(0, 1) if window.depthwise else weights.swapaxes(1, 2)
    stride, dilation = window.strides[along], window.dilations[along]
    for pixel in range(mode.pixels):
        first = pixel * shape.per_block
        for tap in range(window.kernel[along]):
            read, position = divmod(pixel * stride + tap * dilation, machine.banks)
            for channel in range(window.channels):
                block, lane = divmod(channel, shape.per_block)
                if window.depthwise:
                    result[block, :, read, 0, 4 * position + lane, first + lane] = weights[:, tap, channel]
                    continue
                for word in range(deep):
                    some = weights[channel, :, tap, 4 * word : 4 * word + 4]
                    rows = slice(4 * position, 4 * position + some.shape[-1])
                    result[block, :, read, word, rows, first + lane] = some
    return result.reshape(shape.blocks, -1, ic, oc)
