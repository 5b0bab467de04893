"""Channels that one scale cannot hold: their values span less than a few of its steps.

The power of a whole tensor does not show them: where boxes in pixels and scores in 0..1 share a scale, the scores can
all be lost at 40 dB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 4.0
"""A channel that spans fewer steps of its scale is lost."""
DEAD = 1e-6
"""A channel that spans less than this share of the tensor's largest magnitude is constant: nothing can be lost."""
_OFFSET_RATIO = 16.0
"""A channel beside a constant offset is lost where another channel of the tensor spans this many times as much."""
_GAP = 2.0
"""Channels of unlike units are apart: those that are kept span at least this many times what is lost. Where channels of
one kind merely differ, the quietest of them say little."""
_MANY = 16
"""A channel of fewer different values cannot be said to have collapsed."""
_FEW = 8
"""Fewer values say nothing about what a channel spans."""


@dataclass(frozen=True)
class Lost:
    """Channels of one axis that are lost.

    :param axis: of the tensor, batch dimension included.
    :param channels: their indices; ``of`` is the axis's size.
    :param steps: how many steps the widest of them spans.
    """

    axis: int
    channels: tuple[int, ...]
    of: int
    steps: float

    def words(self) -> str:
        """Name the channels: ``channels 4 to 6 of axis 2``."""
        first, last = self.channels[0], self.channels[-1]
        if len(self.channels) == 1:
            return f"channel {first} of axis {self.axis}"
        if last - first + 1 == len(self.channels):
            return f"channels {first} to {last} of axis {self.axis}"
        if len(self.channels) <= 6:
            return f"channels {', '.join(map(str, self.channels))} of axis {self.axis}"
        return f"{len(self.channels)} of {self.of} channels of axis {self.axis}"


def lost(values: NDArray[Any], scale: float, *, noise: bool = False) -> Lost | None:
    """Return the channels that a scale cannot hold, along the axis with the fewest channels that has such; or None.

    :param values: float values over some samples, ``[samples, *shape]``.
    :param scale: real value of one integer step.
    :param noise: the network ran on noise, so that a channel of a single value per sample may vary less than it would.
    """
    values = np.asarray(values, np.float64)
    if values.size == 0 or scale <= 0 or not np.isfinite(values).all():
        return None
    found = [each for axis in range(1, values.ndim) if (each := _along(values, axis, scale, noise)) is not None]
    return min(found, key=lambda each: (each.of, each.axis), default=None)


def _apart(sizes: NDArray[np.float64], kept: NDArray[Any], found: NDArray[Any]) -> bool:
    """True if all that is kept is larger, by the factor of unlike units, than all that is lost."""
    left = sizes[kept]
    return not left.size or bool(left.min() >= _GAP * sizes[found].max())


def collapsed(real: NDArray[Any], rounded: NDArray[Any], *, noise: bool = False) -> Lost | None:
    """Return the channels of an output that quantization left only a few values of.

    These are the channels that span less than a few steps between the values that are left. Whatever lies between the
    integers and the output does not matter.

    :param real: float values over some samples, ``[samples, *shape]``; ``rounded``: the quantized network's, likewise.
    """
    if real.shape != rounded.shape or real.size == 0:
        return None
    real, rounded = np.asarray(real, np.float64), np.asarray(rounded, np.float64)
    if not (np.isfinite(real).all() and np.isfinite(rounded).all()):
        return None
    found = [e for axis in range(1, real.ndim) if (e := _collapsed_along(real, rounded, axis, noise)) is not None]
    return min(found, key=lambda each: (each.of, each.axis), default=None)


def _collapsed_along(real: NDArray[np.float64], rounded: NDArray[np.float64], axis: int, noise: bool) -> Lost | None:
    count = real.shape[axis]
    rows, left = (np.moveaxis(values, axis, 0).reshape(count, -1) for values in (real, rounded))
    if count < 2 or rows.shape[1] < _MANY or (noise and rows.shape[1] == len(real)):
        return None
    spans, largest = np.ptp(rows, axis=1), float(np.abs(rows).max())
    live = np.flatnonzero((spans > DEAD * largest) & (spans < spans.max() / _OFFSET_RATIO))
    few = [c for c in live if len(np.unique(left[c])) <= STEPS and len(np.unique(rows[c])) >= _MANY]
    if not few:
        return None
    steps = max(len(np.unique(left[c])) for c in few)
    return Lost(axis - 1, tuple(map(int, few)), count, float(steps))


def _along(values: NDArray[np.float64], axis: int, scale: float, noise: bool) -> Lost | None:
    count = values.shape[axis]
    rows = np.moveaxis(values, axis, 0).reshape(count, -1)
    if count < 2:
        return None
    low, high = rows.min(axis=1), rows.max(axis=1)
    spans, magnitudes = high - low, np.maximum(np.abs(low), np.abs(high))
    live = spans > DEAD * magnitudes.max()
    few = rows.shape[1] < _FEW or (noise and rows.shape[1] == len(values))
    quiet = magnitudes < 2 * STEPS * scale
    unlike = np.zeros(count, bool) if few else spans.max() >= _OFFSET_RATIO * spans
    small = live & (spans < STEPS * scale)
    found = np.flatnonzero(small & (quiet | unlike))
    if not found.size or not _apart(spans, live & ~small, found):
        return None
    if few and not _apart(magnitudes, np.setdiff1d(np.flatnonzero(live), found), found):
        return None
    return Lost(axis - 1, tuple(map(int, found)), count, float(spans[found].max() / scale))
