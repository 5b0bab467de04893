"""How many multipliers each layer gets: hls4ml's reuse factor, the cycles in which a layer uses each of them once.

All layers work at once, each on its part of an inference, so the slowest one sets the pace. The factors are those of
the fastest pace whose multipliers fit.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import prod

import numpy as np

from edgekit.codegen.schedule.hls.layers import (
    Combine,
    Convolution,
    Dense,
    Largest,
    Layer,
    Program,
    Requantize,
    Rounding,
    Shaped,
    Sum,
    Table,
    Value,
    Zeros,
)

BLOCK_BITS = (25, 18)
"""Operands of a multiplier block (DSP48E1)."""


@dataclass(frozen=True)
class Work:
    """What a layer does in one inference.

    :param times: how often it goes through all of its multipliers' work, a pixel each time. :param moves: cycles
        beside. :param multipliers: that it would have with a factor of 1. :param factors: reuse factors that it can
        have, rising.
    """

    times: int
    moves: int
    multipliers: int
    factors: tuple[int, ...] = (1,)

    def cycles(self, factor: int) -> int:
        """From one inference to the next, at least."""
        return self.times * factor + self.moves

    def fastest(self, cycles: int) -> int:
        """The largest factor within a number of cycles, or the least that there is."""
        return self.factors[max(0, bisect_right(self.factors, (cycles - self.moves) // self.times) - 1)]


@dataclass(frozen=True)
class Plan:
    """Factors by the number of a layer's value; ``cycles``: of the slowest layer, ``fills``: until the last one starts.

    :param multipliers: blocks that it takes, if every product takes one.
    """

    factors: dict[int, int]
    multipliers: int
    cycles: int
    fills: int


def plan(program: Program, multipliers: int, pixel_cycles: int) -> Plan:
    """Choose the factors for a number of multipliers; the largest ones where even these take more.

    :param pixel_cycles: that a convolution takes for each pixel beside its multiplications.
    """
    works = {layer.output.number: work(layer, pixel_cycles) for layer in program.layers}
    paces = sorted({one.cycles(factor) for one in works.values() for factor in one.factors})
    low, high = 0, len(paces) - 1
    while low < high:
        middle = (low + high) // 2
        if _blocks(works, paces[middle]) <= multipliers:
            high = middle
        else:
            low = middle + 1
    pace = paces[high]
    factors = {number: one.fastest(pace) for number, one in works.items()}
    cycles = max(one.cycles(factors[number]) for number, one in works.items())
    fills = sum(_first(layer, works[layer.output.number], factors[layer.output.number]) for layer in program.layers)
    return Plan(factors, _blocks(works, pace), cycles, fills)


def _blocks(works: dict[int, Work], cycles: int) -> int:
    return sum(-(-one.multipliers // one.fastest(cycles)) for one in works.values())


def work(layer: Layer, pixel_cycles: int) -> Work:
    """What a layer does in one inference."""
    match layer:
        case Convolution(input=value, weights=weights, padding=(top, left, bottom, right)):
            pixels = (value.shape[0] + top + bottom) * (value.shape[1] + left + right)
            times, moves = prod(layer.output.shape[:2]), pixels * pixel_cycles
            if layer.depthwise:
                channels, window = weights.shape[2], prod(weights.shape[:2])
                factors = (*_divisors(channels), *(channels * d for d in _divisors(window)[1:]))
                return Work(times, moves, channels * window, factors)
            return Work(times, moves, weights.size, _dense(prod(weights.shape[:3]), weights.shape[3]))
        case Dense(input=value, weights=weights):
            return Work(1, _packs(value), weights.size, _dense(*weights.shape))
        case Requantize(rounding=rounding):
            return _rounds(layer, rounding, (layer.input,))
        case Combine(rounding=rounding):
            return _rounds(layer, rounding, (layer.first, layer.second))
        case Largest(input=value) | Sum(input=value) | Table(input=value):
            return Work(_packs(value), 0, 0)
        case Zeros() | Shaped():
            return Work(_packs(layer.output), 0, 0)
    raise NotImplementedError(type(layer))


def _dense(n_in: int, n_out: int) -> tuple[int, ...]:
    """The factors that hls4ml's matrix product can have."""
    return (*_divisors(n_in), *(n_in * d for d in _divisors(n_out)[1:]))


def _rounds(layer: Layer, rounding: Rounding, operands: tuple[Value, ...]) -> Work:
    """One multiplication per number and operand that is not a power of two."""
    channels, blocks = layer.output.shape[-1], 0
    for gain, value in zip(rounding.gains, operands, strict=True):
        if np.any(gain & (gain - 1)):
            bits = sorted((int(np.abs(gain).max()).bit_length() + 1, value.range.bits), reverse=True)
            blocks += -(-bits[0] // BLOCK_BITS[0]) * -(-bits[1] // BLOCK_BITS[1])
    return Work(_packs(layer.output), 0, channels * blocks, _divisors(channels) if blocks else (1,))


def _packs(value: Value) -> int:
    return prod(value.shape[:-1])


def _divisors(n: int) -> tuple[int, ...]:
    return tuple(d for d in range(1, n + 1) if n % d == 0)


def _first(layer: Layer, done: Work, factor: int) -> int:
    """Cycles until a layer passes its first pixel on, once its input starts to come."""
    if isinstance(layer, Convolution) and layer.weights.shape[0] > 1:
        return int(layer.weights.shape[0] - 1) * (layer.input.shape[1] + layer.padding[1] + layer.padding[3]) + factor
    if isinstance(layer, Sum | Dense):
        return done.cycles(factor)
    return factor
