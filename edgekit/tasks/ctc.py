"""Greedy decoding of a network that was trained with CTC: the reference of ``firmware_stubs/linux/transcriber.c``.

Connectionist temporal classification (Graves et al., 2006) gives every frame a score for each label and for one more,
the blank, which stands for none. Greedily, a frame's label is the one with the highest score; repeats of a label
without a blank between them are one label, and blanks are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks.exact import exponential


@dataclass(frozen=True)
class Path:
    """The label of each frame of a clip.

    :param numbers: the labels with the highest scores, int64 ``[frames]``. :param scores: theirs, float64 ``[frames]``.
    """

    numbers: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """Where the frames of a clip lie in its recording.

    :param length, step: samples of a clip, and from one clip to the next; ``rate``: samples per second.
    """

    frames: int
    length: int
    step: int
    rate: int

    def counted(self, first: bool, last: bool) -> tuple[int, int]:
        """The frames of a clip that count, from and to: where clips overlap, each has its half.

        :param first, last: whether it is the recording's first or last clip, which have no neighbour on that side.
        """
        begin = 0 if first else self._from(self.length - self.step)
        return begin, self.frames if last else max(begin, self._from(self.length + self.step))

    def _from(self, half_samples: int) -> int:
        """The first frame whose middle does not lie before so many halves of a sample."""
        if half_samples <= 0:
            return 0
        return min(self.frames, (self.frames * half_samples + self.length - 1) // (2 * self.length))

    def seconds(self, clip: int, frame: int) -> float:
        """When a frame begins, in seconds from the recording's beginning."""
        return clip * self.step / self.rate + frame * self.length / (self.rate * self.frames)


def best(scores: NDArray[Any], logits: bool) -> Path:
    """The label of each frame; of equal scores the first, and what is no number is lower than all others.

    :param scores: real numbers, float64 ``[frames, labels]``. :param logits: softmax makes probabilities of them.
    """
    ordered = np.where(np.isnan(scores), -np.inf, scores)
    numbers: NDArray[np.int64] = ordered.argmax(axis=1).astype(np.int64)
    found = np.take_along_axis(scores, numbers[:, None], axis=1)[:, 0]
    if logits:
        powers = exponential(scores - found[:, None])
        found = exponential(found - found) / np.cumsum(powers, axis=1)[:, -1]  # added one after the other, as C does
    return Path(numbers, found)


def spoken(numbers: NDArray[np.int64], blank: int, merge: bool) -> list[int]:
    """The frames at which labels begin.

    :param merge: equal labels that follow each other are one.
    """
    begins = numbers != blank
    if merge:
        begins = begins & (np.concatenate([[-1], numbers[:-1]]) != numbers)
    return [int(frame) for frame in np.flatnonzero(begins)]
