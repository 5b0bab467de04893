"""What the layers of a streamed network mean, in NumPy; every number must fit where the layers say that it fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.hls import Layer, Program, Value
from edgekit.codegen.schedule.hls.layers import (
    Combine,
    Convolution,
    Dense,
    Integers,
    Largest,
    Range,
    Requantize,
    Rounding,
    Shaped,
    Sum,
    Table,
    Zeros,
)


def run(program: Program, inputs: list[NDArray[Any]]) -> list[Integers]:
    """The outputs of one sample, without the batch."""
    values = {
        v.number: x.reshape(v.shape).astype(np.int64) for v, x in zip(program.inputs, inputs, strict=True)
    }  # fmt: skip
    for layer in program.layers:
        result = _computed(layer, values).reshape(layer.output.shape)
        _fits(result, layer.output.range)
        values[layer.output.number] = result
    return [values[v.number] for v in program.outputs]


def _fits(numbers: Integers, held: Range) -> None:
    assert held.low <= numbers.min() and numbers.max() <= held.high, (numbers.min(), numbers.max(), held)


def _computed(layer: Layer, values: dict[int, Integers]) -> Integers:
    def of(value: Value) -> Integers:
        return values[value.number]

    match layer:
        case Convolution(input=value):
            return _convolution(layer, _padded(of(value), layer.padding))
        case Dense(input=value):
            return of(value) @ layer.weights + layer.bias
        case Largest(input=value, window=(height, width)):
            rows, columns, channels = layer.output.shape
            cut = of(value)[: rows * height, : columns * width]
            return cut.reshape(rows, height, columns, width, channels).max((1, 3))
        case Zeros(input=value, padding=padding):
            return _padded(of(value), padding)
        case Sum(input=value):
            return of(value).reshape(-1, value.shape[-1]).sum(0)
        case Shaped(input=value):
            return of(value)
        case Table(input=value):
            return layer.table[of(value) - value.range.low]
        case Requantize(input=value, rounding=rounding):
            return _rounded(rounding, of(value) * rounding.gains[0])
        case Combine(first=first, second=second, rounding=rounding):
            return _rounded(rounding, of(first) * rounding.gains[0] + of(second) * rounding.gains[1])
    raise NotImplementedError(type(layer))


def _padded(x: Integers, padding: tuple[int, int, int, int]) -> Integers:
    top, left, bottom, right = padding
    return np.pad(x, ((top, bottom), (left, right), (0, 0)))


def _convolution(layer: Convolution, x: Integers) -> Integers:
    result = np.zeros(layer.output.shape, np.int64) + layer.bias
    (rows, columns, _), (down, across) = layer.output.shape, layer.strides
    for i, j in np.ndindex(*layer.weights.shape[:2]):
        window = x[i : i + rows * down : down, j : j + columns * across : across][:rows, :columns]
        weights = layer.weights[i, j]
        result += window * weights[:, 0] if layer.depthwise else window @ weights
    return result


def _rounded(rounding: Rounding, total: Integers) -> Integers:
    offset = np.where(total < rounding.border, rounding.below, rounding.offset)
    for numbers in (total, total + rounding.offset, total + offset):
        _fits(numbers, rounding.total)
    return np.clip((total + offset) >> rounding.shift, rounding.range.low, rounding.range.high)
