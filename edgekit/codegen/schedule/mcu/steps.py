"""What the schedule for microcontrollers makes of a network: calls of the C kernel library, and one arena.

A step is a call of one function of ``firmware_stubs/kernels``. Its parameters are C structs: the *shape* holds what the
compiler may fold into a function of its own (sizes, strides, padding), the *data* what differs between layers of one
shape (weights, multipliers, zero points).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.mcu.packing import Packing
from edgekit.graph import Tensor

ALIGNMENT = 16
"""Of the arena, bytes (``EK_ARENA_ALIGNMENT``)."""


def aligned(nbytes: int) -> int:
    """Return the next multiple of :data:`ALIGNMENT`."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, eq=False)
class Table:
    """A constant array, in flash.

    :param values: of a dtype that C has; equal tables are written once.
    """

    values: NDArray[Any]


Value = Union[int, float, Table, "Struct", tuple["Value", ...]]
"""A field: an integer, a float32, an array, a struct, a nested array of numbers."""


@dataclass(frozen=True, eq=False)
class Struct:
    """A C struct's values; ``tag``: ``struct TAG``."""

    tag: str
    fields: dict[str, Value]


@dataclass(frozen=True)
class Operand:
    """What a step reads or writes: a buffer of the arena or a constant.

    :param buffer: number of a buffer, or -1. :param table: the constant. :param offset: where in the buffer, bytes.
    """

    buffer: int = -1
    table: Table | None = None
    offset: int = 0


@dataclass(frozen=True)
class Piece:
    """What a step copies, if it lies together on both sides: so many bytes from an offset to another one."""

    source: int
    result: int
    nbytes: int


@dataclass(frozen=True, eq=False)
class Rows:
    """How a step computes one row of its output from the rows of a window.

    :param shape: in place of the step's own. :param place: which of the step's inputs has the window; of the others it
        reads the row with the output's number.
    :param window: rows of the window, ``stride`` of which go for each row of output.
    :param top: and ``bottom``: rows of padding, which hold the byte ``zero``.
    :param scratch: bytes that a row needs, beside the window.
    :param input: rows of the whole input, ``output``: of the output; each of ``in_bytes``, ``out_bytes``.
    """

    shape: Struct
    place: int
    window: int
    stride: int
    top: int
    bottom: int
    zero: int
    input: int
    output: int
    in_bytes: int
    out_bytes: int
    scratch: int = 0


@dataclass(frozen=True, eq=False)
class Stage:
    """A step as part of a stream (``struct ek_stage``).

    :param other: which of the stream's inputs it reads beside its window; -1 for none.
    :param offset: of its window in the stream's scratch, bytes.
    """

    step: Step
    rows: Rows
    other: int
    offset: int


@dataclass(frozen=True, eq=False)
class Step:
    """A call ``function(&shape, &data, inputs..., output, scratch)``; what a step lacks is not passed.

    :param node: index of the operator, -1 for none. :param title: for people.
    :param scratch: bytes that it needs while it runs.
    :param rows: how it computes a row at a time, if it can. :param stages: of a stream of steps.
    :param behind: for each input how many bytes the output's start must lie before the input's, so that they may
        overlap: the kernel reads no byte of the input after it wrote that far. None: they must not overlap.
    :param in_place: the output may also start exactly where an input starts that may overlap it.
    :param piece: all that the step does is to copy this.
    """

    function: str
    node: int
    title: str
    inputs: tuple[Operand, ...]
    output: Operand
    shape: Struct | None = None
    data: Struct | None = None
    scratch: int = 0
    behind: tuple[int | None, ...] = ()
    rows: Rows | None = None
    in_place: bool = False
    stages: tuple[Stage, ...] = ()
    piece: Piece | None = None

    @property
    def fused(self) -> tuple[int, ...]:
        """Further operators that a stream computes."""
        nodes = dict.fromkeys(stage.step.node for stage in self.stages)
        return tuple(node for node in nodes if node not in (self.node, -1))


@dataclass(frozen=True)
class Buffer:
    """Memory of one tensor, or of several that share it.

    :param pinned: it keeps its contents from one run to the next.
    """

    nbytes: int
    pinned: bool = False


@dataclass
class Program:
    """Steps in order, and the buffers that they use.

    :param inputs: and ``outputs``: buffers of the network's ends. :param tensors: of the ends, in that order.
    :param initial: what pinned buffers hold before the first run.
    :param packing: of the weights of convolutions and matrix products.
    """

    headers: tuple[str, ...] = ()
    buffers: list[Buffer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    initial: dict[int, Table] = field(default_factory=dict)
    ends: tuple[tuple[Tensor, ...], tuple[Tensor, ...]] = ((), ())
    packing: Packing = "rows"

    def add(self, nbytes: int, *, pinned: bool = False) -> int:
        """Add a buffer and return its number."""
        self.buffers.append(Buffer(nbytes, pinned))
        return len(self.buffers) - 1


def table(values: Any, dtype: str) -> Table:
    """Return a constant array of a dtype."""
    return Table(np.ascontiguousarray(values, dtype))
