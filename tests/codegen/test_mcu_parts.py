"""Parts of tensors in place: the same results without copies, and not where a copy is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import target
from edgekit.backends.c99 import C99, Optimize
from edgekit.backends.c99 import Plan as Planned
from edgekit.codegen.schedule.mcu import memory, parts
from edgekit.codegen.schedule.mcu.steps import Operand, Piece, Program, Step
from edgekit.graph import Graph
from tests.backends import c99_networks, c99_random
from tests.networks.building import several

SCALE = (0.1, 3)
DEPTH = 5
"""Channels of every tensor ``[rows, DEPTH]``."""


class Stacks(c99_random.Mixture):
    """Random networks of tensors that are joined and split along rows, or otherwise."""

    def rows(self, x: int) -> int:
        return self.tensors[x].shape[0]

    def computed(self, x: int) -> int:
        """Another tensor of the same shape."""
        shape = self.tensors[x].shape
        if self.number(0, 2) == 0:
            return self.made("ADD", (x, x), shape, SCALE, options="Add", version=2)
        return self.made(self.one_of("RELU", "RELU6"), (x,), shape, SCALE)

    def joined(self, *given: int) -> int:
        shape = (sum(map(self.rows, given)), DEPTH)
        return self.made("CONCATENATION", given, shape, SCALE, options="Concatenation", axis=0, version=2)

    def sliced(self, x: int) -> int:
        begin = self.number(0, self.rows(x) - 1)
        count = self.number(1, self.rows(x) - begin)
        width = self.one_of(DEPTH, DEPTH, 2)
        made = self.made("SLICE", (x, self.ints(begin, 0), self.ints(count, width)), (count, width), SCALE,
                         options="Slice", version=4)  # fmt: skip
        return made if width == DEPTH else x

    def halved(self, x: int) -> list[int]:
        shape = (self.rows(x) // 2, DEPTH)
        made = several(self, "SPLIT", (self.ints(0), x), [shape, shape], "Split", ("int8", "int8"), numSplits=2)
        for one in made:
            self.tensors[one].quantization = self.tensors[x].quantization
        return list(made)


def stacks(seed: int) -> Graph:
    n = Stacks(seed)
    known = [n.given(n.number(1, 4), DEPTH, scale=SCALE) for _ in range(2)]
    for _ in range(14):
        x = n.one_of(*known[-5:])
        match n.number(0, 4):
            case 0 | 1:
                known.append(n.computed(x))
            case 2:
                known.append(n.joined(*(n.one_of(*known[-5:]) for _ in range(n.number(1, 3)))))
            case 3:
                known.append(n.sliced(x))
            case _ if n.rows(x) % 2 == 0:
                known += n.halved(x)
    ends = {known[-1], *(one for one in known[2:] if n.number(0, 4) == 0)}
    return n.graph(tuple(n.inputs), tuple(sorted(ends)))


def copies(program: Program) -> int:
    return sum(step.title == "Move" for step in program.steps)


@pytest.mark.slow
def test_random_networks_compute_the_same(tmp_path: Path) -> None:
    """Also in the planned arena, where outputs lie over inputs that die."""
    saved = 0
    for seed in range(10):
        graph = stacks(seed)
        inputs = [x[0] for x in c99_random.samples(graph, seed, 1)]
        program = c99_networks.scheduled(graph)
        expected, _ = c99_networks.compiled(program, tmp_path).run(inputs)
        for changed in (parts.in_place(program, always=True), parts.in_place(program)):
            saved += copies(program) - copies(changed)
            found, _ = c99_networks.compiled(changed, tmp_path, memory.plan(changed, tries=30)).run(inputs, 0xA5)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other, f"seed {seed}")
    assert saved > 20


def network(make: Any) -> Program:
    n = Stacks(0)
    x = n.given(4, DEPTH, scale=SCALE)
    return c99_networks.scheduled(n.graph((x,), make(n, x)))


def inner(n: Stacks, x: int) -> tuple[int, ...]:
    a, b = n.computed(x), n.computed(x)
    y = n.made("CONCATENATION", (a, b), (4, 2 * DEPTH), SCALE, options="Concatenation", axis=1, version=2)
    return (n.made("RELU", (y,), (4, 2 * DEPTH), SCALE),)


def outputs_too(n: Stacks, x: int) -> tuple[int, ...]:
    a, b = n.computed(x), n.computed(x)
    return a, n.computed(n.joined(a, b))


@pytest.mark.parametrize(
    ("make", "left"),
    [
        pytest.param(lambda n, x: (n.computed(n.joined(n.computed(x), n.computed(x))),), 0, id="joined"),
        pytest.param(lambda n, x: (n.joined(n.computed(x), n.computed(x)),), 0, id="joined at the end"),
        pytest.param(lambda n, x: (n.computed(n.joined(x, n.computed(x))),), 1, id="an input is joined"),
        pytest.param(lambda n, x: (n.computed(n.joined(*[n.computed(x)] * 2)),), 1, id="twice the same"),
        pytest.param(lambda n, x: tuple(map(n.computed, n.halved(x))), 0, id="split"),
        pytest.param(lambda n, x: tuple(n.halved(n.computed(x))), 2, id="split into outputs"),
        pytest.param(lambda n, x: (n.computed(n.joined(*map(n.computed, n.halved(x)))),), 0, id="split and joined"),
        pytest.param(lambda n, x: (n.computed(n.joined(*n.halved(x)[::-1])),), 2, id="exchanged halves of an input"),
        pytest.param(outputs_too, 1, id="a part that is an output"),
        pytest.param(inner, 2, id="along the inner axis"),
    ],
)
def test_what_is_copied(make: Any, left: int) -> None:
    assert copies(parts.in_place(network(make), always=True)) == left


@pytest.mark.parametrize(("second", "left"), [(8, 1), (10, 0)])
def test_a_piece_that_is_overwritten_is_copied(second: int, left: int) -> None:
    """Two steps fill one buffer: ten bytes from 0 on, then eight from 8 or 10 on."""
    program = Program()
    x, a, b, y, end = (program.add(size) for size in (10, 10, 8, 18, 18))
    moved = [Piece(0, 0, 10), Piece(0, second, 8)]
    program.steps += [
        Step("f", 0, "f", (Operand(x),), Operand(a)), Step("f", 1, "f", (Operand(a),), Operand(b)),
        Step("m", 2, "Move", (Operand(a),), Operand(y), piece=moved[0]),
        Step("m", 3, "Move", (Operand(b),), Operand(y), piece=moved[1]),
        Step("f", 4, "f", (Operand(y),), Operand(end)),
    ]  # fmt: skip
    program.inputs, program.outputs = [x], [end]
    assert copies(parts.in_place(program, always=True)) == 2 * left


def test_the_backend_has_parts_in_place() -> None:
    n = Stacks(0)
    x = n.given(4, DEPTH, scale=SCALE)
    graph = n.graph((x,), (n.computed(n.joined(n.computed(x), n.computed(x))),))
    for optimize in Optimize:
        backend = C99(optimize)
        plan = backend.plan(graph, target.load("nucleo-l4r5zi"))
        assert isinstance(plan, Planned)
        assert copies(plan.program) == 2 and copies(backend.arranged(plan)) == 0


def test_where_a_larger_buffer_would_need_a_larger_arena_parts_are_copied() -> None:
    """The first of two parts is computed early; what lies between them needs the memory of the second."""
    n = c99_random.Mixture(0)
    x = n.given(1, 64)
    early = n.made("RELU", (x,), (1, 64))
    wide = n.made("TILE", (x, n.ints(40, 1)), (40, 64), n.same(x), options="Tile")
    most = n.made("REDUCE_MAX", (wide, n.ints(0, 1)), (1, 1), n.same(x), options="Reducer", keepDims=True, version=2)
    late = n.made("TILE", (most, n.ints(30, 64)), (30, 64), n.same(early), options="Tile")
    for one in (early, wide, most, late):
        n.tensors[one].quantization = n.tensors[x].quantization
    y = n.made("CONCATENATION", (early, late), (31, 64), n.same(x), options="Concatenation", axis=0, version=2)
    program = c99_networks.scheduled(n.graph((x,), (n.made("RELU", (y,), (31, 64)),)))
    plain = memory.plan(program).arena
    assert memory.plan(parts.in_place(program)).arena <= parts.WORTH * plain
    assert memory.plan(parts.in_place(program, always=True)).arena > parts.WORTH * plain
