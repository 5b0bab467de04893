"""Batches do not depend on how many workers share them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.training.lanes import Lanes

lanes = st.builds(
    lambda samples, slots, workers, seed: (samples, slots * workers, workers, seed),
    st.integers(1, 200), st.integers(1, 9), st.integers(1, 4), st.integers(0, 5),
)  # fmt: skip


def batches(one: Lanes, epoch: int) -> list[set[int]]:
    """The samples of each step, by their number in the whole data."""
    shard = one.shard()
    made = []
    for places, weights in one.epoch(epoch):
        assert len(places) == len(weights) == one.slots
        made.append({int(shard[p]) for p, w in zip(places, weights, strict=True) if w and len(shard)})
        assert len(made[-1]) == int(weights.sum())
    return made


@given(lanes, st.integers(0, 3))
def test_workers_share_what_one_would_take(setting: tuple[int, int, int, int], epoch: int) -> None:
    samples, batch, workers, seed = setting
    alone = Lanes(samples, batch, seed)
    whole = batches(alone, epoch)
    assert sorted(i for step in whole for i in step) == list(range(samples))
    assert [len(step) for step in whole] == [alone.count(step) for step in range(alone.steps)]
    parts = [batches(Lanes(samples, batch, seed, workers, index), epoch) for index in range(workers)]
    assert [set().union(*step) for step in zip(*parts, strict=True)] == whole
    shards = [Lanes(samples, batch, seed, workers, index).shard() for index in range(workers)]
    assert sorted(np.concatenate(shards).tolist()) == list(range(samples))


@given(lanes, st.integers(0, 8))
def test_an_epoch_can_be_taken_up_anywhere(setting: tuple[int, int, int, int], first: int) -> None:
    samples, batch, workers, seed = setting
    one = Lanes(samples, batch, seed, workers, workers - 1)
    rest = [places.tolist() for places, _ in one.epoch(1, first)]
    assert rest == [places.tolist() for places, _ in one.epoch(1)][first:]


def test_epochs_differ_and_seeds_do() -> None:
    def order(seed: int, epoch: int) -> list[set[int]]:
        return batches(Lanes(64, 8, seed), epoch)

    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    assert order(0, 0) == order(0, 0)
