"""Convolutions on the overlay: commands of tiles, their weights and parameters in the order of their use."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.overlay import tiles
from edgekit.codegen.schedule.overlay.command import Command, Loop, Op
from edgekit.codegen.schedule.overlay.layout import Layout
from edgekit.codegen.schedule.overlay.machine import Machine
from edgekit.codegen.schedule.overlay.modes import Mode, Window, best_mode, in_slots, shape_of, word_steps
from edgekit.codegen.schedule.overlay.program import Step
from edgekit.codegen.schedule.overlay.tiles import PARAMETER_BYTES, Shape


def steps(machine: Machine, window: Window, source: Layout, output: Layout) -> list[Step]:
    """The commands of a convolution, one per tile."""
    mode, _ = best_mode(machine, window, source, output)
    shape = shape_of(machine, window, source, output, mode)
    division = tiles.divided(machine, shape)
    width = division.width
    data = _data(machine, window, shape, mode)
    along = mode.axis == "x"
    group = mode.group
    (sy, sx), (dy, dx) = window.strides, window.dilations if mode.across == 1 else (1, 1)
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
    second, third = word_steps(mode, output)
    last_words = -(-(window.channels - (shape.blocks - 1) * shape.per_block) // 4) * mode.pixels * mode.across
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
                (second, along_row[1], group[0] * output.row, shape.per_block // 4),
                (shape.words, last_words), window.zero, window.limits,
                wait=not done, hold=window.alike, once=window.once, diagonal=shape.rows > 0,
                pair_step=third - second, twos=shape.twos,
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
    along, across = (1, 0) if mode.axis == "x" else (0, 1)
    if along == 0:
        weights = weights.swapaxes(0, 1) if window.depthwise else weights.swapaxes(1, 2)
    stride, dilation = window.strides[along], window.dilations[along]
    taps = np.arange(window.kernel[across])
    for beside, pixel in np.ndindex(mode.across, mode.pixels):
        first = (beside * mode.pixels + pixel) * shape.per_block
        passes = taps if mode.across == 1 else beside * window.strides[across] + taps * window.dilations[across]
        for tap in range(window.kernel[along]):
            read, position = divmod(pixel * stride + tap * dilation, machine.banks)
            for channel in range(window.channels):
                block, lane = divmod(channel, shape.per_block)
                if window.depthwise:
                    result[block, passes, read, 0, 4 * position + lane, first + lane] = weights[:, tap, channel]
                    continue
                for word in range(deep):
                    some = weights[channel, :, tap, 4 * word : 4 * word + 4]
                    rows = slice(4 * position, 4 * position + some.shape[-1])
                    result[block, passes, read, word, rows, first + lane] = some
    return result.reshape(shape.blocks, -1, ic, oc)
