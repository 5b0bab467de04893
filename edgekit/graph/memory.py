"""A memory plan for activations: the position of each tensor in one arena, and the arena's size.

Tensors that are alive at the same time must not overlap. Placement is greedy by size: the largest first, each
at the lowest offset that is free during its whole life (Pisarchyk & Lee, "Efficient Memory Management for Deep
Neural Net Inference", 2020; the same plan as TFLite's arena planner). Offsets are multiples of 64 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.graph.ir import Subgraph

ALIGNMENT = 64
MAX_PLANNED = 20_000
"""Above this many tensors the plan is not made and its lower bound reported instead."""


@dataclass(frozen=True)
class Placement:
    """Tensor ``index`` lies at ``offset`` (bytes) while operators ``first`` to ``last`` run."""

    index: int
    offset: int
    nbytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """``arena_bytes`` hold all activations; ``lower_bound_bytes`` is the most that is ever alive at once."""

    arena_bytes: int
    lower_bound_bytes: int
    placements: tuple[Placement, ...]


def lifetimes(subgraph: Subgraph) -> dict[int, tuple[int, int]]:
    """For each activation: the first and the last operator during which it must exist.

    Inputs exist from before operator 0 (-1), outputs until after the last, variables always.
    """
    count = len(subgraph.operators)
    life: dict[int, tuple[int, int]] = dict.fromkeys(subgraph.inputs, (-1, -1))
    for index, tensor in enumerate(subgraph.tensors):
        if tensor.is_variable:
            life[index] = (-1, count)
    for number, operator in enumerate(subgraph.operators):
        for index in operator.outputs:
            life[index] = (life.get(index, (number, number))[0], number)
        for index in operator.inputs:
            if index in life:
                life[index] = (life[index][0], max(life[index][1], number))
    for index in subgraph.outputs:
        if index in life:
            life[index] = (life[index][0], count)
    return {i: span for i, span in life.items() if subgraph.tensors[i].data is None}


def plan(subgraph: Subgraph) -> Plan:
    """Plan the arena of one subgraph."""
    life = lifetimes(subgraph)
    sizes = {i: _aligned(subgraph.tensors[i].nbytes) for i in life}
    bound = _most_alive(life, sizes, len(subgraph.operators))
    if len(life) > MAX_PLANNED:
        return Plan(bound, bound, ())
    offsets, arena = place({i: subgraph.tensors[i].nbytes for i in life}, life)
    placed = [Placement(i, offsets[i], subgraph.tensors[i].nbytes, *life[i]) for i in sorted(life)]
    return Plan(arena, bound, tuple(placed))


def place(sizes: Mapping[int, int], life: Mapping[int, tuple[int, int]]) -> tuple[dict[int, int], int]:
    """Return each item's offset in one arena, and the arena's bytes.

    :param sizes: bytes; :param life: first and last step during which the item must exist.
    """
    placed: list[tuple[int, int, int]] = []  # offset, end, item; in order
    for index in sorted(life, key=lambda i: (-_aligned(sizes[i]), life[i][0], i)):
        (first, last), need, offset = life[index], _aligned(sizes[index]), 0
        for start, end, other in placed:
            if life[other][0] <= last and first <= life[other][1]:
                if offset + need <= start:
                    break
                offset = max(offset, end)
        placed.append((offset, offset + need, index))
        placed.sort()
    return {index: offset for offset, _, index in placed}, max((end for _, end, _ in placed), default=0)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _most_alive(life: dict[int, tuple[int, int]], sizes: dict[int, int], count: int) -> int:
    change = [0] * (count + 3)
    for index, (first, last) in life.items():
        change[first + 1] += sizes[index]
        change[last + 2] -= sizes[index]
    alive = most = 0
    for step in change:
        alive += step
        most = max(most, alive)
    return most
