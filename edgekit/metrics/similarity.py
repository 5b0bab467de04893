"""Check whether results follow the reference at all, whatever bound each operator is within.

Rounding differences add up along a deep network, so a sound artifact may leave the bounds of :mod:`.parity`. It
still follows the reference: where the reference varies, so does the artifact, in every channel. A constant output, a
lost channel, a swapped layout or an overflow does not.

The measure is the error relative to what the reference varies by, ``rms(actual - reference) / rms(reference - mean)``:
0 for equal results, 1 or more for a constant or unrelated ones (the square is one minus the coefficient of
determination). The mean is taken over everything, over the samples at each position, and over a channel; whichever is
the most telling counts. How much a sound artifact may be off is known from the network itself: from what the reference
makes of inputs that are disturbed by a rounding step (``expected``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TINY = float(np.finfo(np.float64).tiny)
MOST_ERROR = 0.75
"""Error relative to the reference's variation above which results are unlike: less than half of the variance is
explained."""
MOST_CHANNEL_ERROR = 0.9
"""The same for one channel, which has fewer values: it is lost, or nearly."""
CHANNEL_FLOOR = 1e-3
"""A channel whose variation is below this share of the median channel's carries too little to be judged by itself."""
MOST_CHANNELS = 4096
"""Axes longer than this are positions rather than channels."""
DECISIVE = 0.5
"""A label differs decisively if the reference prefers its own by this much of its variation."""


@dataclass(frozen=True)
class Noise:
    """Differences that say nothing.

    :param absolute: in real values: a few steps of an integer, the rounding error of a float.
    :param relative: to the values of a channel.
    :param shared: all channels have one scale, so that a channel may be off by what any other may.
    """

    absolute: float
    relative: float = 0.0
    shared: bool = False


@dataclass(frozen=True)
class Unlike:
    """Where and how far results do not follow the reference.

    :param error: relative to the reference's variation, see the module.
    :param axis: of the tensor's shape, and the ``channel`` on it; both None for the output as a whole.
    :param labels: share of samples whose largest element is decisively another one, where that is what is wrong.
    """

    error: float
    axis: int | None = None
    channel: int | None = None
    labels: float = 0.0

    def words(self) -> str:
        """The finding in a few words."""
        if self.labels:
            return f"the largest element is another one in {100 * self.labels:.0f}% of the samples"
        where = "" if self.axis is None else f" in channel {self.channel} of axis {self.axis}"
        return f"the error{where} is {self.error:.2g} of what the reference varies by"


def unlike(
    reference: NDArray[np.float64], actual: NDArray[np.float64], noise: Noise,
    expected: NDArray[np.float64] | None = None,
) -> Unlike | None:  # fmt: skip
    """Return where ``actual`` does not follow ``reference``, the worst place; None if it follows everywhere.

    :param reference: ``[samples, *shape]``, finite, in real values; ``actual`` likewise.
    :param expected: errors that a sound artifact may have, ``[samples, *shape]``: an error counts only beyond the root
        mean square of these in the same place.
    """
    if reference.size == 0 or np.array_equal(reference, actual):
        return None
    error, accepted = actual - reference, np.zeros_like(reference) if expected is None else expected
    off, variation = float(_rms(error)), float(np.std(reference))
    least = max(noise.absolute, float(_rms(accepted)))
    constant = variation <= noise.absolute  # as FLOOR makes of values below 1, but for a few places
    if off > least and (not constant or np.mean(np.abs(error) > least) > 0.5):
        own = [variation, float(_rms(reference - reference.mean(axis=0)))] if len(reference) > 1 else [variation]
        ratio = max(off / max(one, noise.absolute, _TINY) for one in own)
        if ratio > MOST_ERROR:
            return Unlike(ratio)
        flipped = _flipped(reference, actual, max(DECISIVE * variation, least))
        if flipped > 0.5:
            return Unlike(ratio, labels=flipped)
    axes = [n for n in range(1, reference.ndim) if 1 < reference.shape[n] <= MOST_CHANNELS]
    rows = [row for axis in axes if (row := _channel(reference, error, accepted, axis, noise))]
    return max(rows, key=lambda row: row.error, default=None)


def _channel(
    reference: NDArray[np.float64], error: NDArray[np.float64], accepted: NDArray[np.float64], axis: int, noise: Noise
) -> Unlike | None:
    """The channel of an axis that follows the reference least, if it is unlike."""
    others = tuple(n for n in range(reference.ndim) if n != axis)
    variation, off = np.std(reference, axis=others), _rms(error, others)
    floor = CHANNEL_FLOOR * float(np.median(variation))
    least = np.maximum(np.maximum(noise.absolute, noise.relative * _rms(reference, others)), _rms(accepted, others))
    least = np.maximum(least, _rms(accepted)) if noise.shared else least
    judged = (off > least) & (variation >= floor) & (variation > 0)
    ratios = np.where(judged, off / np.maximum(variation, max(noise.absolute, _TINY)), 0.0)
    channel = int(np.argmax(ratios))
    return Unlike(float(ratios[channel]), axis - 1, channel) if ratios[channel] > MOST_CHANNEL_ERROR else None


def _flipped(reference: NDArray[np.float64], actual: NDArray[np.float64], margin: float) -> float:
    """Share of the samples whose largest element is another one, by more than ``margin`` in the reference."""
    flat, other = reference.reshape(len(reference), -1), actual.reshape(len(actual), -1)
    if flat.shape[1] < 2 or flat.shape[1] != reference.shape[-1]:
        return 0.0
    rows = np.arange(len(flat))
    return float(np.mean(flat.max(axis=1) - flat[rows, other.argmax(axis=1)] > margin))


def _rms(values: NDArray[np.float64], axes: tuple[int, ...] | None = None) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.mean(values**2, axis=axes)))
