"""The memory plan: nothing alive overlaps, and the arena is as small as it can be where that is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.graph import Graph, memory, tflite
from tests.conftest import SHARED_TFLITE
from tests.networks.small import Builder


def chain(sizes: list[int], skips: list[int]) -> Graph:
    """A chain of ADDs over float tensors of these sizes, each also reading an earlier one."""
    b = Builder()
    values = [b.tensor((sizes[0],), name="x")]
    for number, size in enumerate(sizes[1:]):
        earlier = values[skips[number % len(skips)] % len(values)]
        values.append(b.add("ADD", (values[-1], earlier), (size,), options="Add"))
    return b.graph((values[0],), (values[-1],))


def check_plan(graph: Graph) -> memory.Plan:
    plan = memory.plan(graph.main)
    for p in plan.placements:
        assert p.offset % memory.ALIGNMENT == 0
        assert p.offset + p.nbytes <= plan.arena_bytes
        for q in plan.placements:
            together = p.first <= q.last and q.first <= p.last
            apart = p.offset + p.nbytes <= q.offset or q.offset + q.nbytes <= p.offset
            assert p.index == q.index or not together or apart
    assert plan.arena_bytes >= plan.lower_bound_bytes
    return plan


@given(st.lists(st.integers(1, 500), min_size=2, max_size=25), st.lists(st.integers(0, 50), min_size=1, max_size=9))
def test_nothing_overlaps(sizes: list[int], skips: list[int]) -> None:
    check_plan(chain(sizes, skips))


def test_a_plain_chain_needs_its_two_largest_neighbours() -> None:
    plan = check_plan(chain([64, 128, 256, 32], [10**6]))
    assert plan.arena_bytes == plan.lower_bound_bytes


def test_shared_models_reach_the_bound(models: Path) -> None:
    for path in SHARED_TFLITE:
        plan = check_plan(tflite.read(path))
        assert plan.arena_bytes <= 1.1 * plan.lower_bound_bytes, path.name


def test_variables_live_all_along() -> None:
    b = Builder()
    x = b.tensor((16,), name="x")
    state = b.tensor((16,), name="state", is_variable=True)
    y = b.add("ADD", (x, state), (16,), options="Add")
    z = b.add("ADD", (y, b.constant(np.ones(16, np.float32))), (16,), options="Add")
    life = memory.lifetimes(b.graph((x,), (z,)).main)
    assert life[state] == (-1, 2)
