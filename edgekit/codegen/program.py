"""What a schedule makes of a network: calls of loop nests over buffers, and where each buffer lies in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.loops import Loops
from edgekit.graph.memory import place

ITEM = {"float32": 4, "int8": 1, "uint8": 1, "int32": 4, "int16": 2, "bool": 1, "float16": 2, "uint16": 2, "uint32": 4,
        "float64": 8, "int64": 8, "uint64": 8}  # fmt: skip
"""Bytes of an element."""


@dataclass(frozen=True)
class Halo:
    """Rows and columns around a feature map that hold ``value``: what a convolution reads beyond the edge.

    :param outer: ``(height, width, channels)`` with the halo; :param inner: ``(top, left, height, width)`` of the
        feature map in it.
    """

    outer: tuple[int, int, int]
    inner: tuple[int, int, int, int]
    value: float


@dataclass
class Buffer:
    """A piece of memory.

    :param kind: ``input``, ``output`` (the network's; the caller copies them), ``arena``, ``constant``.
    :param halo: filled before the first kernel that writes to the buffer.
    """

    kind: Literal["input", "output", "arena", "constant"]
    nbytes: int
    data: NDArray[Any] | None = None
    halo: Halo | None = None
    dtype: str = "float32"


@dataclass(frozen=True)
class Argument:
    """A kernel's argument: a buffer as a dense array."""

    buffer: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * ITEM[self.dtype]


@dataclass(frozen=True)
class Call:
    """A call of the function that a loop nest becomes; equal loops share one function.

    :param node: index of the operator, -1 for none; operators folded into it have no call of their own.
    :param args: inputs and constants, then the output. :param trace: a schedule of TVM's, JSON, in place of the
        template's own.
    """

    loops: Loops
    node: int
    args: tuple[Argument, ...]
    trace: str = ""


@dataclass(frozen=True)
class Placements:
    """Where things lie in the arena, in bytes.

    :param buffers: offset of each buffer that is not constant. :param scratch: offset of each call's scratch.
    :param arena: bytes of all.
    """

    buffers: dict[int, int]
    scratch: tuple[int, ...]
    arena: int


@dataclass
class Program:
    """Calls in order; buffers by number; the network's inputs and outputs among them."""

    buffers: list[Buffer] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def add(self, buffer: Buffer) -> int:
        """Add a buffer and return its number."""
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def constant(self, values: NDArray[Any]) -> Argument:
        """Add constant values and return them as an argument."""
        kept = np.ascontiguousarray(values)
        return Argument(self.add(Buffer("constant", kept.nbytes, kept)), kept.shape, str(kept.dtype))

    def placements(self, scratch: Sequence[int] = ()) -> Placements:
        """Place buffers in the arena, at multiples of 64, greedy by size over lifetimes.

        :param scratch: bytes that each call needs while it runs; none: no call needs any.
        """
        life: dict[int, tuple[int, int]] = {}
        for number, call in enumerate(self.calls):
            for argument in call.args:
                if self.buffers[argument.buffer].kind != "constant":
                    first, _ = life.get(argument.buffer, (number, number))
                    life[argument.buffer] = (first, number)
        for index in self.inputs:
            life[index] = (-1, life.get(index, (-1, -1))[1])
        for index in self.outputs:
            life[index] = (life[index][0] if index in life else -1, len(self.calls))
        sizes = {i: self.buffers[i].nbytes for i in life}
        first = len(self.buffers)  # scratch is numbered after the buffers
        for number, nbytes in enumerate(scratch):
            if nbytes:
                sizes[first + number], life[first + number] = nbytes, (number, number)
        places, arena = place(sizes, life)
        rooms = tuple(places.pop(first + number, 0) for number in range(len(scratch)))
        return Placements(places, rooms, arena)


def packed(constants: Mapping[int, NDArray[Any]]) -> tuple[bytes, dict[int, int]]:
    """All constants in one piece, each at a multiple of 64 bytes, equal ones once; and their offsets."""
    blob = bytearray()
    offsets: dict[int, int] = {}
    known: dict[bytes, int] = {}
    for number, values in constants.items():
        data = np.ascontiguousarray(values).tobytes()
        if data not in known:
            blob += b"\0" * (-len(blob) % 64)
            known[data] = len(blob)
            blob += data
        offsets[number] = known[data]
    return bytes(blob), offsets
