"""Where tensors lie, and what the schedules of kernels need. Schedules of kernels import this module; it imports none.

A tensor is a feature map ``[height, width, channels]``: ``[1, h, w, c]`` as it is, any other shape as
``[1, rows, last]``. Its buffer may be larger: a halo around it, more channels than it has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import kernels, loops
from edgekit.codegen.kernels import Limits, Network
from edgekit.codegen.loops import Corner, Loops, Quantized
from edgekit.codegen.program import ITEM, Argument, Buffer, Call, Halo, Program
from edgekit.codegen.views import View, row_major
from edgekit.graph import Tensor

SHIFT = 128
"""What is added to an int8 value that is kept as an unsigned byte."""


@dataclass(frozen=True)
class FeatureMap:
    """Where a tensor lies: ``outer`` ``(h, w, c)`` of the buffer, and the map's corner and size in it."""

    buffer: int
    dtype: str
    outer: tuple[int, int, int]
    top: int
    left: int
    size: tuple[int, int, int]

    @property
    def argument(self) -> Argument:
        """The whole buffer, as an argument of a call."""
        return Argument(self.buffer, self.outer, self.dtype)

    @property
    def dense(self) -> bool:
        """True if the map fills its buffer."""
        return self.outer == self.size

    @property
    def bare(self) -> bool:
        """Without a halo; there may be more channels than the tensor has."""
        return self.outer[:2] == self.size[:2]

    @property
    def corner(self) -> Corner:
        """The buffer's shape, and the map's corner in it."""
        return *self.outer, self.top, self.left

    def as_rows(self) -> FeatureMap:
        """A map without a halo with its pixels as rows."""
        rows = self.size[0] * self.size[1]
        return FeatureMap(self.buffer, self.dtype, (1, rows, self.outer[2]), 0, 0, (1, rows, self.size[2]))

    def as_one_row(self) -> FeatureMap:
        """A dense map as one row of elements."""
        return dense(self.buffer, self.dtype, (1, 1, math.prod(self.size)))


def dense(buffer: int, dtype: str, size: tuple[int, int, int]) -> FeatureMap:
    """A feature map that fills its buffer."""
    return FeatureMap(buffer, dtype, size, 0, 0, size)


def size_of(shape: Sequence[int]) -> tuple[int, int, int]:
    """A tensor's shape as a feature map's."""
    if len(shape) == 4 and shape[0] == 1:
        return shape[1], shape[2], shape[3]
    return 1, math.prod(shape[:-1]), shape[-1] if shape else 1


@dataclass(frozen=True)
class Row:
    """A view of a buffer as a row of elements: its element ``i`` is at ``offset + sum(i * strides)``."""

    argument: Argument
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


