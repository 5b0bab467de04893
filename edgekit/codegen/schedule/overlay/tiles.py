"""The analytic cost model of a convolution on the overlay, and how it divides feature maps into tiles.

Weights of a pass are loaded while the pass before it computes, and sums are requantized while the next block's are
made: the times of both follow from the RTL (``ek_loader.sv``, ``ek_issue.sv``, ``ek_drain.sv``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from edgekit.codegen.schedule.overlay.machine import Machine

HEADER_BYTES, PARAMETER_BYTES = 112, 10
"""Of a command in the stream; of a lane, for each block."""
LOAD = 2
"""Cycles from one pass's swap of weights to the next that are neither rows of weights nor parameters."""
SWAP = 7
"""Cycles from one pass's swap of weights to the next, however few rows there are (``early_word``, ``ek_loader.sv``)."""
FILL = 27
"""Cycles from an empty pipeline to the first sum, and from the last sum to its result in memory."""
ARRAY = 12
"""Cycles from the last read of a block to the first of its sums that is requantized."""
INTERVAL = 5
"""Cycles from a sum to the next addition to it."""
BEAT = 0.1
"""Cycles that a beat of the stream counts beside those of the array: it could load the weights of what follows."""


@dataclass(frozen=True)
class Shape:
    """Loops of a convolution: blocks of output channels, passes, slots of the whole feature map.

    :param reads: passes along channels, along the axis (x without one), along the other.
    :param slots: rows, columns. :param per_block: channels. :param words: of a slot.
    :param alike: the weights of all passes are the same.
    """

    blocks: int
    reads: tuple[int, int, int]
    slots: tuple[int, int]
    per_block: int
    words: int
    alike: bool = False
    rows: int = 0
    """Words of the stream that one pass's weights take; 0: one per input lane."""
    twos: bool = False
    """Two words are requantized at a time."""

    @property
    def passes(self) -> int:
        """Of a block."""
        return math.prod(self.reads)

    @property
    def taken(self) -> int:
        """Cycles in which a slot is requantized."""
        return -(-self.words // 2) if self.twos else self.words

    def weight_words(self, machine: Machine) -> int:
        """Of the stream, for one pass."""
        return self.rows or machine.ic

    def stream_bytes(self, machine: Machine) -> int:
        """Of one command."""
        loaded = 1 if self.alike else self.passes
        words = self.blocks * (loaded * self.weight_words(machine) + PARAMETER_BYTES)
        return words * machine.oc + HEADER_BYTES


@dataclass(frozen=True)
class Tiles:
    """How a feature map's slots are divided: ``width`` columns, and rows of each tile.

    :param cycles: when the results of each tile's last block are in memory.
    """

    width: int
    heights: tuple[int, ...]
    cycles: tuple[int, ...]


@dataclass(frozen=True)
class Span:
    """When one block of one tile is in the array and in requantization, cycles from the first command on.

    :param load: when loading of its parameters and first weights begins. :param start: and ``end``: of the array.
    :param drain: and ``drained``: of requantization.
    """

    tile: int
    load: int
    start: int
    end: int
    drain: int
    drained: int


def spans(machine: Machine, shape: Shape, slots: Sequence[int]) -> Iterator[Span]:
    """The blocks of tiles of so many slots, one after the other."""
    words = shape.weight_words(machine)
    header, loaded = HEADER_BYTES // machine.oc, max(words + LOAD, SWAP)
    swapped, free, drained = 0, 0, [0, 0]
    for tile, count in enumerate(slots):
        sweep = max(count, INTERVAL)
        later = shape.passes - 1
        between = later * (sweep if shape.alike else max(sweep, loaded))
        for block in range(shape.blocks):
            loading = loaded + PARAMETER_BYTES + (header if tile and not block else 0)
            begun = swapped
            start = max(free, swapped + loading, drained[-2])
            swapped = start if shape.alike else start + between
            free = start + between + sweep
            drain = max(free + ARRAY, drained[-1])
            drained = [drained[-1], drain + count * shape.taken + 1]
            yield Span(tile, begun, start, free, drain, drained[-1])


def timeline(machine: Machine, shape: Shape, slots: Sequence[int]) -> list[int]:
    """When the results of each tile of so many slots are in memory, cycles from the first command on."""
    ends = [0] * len(slots)
    for span in spans(machine, shape, slots):
        ends[span.tile] = span.drained + FILL // 2
    return ends


@lru_cache(maxsize=4096)
def divided(machine: Machine, shape: Shape) -> Tiles:
    """The division that takes the fewest cycles: few large tiles, whose weights are loaded once each.

    What waits for the results waits for the requantization of the last tile, so that one may be small.
    """
    rows, columns = shape.slots
    if columns > machine.acc_depth:
        count = -(-columns // machine.acc_depth)
        width = -(-columns // count)
        return Tiles(width, (1,) * rows, tuple(timeline(machine, shape, [width] * rows * count)[count - 1 :: count]))
    most = min(rows, machine.acc_depth // columns)
    fewest = -(-rows // most)
    best: tuple[float, Tiles] | None = None
    for count in range(fewest, min(rows, 2 * fewest + 3) + 1):
        for last in {*range(1, min(most, 8) + 1), *range(10, most + 1, 3), min(most, -(-rows // count))}:
            left, others = rows - last, count - 1
            if left < others or (left > 0) != (others > 0) or -(-left // max(others, 1)) > most:
                continue
            heights = (*(left // others + (n < left % others) for n in range(others)), last)
            ends = timeline(machine, shape, [height * columns for height in heights])
            beats = machine.port_cycles(len(heights) * shape.stream_bytes(machine))
            rank = max(ends[-1], beats) + BEAT * beats
            if best is None or rank < best[0]:
                best = rank, Tiles(columns, heights, tuple(ends))
    assert best is not None
    return best[1]


def cycles(machine: Machine, shape: Shape) -> int:
    """What a convolution takes: its array and its requantization, or its stream where that takes longer."""
    tiles = divided(machine, shape)
    commands = len(tiles.heights) * -(-shape.slots[1] // tiles.width)
    return max(tiles.cycles[-1], machine.port_cycles(commands * shape.stream_bytes(machine)))
