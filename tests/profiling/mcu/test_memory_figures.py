"""Waits for memories: counted by hand, and never fewer with more wait states."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiling.mcu.sequences import operations

from edgekit.profiling.mcu.cores import Bound
from edgekit.profiling.mcu.memory import Blocks, Memories, Tensors
from edgekit.runners import BlockUse
from edgekit.target.mcu import Region, RegionKind

LOADS = operations("ldr r0, [r1]; ldrb r2, [r3]")
"""Five bytes."""


def region(wait_states: int, fetch_bytes: int = 8) -> Region:
    return Region(kind=RegionKind.FLASH, address=0, kib=64, wait_states=wait_states, fetch_bytes=fetch_bytes)


def use(size: int, count: int, *, where: str = "flash", flash: int = 0, ram: int = 0) -> BlockUse:
    loads = {name: n for name, n in (("flash", flash), ("ram", ram)) if n}
    return BlockUse("00" * size, count, region=where, loads=loads)


def code(*uses: BlockUse) -> Blocks:
    return [(one, ()) for one in uses]


def test_without_a_cache_every_piece_of_code_is_waited_for() -> None:
    memories = Memories({"flash": region(5)})
    blocks = code(use(20, 10), use(8, 3))  # three pieces of eight bytes, and one
    assert memories.waits(blocks, Tensors(0), Bound.HIGH) == 10 * 3 * 5 + 3 * 1 * 5
    assert memories.waits(blocks, Tensors(0), Bound.LOW) == 10 * 5 + 3 * 5  # a prefetcher hides all but the first


def test_further_pieces_are_fetched_while_those_before_are_executed() -> None:
    memories = Memories({"flash": region(5)})
    nops = operations("; ".join(["nop"] * 12))
    assert memories.waits([(use(24, 10), nops)], Tensors(0), Bound.VALUE) == 10 * (
        5 + 2 * (5 - 4)
    )  # four a piece, a cycle each
    assert memories.waits([(use(24, 10), nops[:3])], Tensors(0), Bound.VALUE) == 10 * (5 + 2 * (5 - 1))


def test_what_runs_most_stays_in_the_cache_and_comes_once() -> None:
    blocks = code(use(512, 1000), use(512, 900), use(16, 2))
    memories = Memories({"flash": region(5)}, code_cache=1024)
    assert (
        memories.waits(blocks, Tensors(0), Bound.VALUE) == (64 + 64 + 2 * 2) * 5
    )  # 16 bytes, of no known instructions
    assert memories.waits(blocks, Tensors(0), Bound.HIGH) == (64 + 900 * 64 + 2 * 2) * 5  # half of the cache


def test_code_in_a_memory_without_wait_states_costs_nothing() -> None:
    memories = Memories({"flash": region(5)})
    assert memories.waits(code(use(512, 1000, where="tcm")), Tensors(0), Bound.HIGH) == 0


def test_data_comes_in_pieces_of_the_memory() -> None:
    memories = Memories({"flash": region(5)})
    blocks: Blocks = [(use(4, 100, where="tcm", flash=100, ram=100), LOADS)]
    bytes_loaded = 100 * 5 / 2  # half of the loads are from RAM
    assert memories.waits(blocks, Tensors(10_000), Bound.VALUE) == bytes_loaded / 8 * 5
    assert memories.waits(blocks, Tensors(0), Bound.VALUE) == bytes_loaded / 8 * 5  # of no operator's tensors
    assert memories.waits(blocks, Tensors(80), Bound.LOW) == 80 / 8 * 5  # each byte of the tensors once
    assert memories.waits(blocks, Tensors(80), Bound.HIGH) == 100 / 2 * 2 * 5  # every load for itself


def test_data_that_fits_the_cache_comes_once() -> None:
    memories = Memories({"flash": region(5)}, data_cache=4096)
    blocks: Blocks = [(use(4, 1000, where="tcm", flash=2000), LOADS)]
    assert memories.waits(blocks, Tensors(4096), Bound.VALUE) == 4096 / 8 * 5
    assert memories.waits(blocks, Tensors(4097), Bound.VALUE) == 5000 / 8 * 5
    assert memories.waits(blocks, Tensors(4096), Bound.HIGH) == 5000 / 8 * 5


def test_constants_lie_in_flash_and_activations_in_ram() -> None:
    slow = replace(region(5), kind=RegionKind.RAM)
    memories = Memories({"flash": region(5), "ram": slow}, data_cache=4096)
    blocks: Blocks = [(use(4, 1000, where="tcm", flash=1000, ram=1000), LOADS)]
    assert memories.waits(blocks, Tensors(800, 8000), Bound.VALUE) == 800 / 8 * 5 + 2500 / 8 * 5
    assert memories.waits(blocks, Tensors(8000, 800), Bound.VALUE) == 2500 / 8 * 5 + 800 / 8 * 5


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 500), st.integers(0, 900)), min_size=1, max_size=6),
    st.integers(0, 9), st.integers(0, 9), st.sampled_from([0, 64, 4096]), st.integers(0, 5000),
)  # fmt: skip
def test_more_wait_states_never_cost_less_and_bounds_keep_their_order(
    shapes: list[tuple[int, int, int]], wait_states: int, more: int, cache: int, tensors: int
) -> None:
    blocks = [(use(2 * size, count, flash=loads, ram=count), LOADS) for size, count, loads in shapes]
    fast, slow = (Memories({"flash": region(n)}, cache, cache) for n in (wait_states, wait_states + more))
    for bound in Bound:
        assert fast.waits(blocks, Tensors(tensors), bound) <= slow.waits(blocks, Tensors(tensors), bound)
    low, value, high = (slow.waits(blocks, Tensors(tensors), bound) for bound in Bound)
    assert low <= value + 1e-6 and value <= high + 1e-6


@pytest.mark.parametrize("bound", Bound)
def test_no_blocks_no_waits(bound: Bound) -> None:
    assert Memories({"flash": region(5)}).waits([], Tensors(100), bound) == 0
