"""Commands of the overlay and their headers of 28 words (docs/fpga.md, ``ek_loader.sv``, ``ek_issue.sv``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

WORDS = 28
"""Of a header, 32 bits each."""
EVERYWHERE = 0x7FFF
"""Width and height of a feature map without an outside."""


class Op(IntEnum):
    """What a command does."""

    CONV = 1
    VECTOR = 2
    END = 15


@dataclass(frozen=True)
class Loop:
    """One loop of six.

    :param count: of iterations. :param step: words from one iteration's address to the next's. :param dx: and ``dy``:
        what it adds to the pixel's coordinates, -128 to 127.
    """

    count: int = 1
    step: int = 0
    dx: int = 0
    dy: int = 0


@dataclass(frozen=True)
class Factor:
    """A multiplier and its shift as requantization takes them, ``multiplier * 2**(left - right - 31)``."""

    multiplier: int
    left: int
    right: int

    @staticmethod
    def of(multiplier: int, shift: int) -> Factor:
        """From TFLite's form."""
        return Factor(multiplier, max(shift, 0), max(-shift, 0))


IDENTITY = Factor(1 << 30, 1, 0)


@dataclass(frozen=True)
class Command:
    """A command; fields are those of the header.

    :param loops: six, innermost first. :param inside: width, height of the feature map that is read; elsewhere lies
        ``pad``. :param spread: words between the words of one read, and what each adds to x and y.
    :param words: of one slot, of one slot of the last block. :param out_steps: words from an even word to the odd one
        after it, from one column, row, block of the output to the next. :param pair_step: from an odd word to the even
        one after it. :param twos: two words are written at a time; they lie in different banks.
    """

    op: Op
    loops: tuple[Loop, ...] = ()
    base: int = 0
    origin: tuple[int, int] = (0, 0)
    """x, y."""
    inside: tuple[int, int] = (EVERYWHERE, EVERYWHERE)
    spread: tuple[int, int, int] = (1, 0, 0)
    pad: int = 0
    out: int = 0
    out_steps: tuple[int, int, int, int] = (0, 0, 0, 0)
    words: tuple[int, int] = (1, 1)
    zero: int = 0
    limits: tuple[int, int] = (-128, 127)
    factor: Factor = IDENTITY
    wait: bool = True
    hold: bool = False
    once: bool = False
    largest: bool = False
    multiplies: bool = False
    two_tables: bool = False
    tables: int = 0
    pair_step: int = 0
    twos: bool = False
    diagonal: bool = False
    """Of four rows of weights the stream has every fourth column of each, in one word."""

    def header(self) -> bytes:
        """The header, 112 bytes."""
        flags = (
            self.op | self.wait << 4 | self.hold << 5 | self.once << 6 | self.largest << 7 | self.multiplies << 8
            | self.two_tables << 9 | self.tables << 10 | self.diagonal << 12 | self.twos << 13 | (self.pad & 255) << 16
            | (self.zero & 255) << 24
        )  # fmt: skip
        low, high = self.limits
        words = [
            flags,
            (low & 255) | (high & 255) << 8 | (self.words[0] - 1) << 20 | (self.words[1] - 1) << 22,
            self.factor.multiplier,
            self.factor.right | self.factor.left << 8,
            self.base,
            (self.origin[0] & 0xFFFF) | (self.origin[1] & 0xFFFF) << 16,
            self.inside[0] | self.inside[1] << 16,
            (self.spread[0] & 0xFFFFFF) | self.spread[1] << 24 | self.spread[2] << 25,
        ]
        loops = (*self.loops, *(Loop(),) * (6 - len(self.loops)))
        for loop, (step, dx, dy) in zip(loops, differences(loops), strict=True):
            words.append((loop.count - 1) | (dx & 0xFF) << 16 | (dy & 0xFF) << 24)
            words.append((step & 0x3FFFF) | (dx >> 8 & 0x7F) << 18 | (dy >> 8 & 0x7F) << 25)
        outs: Sequence[int] = self.out_steps
        if self.op is Op.VECTOR:
            written = [Loop(loop.count, step) for loop, step in zip(self.loops[2:5], outs, strict=False)]
            outs = (*(step for step, _, _ in differences(written)), 0)
        words += [self.out, *outs, self.pair_step, 0, 0]
        return b"".join((word & 0xFFFFFFFF).to_bytes(4, "little") for word in words)


def differences(loops: Sequence[Loop]) -> list[tuple[int, int, int]]:
    """Of each loop, innermost first: what is added to address, x and y from the inner loops' last iteration on."""
    done: list[tuple[int, int, int]] = []
    inner = (0, 0, 0)
    for loop in loops:
        steps = (loop.step, loop.dx, loop.dy)
        done.append(tuple(a - b for a, b in zip(steps, inner, strict=True)))  # type: ignore[arg-type]
        inner = tuple(b + (loop.count - 1) * a for a, b in zip(steps, inner, strict=True))  # type: ignore[assignment]
    return done


def chained(command: Command) -> Command:
    """The command, which starts although results of the one before are still on their way."""
    return replace(command, wait=False)


def table(values: np.ndarray) -> bytes:
    """A table of 256 numbers of 32 bits, indexed by the stored integer -128 to 127, as the stream has it."""
    by_byte = np.roll(np.asarray(values, np.int64), 128)
    return by_byte.astype("<i4").tobytes()
