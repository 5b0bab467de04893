"""Assignment of samples to steps: the same samples however many workers share them.

A global batch of B samples is B lanes. Sample i lies in lane i mod B for good; every epoch shuffles each lane on its
own, from the seed, the epoch and the lane, and step t takes the t-th sample of every lane. Worker k of W holds the
lanes l with l mod W = k: its shard of the samples is fixed, and the union of the workers' batches is what one worker
alone would take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lanes:
    """The lanes of one worker.

    :param samples: how many there are in all; :param batch: lanes in all, a multiple of ``workers``.
    :param index: this worker's number, from 0.
    """

    samples: int
    batch: int
    seed: int = 0
    workers: int = 1
    index: int = 0

    @property
    def steps(self) -> int:
        """Steps of an epoch; the last one may have fewer samples than lanes."""
        return -(-self.samples // self.batch)

    @property
    def slots(self) -> int:
        """Lanes of this worker."""
        return self.batch // self.workers

    def shard(self) -> NDArray[np.int64]:
        """Indices of the samples that this worker holds, ascending."""
        index = np.arange(self.samples)
        return np.flatnonzero(index % self.batch % self.workers == self.index)

    def count(self, step: int) -> int:
        """Samples of all workers in a step."""
        return min(self.batch, self.samples - step * self.batch)

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield the batches from step ``first`` on: places in the shard, and weights, ``[slots]`` each.

        A lane without a sample left gives some other sample with weight 0.
        """
        columns = [self._shuffled(number, slot) for slot in range(self.slots)]
        for step in range(first, self.steps):
            here = [step < len(column) for column in columns]
            places = [c[step] if ok else 0 for c, ok in zip(columns, here, strict=True)]
            yield np.array(places, np.int64), np.array(here, np.float32)

    def _shuffled(self, epoch: int, slot: int) -> NDArray[np.int64]:
        lane = slot * self.workers + self.index
        length = len(range(lane, self.samples, self.batch))
        order: NDArray[np.int64] = np.random.default_rng([self.seed, epoch, lane]).permutation(length)
        return np.asarray(order * self.slots + slot)
