"""Register tiles of convolutions: how many pixels by how many channels a kernel computes at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgekit.codegen.schedule.machine import Machine

DOT_LANES = {"vnni": (8, 16), "sdot": (4,), "mlal": (4,)}
"""Outputs of one dot product instruction."""
CACHE = 32768
"""Bytes of weights that may stay in the first cache while a picture is walked; else each block of channels walks it."""

Tile = tuple[int, int, int]
"""Pixels and channels of a register tile, and lanes."""
_LEAST: tuple[float, Tile] = (0.0, (1, 1, 1))


def divisors(number: int, most: int) -> list[int]:
    """Divisors of a number up to ``most``."""
    return [d for d in range(1, min(number, most) + 1) if number % d == 0]


def tile(width: int, channels: int, machine: Machine, *, dots: bool = False, held: int = 1) -> Tile:
    """The best of :func:`tiles`: as many accumulators as registers allow, fewest loads."""
    return max(tiles(width, channels, machine, dots=dots, held=held), key=lambda found: found[0], default=_LEAST)[1]


def tiles(
    width: int, channels: int, machine: Machine, *, dots: bool = False, held: int = 1
) -> Iterator[tuple[float, Tile]]:
    """All register tiles, each with its score; both sides divide their dimension, so that no tile is cut.

    :param dots: sums are dot products of bytes, where the lanes allow it. :param held: registers of weights a vector.
    """
    fit = [n for n in (1, 2, 4, 8, 16) if n <= machine.lanes and channels % n == 0]
    whole = [n for n in fit if n in DOT_LANES.get(machine.dot, ())] if dots else []
    for lanes in whole or fit:
        for vectors in range(1, 9):
            if channels % (lanes * vectors):
                continue
            for pixels in divisors(width, 16):
                accumulators = pixels * vectors
                # Products of 16 bits have a register of their own until they are added.
                sums = 2 if dots and machine.dot == "mlal" and pixels > 1 else 1
                if accumulators * sums + vectors * held + 1 > machine.registers or (vectors > 4 and pixels > 1):
                    continue
                # Work for each load: a tile loads `vectors` weights and broadcasts `pixels` values.
                score = lanes * accumulators / (vectors + 0.5 * pixels) * (1.0 if lanes == machine.lanes else 0.8)
                if dots and lanes == 4 and pixels > 1 and vectors % 2:  # eight sums are narrowed to bytes together
                    score *= 0.7
                yield score, (pixels, lanes * vectors, lanes)


def held_registers(machine: Machine, depth: int, *, integers: bool) -> int:
    """Registers of weights that a vector of accumulators needs, by the dot product's kind."""
    return {"sdot": {0: 4, 8: 2}.get(depth % 16, 1), "mlal": 2}.get(machine.dot, 1) if integers else 1


def chosen_tile(choice: Mapping[str, Any], found: Sequence[tuple[float, Tile]]) -> Tile:
    """The choice's tile where it is one of those that fit, else the best by score."""
    wanted = [one for _, one in found if list(one) == choice.get("tile")]
    return wanted[0] if wanted else max(found, key=lambda one: one[0], default=_LEAST)[1]


def window_tiles(height: int, width: int, channels: int) -> list[tuple[str, list[Any]]]:
    """What a depthwise convolution's ``tile`` and ``rows`` may be."""
    vectors = [n for n in (4, 8, 16, 32, 64) if channels % n == 0]
    return [
        ("tile", [[p, n, n] for p in divisors(width, 16) for n in vectors]),
        ("rows", [n for n in (1, 2, 4) if height % n == 0]),
    ]
