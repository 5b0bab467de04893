"""One arena for a program: offsets of buffers and of scratch, near the least that is possible.

Two buffers that live at the same time must not overlap, with one exception: a step's output may overlap the input that
dies with it, as far behind it as the kernel allows (``Step.behind``). So an element-wise kernel works in place, and a
convolution writes its rows where it has already read.

Offsets are found by placing buffers one after the other at the lowest offset that is free, in many orders: by size
first, then by a local search over orders with a fixed seed, until the lower bound is reached or a budget of tries is
used up. The lower bound is the largest sum, over all steps, of what must be in memory during the step.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.codegen.schedule.mcu.steps import Program, aligned

TRIES = 400
"""Orders that the search tries; a try of 50 buffers takes about half a millisecond."""


@dataclass(frozen=True)
class Item:
    """Something to place: bytes, and the steps during which it lives."""

    nbytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """Offsets in bytes.

    :param buffers: of each buffer. :param scratch: of each step's scratch. :param arena: bytes of all.
    :param lower_bound: bytes that no plan of these steps can do without.
    """

    buffers: tuple[int, ...]
    scratch: tuple[int, ...]
    arena: int
    lower_bound: int


@dataclass(frozen=True)
class Gap:
    """How an output and an input may overlap although both live.

    :param distance: the output may start at least so many bytes before the input. :param in_place: or where it starts.
    """

    distance: int
    in_place: bool = False


Pairs = dict[tuple[int, int], Gap]
"""``(output, input)``."""


def plan(program: Program, tries: int = TRIES) -> Plan:
    """Place all buffers of a program and the scratch of its steps.

    :param tries: orders that the search tries.
    """
    items, pairs = _items(program)
    bound = _lower_bound(items, pairs, len(program.steps))
    offsets, arena = _search(items, pairs, bound, tries)
    count = len(program.buffers)
    return Plan(tuple(offsets[:count]), tuple(offsets[count:]), arena, bound)


def lower_bound(program: Program) -> int:
    """Return the bytes that no plan of a program's steps can do without."""
    return _lower_bound(*_items(program), len(program.steps))


def need(program: Program, step: int) -> int:
    """Return the bytes that must be in memory while a step runs."""
    return _need(*_items(program), step)


def _items(program: Program) -> tuple[list[Item], Pairs]:
    count = len(program.steps)
    first, last = dict.fromkeys(program.inputs, -1), dict.fromkeys(program.inputs, -1)
    pairs: Pairs = {}
    for number, step in enumerate(program.steps):
        for operand in (*step.inputs, step.output):
            if operand.buffer >= 0:
                first.setdefault(operand.buffer, number)
                last[operand.buffer] = number
    for buffer in program.outputs:
        first.setdefault(buffer, -1)
        last[buffer] = count
    for number, one in enumerate(program.buffers):
        if one.pinned:
            first[number], last[number] = -1, count
    for number, step in enumerate(program.steps):
        output = step.output.buffer
        kept = {operand.buffer for operand, far in zip(step.inputs, step.behind, strict=False) if far is None}
        for operand, distance in zip(step.inputs, step.behind, strict=False):
            if (
                operand.buffer not in kept
                and operand.buffer >= 0
                and distance is not None
                and last[operand.buffer] == number == first[output]
            ):
                pair = output, operand.buffer
                shift = step.output.offset - operand.offset
                gap = Gap(distance + shift, step.in_place and not shift)
                before = pairs.get(pair, gap)
                pairs[pair] = Gap(max(gap.distance, before.distance), before.in_place and gap.in_place)
    unused = Item(0, 0, 0)
    items = [Item(b.nbytes, first[n], last[n]) if n in first else unused for n, b in enumerate(program.buffers)]
    items += [Item(step.scratch, number, number) for number, step in enumerate(program.steps)]
    return items, pairs


def _together(a: Item, b: Item) -> bool:
    return bool(a.nbytes and b.nbytes) and a.first <= b.last and b.first <= a.last


def _overlap(items: Sequence[Item], pairs: Pairs, output: int, source: int) -> int:
    """Bytes that an output and an input share if the one lies as far behind the other as it must."""
    gap = pairs[output, source]
    distance = min(0, gap.distance) if gap.in_place else gap.distance
    return max(0, min(items[output].nbytes - distance, items[source].nbytes))


def _lower_bound(items: Sequence[Item], pairs: Pairs, steps: int) -> int:
    return max(_need(items, pairs, step) for step in range(-1, steps + 1))


def _need(items: Sequence[Item], pairs: Pairs, step: int) -> int:
    """Bytes of all that lives during a step, less what outputs share with inputs."""
    alive = {n for n, item in enumerate(items) if item.first <= step <= item.last}
    shared: dict[int, int] = {}
    for output, source in pairs:
        if output in alive and source in alive:
            shared[output] = shared.get(output, 0) + _overlap(items, pairs, output, source)
    total = sum(items[n].nbytes for n in alive)
    return total - sum(min(items[n].nbytes, value) for n, value in shared.items())


def _search(items: Sequence[Item], pairs: Pairs, bound: int, tries: int) -> tuple[list[int], int]:
    order = sorted(range(len(items)), key=lambda n: (-items[n].nbytes, items[n].first, n))
    best, least = _placed(items, pairs, order)
    by_time = sorted(range(len(items)), key=lambda n: (items[n].first, -items[n].nbytes, n))
    for other in (by_time, by_time[::-1]):
        offsets, arena = _placed(items, pairs, other)
        if arena < least:
            best, least, order = offsets, arena, other
    if len(items) < 2:
        return best, least
    source = random.Random(0)
    for _ in range(tries):
        if least <= aligned(bound):
            break
        tried = list(order)
        for _ in range(source.choice((1, 1, 2, 3))):
            a, b = source.randrange(len(tried)), source.randrange(len(tried))
            tried.insert(b, tried.pop(a))
        offsets, arena = _placed(items, pairs, tried)
        if arena <= least:
            best, least, order = offsets, arena, tried
    return best, least


def _placed(items: Sequence[Item], pairs: Pairs, order: Sequence[int]) -> tuple[list[int], int]:
    """Each item at the lowest free offset, in this order."""
    offsets, done, arena = [0] * len(items), list[int](), 0
    for number in order:
        item = items[number]
        if not item.nbytes:
            continue
        taken = sorted(
            interval
            for other in done
            if _together(item, items[other])
            for interval in _forbidden(items, pairs, offsets, number, other)
        )
        at = 0
        for low, high in taken:  # starts in (low, high) are not free
            if at <= low:
                break
            if at < high:
                at = aligned(high)
        offsets[number] = at
        done.append(number)
        arena = max(arena, at + item.nbytes)
    return offsets, aligned(arena)


def _forbidden(
    items: Sequence[Item], pairs: Pairs, offsets: Sequence[int], number: int, other: int
) -> list[tuple[int, int]]:
    """Where an item must not start because of another that is placed: after the first, before the second."""
    start, end = offsets[other], offsets[other] + items[other].nbytes
    low = start - items[number].nbytes
    gap = pairs.get((number, other))
    if gap is not None:  # it is the output: its start may lie that far before
        low = start - min(items[number].nbytes, gap.distance)
    else:
        gap = pairs.get((other, number))
        if gap is not None:  # it is the input: its start may lie that far after
            end = start + min(items[other].nbytes, gap.distance)
    if gap is not None and gap.in_place and low < start < end:
        return [(low, start), (start, end)]
    return [(low, end)]
