"""What the rules for microcontrollers share: tensors as buffers, and steps of the program."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgekit.codegen.kernels import Kernel, Network
from edgekit.codegen.program import ITEM
from edgekit.codegen.schedule.mcu import strides
from edgekit.codegen.schedule.mcu.packing import Packing
from edgekit.codegen.schedule.mcu.steps import Operand, Piece, Program, Rows, Step, Struct, Table
from edgekit.codegen.views import View, whole

SUFFIXES = {
    "int8": "s8", "int16": "s16", "int32": "s32", "int64": "s64", "float32": "f32", "bool": "u8", "uint8": "u8",
}  # fmt: skip
"""How the names of C kernels say the type that they work on."""


class NoKernel(Exception):
    """A kernel that the C library lacks; ``args[0]``: why, as :class:`edgekit.codegen.lower.Missing` says it."""


class McuScheduler:
    """Collects the steps of a network."""

    def __init__(self, network: Network, weights: Packing = "rows") -> None:
        self.network, self.program = network, Program(packing=weights)
        self.buffers: dict[int, int] = {}
        """The buffer of each tensor."""
        for index in network.inputs:
            self.buffers[index] = self.program.add(network.tensors[index].nbytes)
            self.program.inputs.append(self.buffers[index])
        for variable in network.variables:
            buffer = self.program.add(network.tensors[variable.tensor].nbytes, pinned=True)
            self.buffers[variable.tensor] = buffer
            self.program.initial[buffer] = Table(np.ascontiguousarray(variable.initial))

    def finished(self) -> Program:
        """The program, once all rules have added their steps."""
        tensors, network = self.network.tensors, self.network
        self.program.outputs += [self.operand(index).buffer for index in network.outputs]
        self.program.ends = tuple(tensors[i] for i in network.inputs), tuple(tensors[i] for i in network.outputs)
        return self.program

    def operand(self, index: int) -> Operand:
        """A tensor as a step reads it: a constant, or the buffer that it lies in."""
        tensor = self.network.tensors[index]
        if index not in self.buffers and tensor.data is not None:
            return Operand(table=Table(tensor.array()))
        return self.output(index)

    def operands(self, views: Sequence[View]) -> list[Operand]:
        """The tensors of views, as a step reads them."""
        return [self.operand(view.tensor) for view in views]

    def output(self, index: int) -> Operand:
        """The buffer of a tensor that a step writes."""
        if index not in self.buffers:
            self.buffers[index] = self.program.add(self.network.tensors[index].nbytes)
        return Operand(self.buffers[index])

    def shape(self, index: int) -> tuple[int, ...]:
        """A tensor's shape."""
        return self.network.tensors[index].shape

    def elements(self, index: int) -> int:
        """How many elements a tensor has."""
        return self.network.tensors[index].elements

    def dtype(self, index: int) -> str:
        """A tensor's type."""
        return self.network.tensors[index].dtype

    def item(self, index: int) -> int:
        """Bytes of a tensor's elements."""
        return ITEM[self.dtype(index)]

    def suffix(self, index: int) -> str:
        """How functions on a tensor's dtype end: ``s8``."""
        return SUFFIXES[self.dtype(index)]

    def view(self, index: int) -> View:
        """A tensor as it is."""
        return whole(index, self.shape(index))

    def walk(self, views: Sequence[View]) -> tuple[Struct, bool]:
        """The loops over views; see :func:`strides.walk`.

        :raises NoKernel: if there are more axes than loops.
        """
        try:
            return strides.walk(self.network, views)
        except ValueError as error:
            raise NoKernel(str(error)) from error

    def require(self, condition: object, reason: str) -> None:
        """:raises NoKernel: with this reason if the condition does not hold."""
        if not condition:
            raise NoKernel(reason)

    def step(
        self, function: str, kernel: Kernel, inputs: Sequence[Operand], output: Operand,
        shape: Struct | None = None, data: Struct | None = None, scratch: int = 0,
        behind: Sequence[int | None] = (), title: str = "", rows: Rows | None = None,
        in_place: bool = False, piece: Piece | None = None,
    ) -> None:  # fmt: skip
        """Append a step."""
        name = title or type(kernel).__name__
        self.program.steps.append(
            Step(
                function,
                kernel.node,
                name,
                tuple(inputs),
                output,
                shape,
                data,
                scratch,
                tuple(behind),
                rows,
                in_place,
                piece=piece,
            )
        )


def rows_behind(x: Sequence[int], y: Sequence[int], stride: int, top: int, item: int = 1) -> int:
    """How far an output must lie behind a feature map whose rows are read in order, and written in order, in bytes.

    While row ``r`` of the output is written, rows of the input from ``r * stride - top`` on are read.
    """
    read, written = math.prod(x[2:]), math.prod(y[2:])
    return item * max((r + 1) * written - max(0, r * stride - top) * read for r in range(y[1]))


def window_rows(
    shape: Struct, x: Sequence[int], y: Sequence[int], window: int, stride: int, top: int, zero: int, item: int = 1
) -> Rows | None:
    """A window's rows; None where the rows of the input make more rows of output than there are."""
    bottom = max(0, (y[1] - 1) * stride + window - x[1] - top)
    if y[1] * stride + window <= x[1] + top or top >= window:
        return None
    row = Struct(shape.tag, shape.fields | {"in_h": window, "out_h": 1, "pad_top": 0})
    return Rows(row, 0, window, stride, top, bottom, zero, x[1], y[1], item * math.prod(x[2:]), item * math.prod(y[2:]))


def element_rows(shape: Sequence[int], operands: int, place: int = 0, items: tuple[int, int] = (1, 1)) -> Rows | None:
    """A row of a feature map that a step computes from the same row of its operands; None for other tensors.

    :param items: bytes of an element of the input and of the output.
    """
    if len(shape) != 4 or shape[0] != 1:
        return None
    row = math.prod(shape[2:])
    flat = strides.flat(row, operands)
    return Rows(flat, place, 1, 1, 0, 0, 0, shape[1], shape[1], items[0] * row, items[1] * row)
