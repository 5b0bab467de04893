"""Graph -> Program for processors: where things lie, what halos hold, which tiles are chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.backends.tvm import emit
from edgekit.codegen import loops
from edgekit.codegen.lower import lower
from edgekit.codegen.program import Program
from edgekit.codegen.schedule import cpu
from edgekit.codegen.schedule.base import size_of
from edgekit.codegen.schedule.machine import Machine
from edgekit.codegen.schedule.tiles import tile
from edgekit.graph import Graph, tflite
from tests.networks.building import RELU, Pictures, as_integers
from tests.networks.small import convolutional

MACHINES = [Machine(16, 32, "vnni"), Machine(8, 16), Machine(4, 32, "sdot"), Machine(4, 16)]
NETWORKS = st.integers(0, 2**31)


def random_network(seed: int, integers: bool) -> Graph:
    """Convolutions, depthwise ones, pools and additions in any order, on a feature map of any size."""
    rng = np.random.default_rng(seed)
    n = Pictures(seed)
    first = n.tensor((1, int(rng.integers(3, 17)), int(rng.integers(3, 17)), int(rng.choice([1, 3, 8, 10]))))
    made = [first]
    for _ in range(int(rng.integers(1, 9))):
        x = made[int(rng.integers(max(0, len(made) - 3), len(made)))]
        kind = rng.integers(0, 5)
        kernel, strides = (int(rng.integers(1, 4)),) * 2, (int(rng.integers(1, 3)),) * 2
        if kind == 0:
            made.append(n.conv(x, int(rng.choice([3, 8, 16])), kernel, strides))
        elif kind == 1:
            made.append(n.depthwise(x, kernel, strides, activation=RELU))
        elif kind == 2:
            made.append(n.pool("MAX_POOL_2D", x, kernel, strides, False))
        elif kind == 3:
            made.append(n.add2("ADD", n.conv(x, n.tensors[x].shape[3], kernel), x))
        else:
            made.append(n.pad(x, (0, 0), (int(rng.integers(0, 3)), 1), (0, int(rng.integers(0, 3))), (0, 0)))
    graph = n.all_results(first)
    return as_integers(graph, rng) if integers else graph


def lifetimes(program: Program) -> dict[int, tuple[int, int]]:
    """First and last call that touches each buffer of the arena."""
    seen: dict[int, list[int]] = {}
    for number, call in enumerate(program.calls):
        for argument in call.args:
            if program.buffers[argument.buffer].kind != "constant":
                seen.setdefault(argument.buffer, []).append(number)
    for index in program.inputs:
        seen.setdefault(index, []).append(-1)
    for index in program.outputs:
        seen.setdefault(index, []).append(len(program.calls))
    return {index: (min(times), max(times)) for index, times in seen.items()}


@settings(max_examples=60, deadline=None)
@given(NETWORKS, st.booleans(), st.sampled_from(MACHINES))
def test_what_lives_at_once_lies_apart_and_inside_the_arena(seed: int, integers: bool, machine: Machine) -> None:
    program = cpu.schedule(lower(random_network(seed, integers)), machine)
    scratch = np.random.default_rng(seed).integers(0, 3, len(program.calls)) * 700
    placed = program.placements([int(nbytes) for nbytes in scratch])
    places, arena, life = placed.buffers, placed.arena, lifetimes(program)
    assert set(places) == set(life)
    spans = [(places[i], places[i] + program.buffers[i].nbytes, *life[i]) for i in life]
    rooms = zip(placed.scratch, scratch, strict=True)
    spans += [(start, start + int(nbytes), n, n) for n, (start, nbytes) in enumerate(rooms) if nbytes]
    for number, (start, end, first, last) in enumerate(spans):
        assert start % 64 == 0 and end <= arena
        for other_start, other_end, other_first, other_last in spans[:number]:
            if first <= other_last and other_first <= last:
                assert end <= other_start or other_end <= start


@settings(max_examples=60, deadline=None)
@given(NETWORKS, st.booleans(), st.sampled_from(MACHINES))
def test_halos_keep_their_value(seed: int, integers: bool, machine: Machine) -> None:
    """A feature map with a halo is written inside it only, and holds what means 0 around."""
    graph = random_network(seed, integers)
    program = cpu.schedule(lower(graph), machine)
    for call in program.calls:
        out, nest = call.args[-1], call.loops
        halo = program.buffers[out.buffer].halo
        if halo is None:
            continue
        assert isinstance(nest, loops.Conv | loops.Depthwise | loops.Elements | loops.Pool)
        top, left, height, width = halo.inner
        *outer, corner_y, corner_x = nest.output
        assert tuple(outer) == halo.outer == out.shape
        assert (corner_y, corner_x) >= (top, left)
        assert corner_y + nest.shape[0] <= top + height
        assert corner_x + nest.shape[1] <= left + width
        if not integers:
            assert halo.value == 0


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(1, 1300), st.sampled_from(MACHINES))
def test_tiles_divide_and_fit_the_registers(width: int, channels: int, machine: Machine) -> None:
    pixels, together, lanes = tile(width, channels, machine)
    assert width % pixels == 0 and channels % together == 0 and together % lanes == 0
    vectors = together // lanes
    assert lanes <= machine.lanes and pixels * vectors + vectors + 1 <= machine.registers


@given(st.lists(st.integers(1, 9), max_size=5))
def test_a_feature_map_has_as_many_elements_as_its_tensor(shape: list[int]) -> None:
    assert np.prod(size_of(shape)) == np.prod(shape, initial=1)


def test_equal_weights_are_stored_once_and_aligned() -> None:
    n = Pictures()
    x = n.tensor((1, 8))
    first = n.dense(x, 8)
    n.add("FULLY_CONNECTED", (first, *n.operators[0].inputs[1:]), (1, 8), options="FullyConnected")
    program = cpu.schedule(lower(n.all_results(x)), MACHINES[0])
    blob, offsets = emit.weights(program)
    assert len(offsets) == 4 and len(set(offsets.values())) == 2
    assert all(offset % 64 == 0 for offset in offsets.values())
    assert len(blob) == 8 * 8 * 4 + 8 * 4


def test_the_same_graph_gives_the_same_source(tmp_path: Path) -> None:
    tflite.write(convolutional(np.ones((10, 577), np.float32)), tmp_path / "n.tflite")
    made = []
    for _ in range(2):
        program = cpu.schedule(lower(tflite.read(tmp_path / "n.tflite")), MACHINES[0])
        made.append(emit.source(program, [call.loops.name for call in program.calls], "tvm", {}))
    assert made[0] == made[1]
