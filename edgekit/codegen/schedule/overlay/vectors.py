"""Commands of the vector unit: elementwise arithmetic by tables, largest of windows, copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.codegen.schedule.overlay.command import IDENTITY, Command, Factor, Loop, Op, table
from edgekit.codegen.schedule.overlay.layout import Layout
from edgekit.codegen.schedule.overlay.program import Step
from edgekit.codegen.tables import STORED

PLAIN = table(STORED)
"""Every stored integer as it is."""


@dataclass(frozen=True)
class Axis:
    """Iterations along an axis: words from one to the next in what is read and what is written."""

    count: int
    read: int
    write: int


@dataclass(frozen=True)
class Finish:
    """What becomes of a number: requantization."""

    factor: Factor = IDENTITY
    zero: int = 0
    limits: tuple[int, int] = (-128, 127)
    once: bool = False


def copied(
    node: int, name: str, source: int, output: int, axes: tuple[Axis, Axis, Axis], values: bytes = PLAIN,
    finish: Finish = Finish(),
) -> Step:  # fmt: skip
    """Words from one place to another, each channel by way of a table.

    :param axes: innermost first.
    """
    loops = (Loop(), Loop(), *(Loop(axis.count, axis.read) for axis in axes))
    writes = (axes[0].write, axes[1].write, axes[2].write, 0)
    command = Command(
        Op.VECTOR, loops, source, out=output, out_steps=writes, tables=1, factor=finish.factor, zero=finish.zero,
        limits=finish.limits, once=finish.once,
    )  # fmt: skip
    cycles = axes[0].count * axes[1].count * axes[2].count
    return Step(node, name, command, values, cycles=cycles + len(values) // 4 + 20)


def combined(
    node: int, name: str, first: Layout, second: Layout, output: Layout, tables: bytes, finish: Finish, *,
    multiplies: bool = False, largest: bool = False,
) -> Step:  # fmt: skip
    """Two feature maps of one layout, element by element."""
    assert (first.pitch, first.row) == (second.pitch, second.row)
    words = output.channel_words
    rows, columns, _ = output.size
    loops = (
        Loop(2, second.base - first.base), Loop(), Loop(words, 1), Loop(columns, first.pitch), Loop(rows, first.row),
    )  # fmt: skip
    command = Command(
        Op.VECTOR, loops, first.base, out=output.base, out_steps=(1, output.pitch, output.row, 0), tables=2,
        two_tables=True, factor=finish.factor, zero=finish.zero, limits=finish.limits, multiplies=multiplies,
        largest=largest,
    )  # fmt: skip
    return Step(node, name, command, tables, cycles=2 * words * rows * columns + len(tables) // 4 + 20)


def largest(
    node: int, name: str, source: Layout, output: Layout, window: tuple[int, int], strides: tuple[int, int],
    padding: tuple[int, int], limits: tuple[int, int],
) -> Step:  # fmt: skip
    """The largest of each window."""
    (height, width), (sy, sx), (top, left) = window, strides, padding
    rows, columns, _ = output.size
    words = output.channel_words
    loops = (
        Loop(width, source.pitch, 1, 0), Loop(height, source.row, 0, 1), Loop(words, 1),
        Loop(columns, sx * source.pitch, sx, 0), Loop(rows, sy * source.row, 0, sy),
    )  # fmt: skip
    command = Command(
        Op.VECTOR, loops, source.at(-top, -left), (-left, -top), (source.size[1], source.size[0]), pad=-128,
        out=output.base, out_steps=(1, output.pitch, output.row, 0), tables=1, limits=limits, largest=True,
    )  # fmt: skip
    cycles = rows * columns * words * width * height
    return Step(node, name, command, PLAIN, cycles=cycles + len(PLAIN) // 4 + 20)


def moved(
    node: int, name: str, source: Layout, output: Layout, shift: tuple[int, int], strides: tuple[int, int], pad: int
) -> Step:
    """A feature map on a larger one: output pixel ``(y, x)`` is input pixel ``(y - top, x - left)`` or the pad.

    :param shift: top, left. :param strides: of the input, between neighbouring pixels of the output.
    """
    rows, columns, _ = output.size
    words = output.channel_words
    (top, left), (sy, sx) = shift, strides
    loops = (
        Loop(), Loop(), Loop(words, 1), Loop(columns, sx * source.pitch, sx, 0), Loop(rows, sy * source.row, 0, sy),
    )  # fmt: skip
    command = Command(
        Op.VECTOR, loops, source.at(-top, -left), (-left, -top), (source.size[1], source.size[0]), pad=pad,
        out=output.base, out_steps=(1, output.pitch, output.row, 0), tables=1,
    )  # fmt: skip
    return Step(node, name, command, PLAIN, cycles=rows * columns * words + len(PLAIN) // 4 + 20)


def filled(node: int, name: str, output: Layout, value: int) -> Step:
    """One value everywhere."""
    rows, columns, _ = output.size
    words = output.channel_words
    loops = (Loop(), Loop(), Loop(words), Loop(columns), Loop(rows))
    command = Command(
        Op.VECTOR, loops, 0, inside=(0, 0), pad=value, out=output.base, out_steps=(1, output.pitch, output.row, 0),
        tables=1,
    )  # fmt: skip
    return Step(node, name, command, PLAIN, cycles=rows * columns * words + len(PLAIN) // 4 + 20)


def sums(tables: list[np.ndarray]) -> bytes:
    """Tables of the operands of an addition, a product or a maximum."""
    return b"".join(table(values) for values in tables)
