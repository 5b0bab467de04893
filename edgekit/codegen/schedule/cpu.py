"""The schedule for processors with vectors.

A feature map that a padded convolution reads is stored with its halo, into which its producer writes, so that no kernel
pads. Bias, activation and a residual addition are part of the convolution's loops. int8 stays integer arithmetic with
one scale per channel; where the dot product takes unsigned by signed bytes (x86), activations are kept with 128 added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import kernels, loops
from edgekit.codegen.program import Program
from edgekit.codegen.schedule import packing, shared
from edgekit.codegen.schedule.base import FeatureMap, Scheduler, size_of
from edgekit.codegen.schedule.machine import Machine
from edgekit.codegen.schedule.tiles import (
    CACHE,
    DOT_LANES,
    chosen_tile,
    divisors,
    held_registers,
    tile,
    tiles,
    window_tiles,
)
from edgekit.codegen.schedule.tuned import Choices, conv_workload, depthwise_workload, workload


def schedule(network: kernels.Network, machine: Machine, choices: Choices = MappingProxyType({})) -> Program:
    """Schedule a network.

    :param choices: what tuning found, in place of the rules' tiles and schedules.
    """
    program = CpuScheduler(network, machine, choices).run()
    for place, call in enumerate(program.calls if choices else ()):
        trace = choices.get(workload(call.loops), {}).get("trace")
        program.calls[place] = replace(call, trace=trace if isinstance(trace, str) else "")
    return program


class CpuScheduler(Scheduler):
    """See :func:`schedule`."""

    def __init__(self, network: kernels.Network, machine: Machine, choices: Choices) -> None:
        super().__init__(network, RULES)
        self.machine, self.shifted = machine, machine.shifted
        self._choices = choices

    def choice(self, name: str) -> Mapping[str, Any]:
        """What tuning chose for a workload; empty where the rules decide."""
        return self._choices.get(name, {})

    def halo(self, index: int) -> kernels.Padding:
        """The most that any reader's padding needs."""
        need = [0, 0, 0, 0]
        for reader in self.network.readers.get(index, ()):
            if isinstance(reader, kernels.Conv2D | kernels.DepthwiseConv2D) and reader.input == index:
                need = [max(a, b) for a, b in zip(need, reader.padding, strict=True)]
        return need[0], need[1], need[2], need[3]

    def input_channels(self, index: int) -> int | None:
        """A multiple of four where dot products read four bytes at once."""
        readers = {type(reader) for reader in self.network.readers.get(index, ())}
        if self.machine.dot and self.is_int8(index) and readers == {kernels.Conv2D}:
            return -(-size_of(self.tensor(index).shape)[2] // 4) * 4
        return None

    def whole_vectors(self, count: int, *, dots: bool) -> int:
        """Channels to compute: more than there are where whole vectors take fewer steps."""
        lanes = tile(1, count, self.machine, dots=dots)[2]
        more = -(-count // self.machine.lanes) * self.machine.lanes
        return more if more // self.machine.lanes < count // lanes else count


def conv2d(s: CpuScheduler, kernel: kernels.Conv2D) -> None:
    """Schedule a convolution."""
    top, left, _, _ = kernel.padding
    given = s.maps[kernel.input]
    residual = s.maps[kernel.epilogue.residual.tensor] if kernel.epilogue.residual else None
    count = _channels(s, kernel.weights, given, residual)
    out = s.make(kernel.output, count)
    steps = (*kernel.strides, *kernel.dilations)
    _product(s, kernel, kernel.weights, (given, residual, out), (top, left), steps)


def matmul(s: CpuScheduler, kernel: kernels.MatMul) -> None:
    """A convolution of one pixel by one; rows are pixels."""
    made, depth = kernel.weights.shape
    given = s.rows_of(kernel.input, kernel.node, depth)
    residual = s.maps[kernel.epilogue.residual.tensor] if kernel.epilogue.residual else None
    weights = kernel.weights.reshape(made, 1, 1, depth)
    count = _channels(s, weights, given, residual)
    placed = s.make(kernel.output, count)
    out = FeatureMap(placed.buffer, placed.dtype, (1, given.size[1], count), 0, 0, (1, given.size[1], made))
    _product(s, kernel, weights, (given, residual, out), (0, 0), (1, 1, 1, 1))


def _channels(s: CpuScheduler, weights: NDArray[Any], given: FeatureMap, residual: FeatureMap | None) -> int:
    """Channels of the output as computed: not more than the residual has."""
    made = len(weights)
    count = s.whole_vectors(made, dots=given.dtype != "float32")
    return made if residual and residual.outer[2] < count else count


def _product(
    s: CpuScheduler, kernel: kernels.Conv2D | kernels.MatMul, weights: NDArray[Any],
    maps: tuple[FeatureMap, FeatureMap | None, FeatureMap], pads: tuple[int, int], steps: tuple[int, int, int, int],
) -> None:  # fmt: skip
    """:param weights: ``[out, kh, kw, in]``. :param maps: input, residual, output. :param pads: top, left."""
    given, residual, out = maps
    machine, integers = s.machine, given.dtype != "float32"
    made, kh, kw, depth = weights.shape
    (height, width), count = out.size[:2], out.outer[2]
    plain = (kh, kw) == (1, 1) and steps[:2] == (1, 1) and height > 1
    if plain and all(p.bare for p in (given, out, residual) if p):  # a plain matrix product: pixels are rows
        given, out = given.as_rows(), out.as_rows()
        residual = residual.as_rows() if residual else None
        height, width = 1, height * width
    shape = (height, width, count)
    choice = s.choice(conv_workload(given.dtype, shape, (kh, kw, depth), steps, residual=residual is not None))
    held = held_registers(machine, depth, integers=integers)
    pixels, channels, lanes = chosen_tile(choice, list(tiles(width, count, machine, dots=integers, held=held)))
    four = -(-depth // 4) * 4
    dot = machine.dot if integers and lanes in DOT_LANES.get(machine.dot, ()) else ""
    wide = four if dot and four <= given.outer[2] else depth
    outer = choice.get("outer")
    if not isinstance(outer, bool):
        outer = count * kh * kw * wide * (1 if integers else 4) > CACHE
    packed = packing.blocks(np.pad(weights, ((0, count - made), (0, 0), (0, 0), (0, wide - depth))), channels)
    inputs = [given, residual] if residual else [given]
    end, constants = _end(s, kernel.epilogue, kernel.bias, weights)
    if dot and wide % 4 == 0 and not (dot == "mlal" and (weights == -128).any()):
        by_depth = {0: "sdot16", 8: "sdot8"}.get(wide % 16, dot)
        dot = by_depth if dot == "sdot" else dot
        packed = packing.for_dot(packed, dot, lanes)
    else:
        dot = ""
    nest = loops.Conv(
        out.dtype, tuple(p.corner for p in inputs), out.corner, shape, (kh, kw, wide), steps,
        (given.top - pads[0], given.left - pads[1]), (pixels, channels, lanes), end, residual is not None, outer, dot,
    )  # fmt: skip
    s.emit(nest, kernel.node, inputs, out, [packed, *(np.pad(values, (0, count - made)) for values in constants)])


def depthwise(s: CpuScheduler, kernel: kernels.DepthwiseConv2D) -> None:
    """Schedule a depthwise convolution."""
    given, weights = s.maps[kernel.input], kernel.weights
    top, left, _, _ = kernel.padding
    out = s.make(kernel.output)
    floats = out.dtype == "float32"
    lanes = tile(out.size[1], out.size[2], s.machine)[2]
    if lanes == 4 and not floats and out.size[2] % 8 == 0:
        lanes = 8  # eight bytes are widened at once
    steps, window = (*kernel.strides, *kernel.dilations), (weights.shape[0], weights.shape[1])
    choice = s.choice(depthwise_workload(out.dtype, out.size, window, steps))
    pixels = max(divisors(out.size[1], 8))
    fields: dict[str, Any] = {
        "tile": (pixels, lanes, lanes),
        "rows": 2 if out.size[0] % 2 == 0 and pixels * 2 <= 14 and kernel.strides[0] == 1 else 1,
    }
    for name, allowed in window_tiles(*out.size):
        if name in choice and choice[name] in allowed:
            fields[name] = tuple(choice[name]) if name == "tile" else choice[name]
    end, constants = _end(s, kernel.epilogue, kernel.bias, weights.transpose(2, 0, 1))
    if isinstance(end, loops.IntegerEnd):
        fields["pairs"] = bool(end.neon and not (weights == -128).any())  # two products fit 16 bits
        weights = weights if fields["pairs"] else weights.astype(np.int16)
    nest = loops.Depthwise(
        dtype=out.dtype, inputs=(given.corner,), output=out.corner, shape=out.size, kernel=window, steps=steps,
        corner=(given.top - top, given.left - left), end=end, **fields,
    )  # fmt: skip
    s.emit(nest, kernel.node, [given], out, [weights, *constants])


def _end(
    s: CpuScheduler, epilogue: kernels.Epilogue, bias: NDArray[Any] | None, weights: NDArray[Any]
) -> tuple[loops.End, list[NDArray[Any]]]:
    """What ends a sum, and its constants: the bias; for integers with the zero point's part, and the scales.

    Where accumulators have less than 22 bits and floats are dear (NEON), biases are shifted: see
    :class:`edgekit.codegen.loops.IntegerEnd`.

    :param weights: ``[out, ...]``.
    """
    count, residual = len(weights), epilogue.residual
    given = bias if bias is not None else np.zeros(count, np.int32)
    requantization = epilogue.requantization
    if requantization is None:
        low, high = residual.limits if residual else epilogue.limits
        return loops.FloatEnd(low, high), [given.astype(np.float32)]
    axis = tuple(range(1, weights.ndim))
    zero_in = s.zero(requantization.input.zero_point)
    total = given.astype(np.int64) - zero_in * weights.astype(np.int64).sum(axis)
    scale = requantization.factors(count).astype(np.float32)
    largest = (255 if s.shifted else 128) * np.abs(weights.astype(np.int64)).sum(axis) + np.abs(total)
    neon = s.machine.dot in ("sdot", "mlal")
    shifted = neon and _bits(largest.max(initial=0)) < 22
    if shifted:
        total += loops.MAGIC_BITS
    low, high = s.stored_limits(epilogue.limits)
    own = requantization.output
    end = loops.IntegerEnd(
        s.zero(own.zero_point), low, high, _bits((largest * scale).max(initial=0) + 256), neon, shifted,
        _addition(s, own, residual) if residual else None,
    )  # fmt: skip
    return end, [total.astype(np.int32), scale]


def _addition(s: CpuScheduler, own: kernels.Scale, residual: kernels.Residual) -> loops.Addition:
    other, total = residual.other, residual.output
    if other is None or total is None:
        raise ValueError("a residual addition of integers without scales")
    low, high = s.stored_limits(residual.limits)
    return loops.Addition(
        _bits(256 * (own.scale + other.scale) / total.scale + 256), own.scale / total.scale, other.scale / total.scale,
        s.zero(other.zero_point), s.zero(total.zero_point), low, high,
    )  # fmt: skip


def _bits(value: float) -> int:
    """Bits of a number's whole part, without the sign; 64 for what has more than 32."""
    return int(np.ceil(value)).bit_length() if value < 2.0**32 else 64


RULES: dict[type[kernels.Kernel], Callable[..., None]] = {
    **shared.RULES, kernels.Conv2D: conv2d, kernels.MatMul: matmul, kernels.DepthwiseConv2D: depthwise,
}  # fmt: skip
