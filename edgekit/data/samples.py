"""Samples in memory, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError


@dataclass(frozen=True)
class Dataset:
    """Samples for a network.

    :param inputs: one array per network input, ``[n, *tensor shape]`` (the tensor's own batch dimension of 1
        included, so one sample is what the interpreter takes). Real values are float32; integers are in the
        input tensor's own dtype and go into the network as they are.
    :param labels: the right class of each sample, int64 ``[n]``, or None.
    :param truth: what is right for each sample, as it was given ``[n, ...]``: classes, numbers, masks, or a
        :class:`~edgekit.data.boxes.Boxes` in the picture's pixels each; or None.
    :param groups: the group each sample belongs to, int64 or str ``[n]``, or None: accuracy is told for each.
    :param random: True if the samples are noise, so that accuracy means nothing.
    :param source: where they come from, in words.
    :param index: where each sample stands in the source, int64 ``[n]``; None where that holds all of them, in order.
    :param files: that the samples come from, ``[n]`` of Path; ``names``: what they are called in the folder; or None.
    :param sizes: width and height of the pictures that the samples are made of, int64 ``[n, 2]``; None of others.
    :param recordings: the number of the recording that each sample is a clip of, int64 ``[n]``; None of others.
    :param texts: that the samples are made of, ``[n]`` of str; None of others.
    :param cells: of the rows that the samples are made of, in the order of the task's columns, str ``[n, columns]``; or
        None.
    :param notes: what reading had to assume or convert, in words.
    """

    inputs: list[NDArray[Any]]
    labels: NDArray[np.int64] | None = None
    random: bool = False
    source: str = ""
    notes: list[str] = field(default_factory=list)
    groups: NDArray[Any] | None = None
    index: NDArray[np.int64] | None = None
    truth: NDArray[Any] | None = None
    names: NDArray[Any] | None = None
    files: NDArray[Any] | None = None
    sizes: NDArray[np.int64] | None = None
    recordings: NDArray[np.int64] | None = None
    texts: NDArray[Any] | None = None
    cells: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def subset(self, limit: int | None, seed: int = 0) -> Dataset:
        """Return at most ``limit`` samples, drawn without replacement (data sorted by class stays mixed)."""
        if limit is None or limit >= len(self):
            return self
        return self.take(_draw(len(self), limit, seed))

    def take(self, chosen: NDArray[np.int64]) -> Dataset:
        """Return the samples with these indices."""
        index = np.asarray(chosen, np.int64) if self.index is None else self.index[chosen]
        kept: dict[str, Any] = {
            name: None if (rows := getattr(self, name)) is None else rows[chosen]
            for name in ("labels", "groups", "truth", "names", "files", "sizes", "recordings", "texts", "cells")
        }
        return replace(self, inputs=[x[chosen] for x in self.inputs], index=index, **kept)

    def part(self, parts: Sequence[tuple[int, int]], seed: int) -> Dataset:
        """Return the K-th of N parts, which are as large as can be, mixed, and have no sample in common; part of parts.

        :raises UsageError: if there are fewer samples than parts.
        """
        chosen = self
        for number, count in parts:
            if len(chosen) < count:
                raise UsageError(
                    f"{self.source}: {len(chosen)} samples cannot be split into {count} parts", "pass more"
                )
            chosen = chosen.take(np.sort(np.random.default_rng(seed).permutation(len(chosen))[number - 1 :: count]))
        return chosen


def _draw(count: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Draw ``limit`` of ``count`` indices without replacement, in ascending order."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:limit])