class Scheduler:
    """The program so far.

    :param rules: how the kernels of each type are scheduled.
    """

    shifted = False
    """True if int8 is kept as unsigned bytes with 128 added."""

    def __init__(self, network: Network, rules: Mapping[type[kernels.Kernel], Callable[..., None]]) -> None:
        self.network, self.program = network, Program()
        self.maps: dict[int, FeatureMap] = {}
        self._rules = rules

    def run(self) -> Program:
        """Schedule every kernel."""
        for index in self.network.inputs:
            self._input(index)
        for kernel in self.network.kernels:
            self._rules[type(kernel)](self, kernel)
        self.program.outputs += [self._output(index) for index in self.network.outputs]
        return self.program

    def halo(self, index: int) -> kernels.Padding:
        """Top, left, bottom, right: rows and columns around a tensor that its readers want."""
        return 0, 0, 0, 0

    def input_channels(self, index: int) -> int | None:
        """Channels of a network's input as stored, if more than it has."""
        return None

    # Tensors

    def tensor(self, index: int) -> Tensor:
        """Return a tensor of the network."""
        return self.network.tensors[index]

    def dtype(self, tensor: Tensor) -> str:
        """As it is stored; truth values are bytes."""
        byte = tensor.dtype == "bool" or (tensor.dtype == "int8" and self.shifted)
        return "uint8" if byte else tensor.dtype

    def quantized(self, index: int) -> Quantized:
        """Scale and zero point as they are stored; those of uint8, which QUANTIZE takes, are never shifted."""
        scale = self.network.scale(index)
        return scale.scale, self.zero(scale.zero_point) if self.is_int8(index) else scale.zero_point

    def background(self, index: int) -> float:
        """What means 0 in an activation of floats or int8, as it is stored."""
        return float(self.quantized(index)[1]) if self.is_int8(index) else 0.0

    def zero(self, zero_point: int) -> int:
        """A zero point as it is stored."""
        return zero_point + (SHIFT if self.shifted else 0)

    def is_int8(self, index: int) -> bool:
        """True if the tensor is int8."""
        return self.tensor(index).dtype == "int8"

    def limits(self, limits: Limits, index: int) -> Limits:
        """Limits of a tensor's values, as they are stored."""
        return self.stored_limits(limits) if self.is_int8(index) else limits

    def stored_limits(self, limits: Limits) -> Limits:
        """Limits of int8 values, as they are stored."""
        shift = SHIFT if self.shifted else 0
        return limits[0] + shift, limits[1] + shift

    def stored(self, index: int) -> NDArray[Any]:
        """A constant's values as kernels take them."""
        values = self.tensor(index).array()
        if values.dtype == np.bool_:
            return values.astype(np.uint8)
        if self.shifted and self.is_int8(index):
            return (values.astype(np.int16) + SHIFT).astype(np.uint8)
        return values

    # Places

    def make(self, index: int, channels: int | None = None) -> FeatureMap:
        """Place a tensor that a kernel is about to write, with the halo that its readers want."""
        placed = self._placed(index, channels)
        halo = None
        if not placed.bare:
            halo = Halo(placed.outer, (placed.top, placed.left, *placed.size[:2]), self.background(index))
        nbytes = math.prod(placed.outer) * ITEM[placed.dtype]
        buffer = self.program.add(Buffer("arena", nbytes, halo=halo, dtype=placed.dtype))
        self.maps[index] = FeatureMap(buffer, placed.dtype, placed.outer, placed.top, placed.left, placed.size)
        return self.maps[index]

    def made(self, index: int) -> FeatureMap:
        """A tensor that several kernels write: placed by the first."""
        return self.maps[index] if index in self.maps else self.make(index)

    def _placed(self, index: int, channels: int | None) -> FeatureMap:
        tensor = self.tensor(index)
        size = size_of(tensor.shape)
        top, left, bottom, right = self.halo(index)
        outer = (top + size[0] + bottom, left + size[1] + right, channels or size[2])
        return FeatureMap(-1, self.dtype(tensor), outer, top, left, size)

    def flat(self, index: int, node: int) -> FeatureMap:
        """The tensor without a halo, copied if need be."""
        placed = self.maps[index]
        if placed.dense:
            return placed
        nbytes = math.prod(placed.size) * ITEM[placed.dtype]
        result = dense(self.program.add(Buffer("arena", nbytes, dtype=placed.dtype)), placed.dtype, placed.size)
        self.copy(placed, result, node)
        return result

    def rows_of(self, index: int, node: int, depth: int) -> FeatureMap:
        """A tensor's elements as ``[1, rows, depth]``."""
        placed = self.maps[index]
        if placed.bare and placed.size[2] == depth:
            return placed.as_rows()
        placed = self.flat(index, node)
        return dense(placed.buffer, placed.dtype, (1, math.prod(placed.size) // depth, depth))

    def layout(self, index: int) -> tuple[int, ...]:
        """Elements of memory from one element of each of a tensor's axes to the next."""
        shape = self.tensor(index).shape
        if self.tensor(index).data is not None or not shape:
            return row_major(shape)
        height, width, channels = self.maps[index].outer
        if len(shape) == 4 and shape[0] == 1:
            return height * width * channels, width * channels, channels, 1
        return row_major((*shape[:-1], channels))

    def row(self, view: View) -> Row:
        """The elements of a view, in memory; a constant is added to the program."""
        layout = self.layout(view.tensor)
        offset = view.offset(layout)
        if self.tensor(view.tensor).data is not None:
            argument = self.program.constant(self.stored(view.tensor).reshape(-1))
        else:
            placed = self.maps[view.tensor]
            argument = Argument(placed.buffer, (math.prod(placed.outer),), placed.dtype)
            offset += (placed.top * placed.outer[1] + placed.left) * placed.outer[2]
        return Row(argument, view.shape, view.strides(layout), offset)

    # Calls

    def emit(
        self, nest: Loops, node: int, inputs: Sequence[FeatureMap], out: FeatureMap,
        constants: Sequence[NDArray[Any]] = (),
    ) -> None:  # fmt: skip
        """Append a call; constants come between inputs and output."""
        args = [p.argument for p in inputs] + [self.program.constant(c) for c in constants] + [out.argument]
        self.program.calls.append(Call(nest, node, tuple(args)))

    def copy(self, source: FeatureMap, out: FeatureMap, node: int) -> None:
        """Copy a feature map."""
        self.elements(loops.Map, {"function": "copy"}, node, [source], out)

    def elements(
        self, kind: Callable[..., Loops], fields: dict[str, Any], node: int, inputs: Sequence[FeatureMap],
        out: FeatureMap, constants: Sequence[NDArray[Any]] = (), by_channel: bool = False,
    ) -> None:  # fmt: skip
        """Append a call of loops over the same place of feature maps; where all of them are dense, over one row.

        :param by_channel: a constant has a value per channel.
        """
        if all(p.dense for p in (*inputs, out)) and not by_channel:
            inputs, out = [p.as_one_row() for p in inputs], out.as_one_row()
        nest = kind(
            dtype=out.dtype, inputs=tuple(p.corner for p in inputs), output=out.corner, shape=out.size, **fields
        )
        self.emit(nest, node, inputs, out, constants)

    # The network's ends

    def _input(self, index: int) -> None:
        tensor = self.tensor(index)
        kept = "uint8" if tensor.dtype == "bool" else tensor.dtype
        given = dense(self.program.add(Buffer("input", tensor.nbytes, dtype=kept)), kept, size_of(tensor.shape))
        self.program.inputs.append(given.buffer)
        channels = self.input_channels(index)
        if self.is_int8(index) and self.shifted:
            self.elements(loops.Shift, {}, -1, [given], self.make(index, channels))
        elif self._placed(index, channels).dense:
            self.maps[index] = given
        else:
            self.copy(given, self.make(index, channels), -1)

    def _output(self, index: int) -> int:
        tensor, placed = self.tensor(index), self.maps[index]
        kept = "uint8" if tensor.dtype == "bool" else tensor.dtype
        buffer = self.program.add(Buffer("output", tensor.nbytes, dtype=kept))
        out = dense(buffer, kept, placed.size)
        if self.is_int8(index) and self.shifted:
            self.elements(loops.Shift, {}, -1, [placed], out)
        else:
            self.copy(placed, out, -1)
        return buffer
