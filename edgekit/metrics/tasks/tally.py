"""What samples contribute to a metric, and the intervals that follow: a paired bootstrap.

A resample draws as many samples as there are, with replacement: sample *i* counts ``weights[i]`` times. Every metric is
a function of such weights, so one resample serves both networks of a comparison, and the samples' difficulty cancels
out of their difference (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
TAILS = (2.5, 97.5)
"""Percentiles: a 95 % interval."""

Floats = NDArray[np.float64]


class Undefined(ValueError):
    """A metric is not defined on these samples, whatever a network makes of them; the message says why."""


class Tally(Protocol):
    """What each of ``samples`` samples contributes to a metric."""

    @property
    def samples(self) -> int:
        """How many samples there are."""

    def value(self, weights: Floats) -> float:
        """The metric when sample *i* counts ``weights[i]`` times, ``[samples]``; NaN where it is undefined."""


@dataclass(frozen=True)
class Score:
    """A metric's value and its 95 % interval."""

    value: float
    low: float
    high: float

    def json(self) -> dict[str, Any]:
        """As it is printed and stored."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Comparison:
    """One metric of two networks on the same samples; ``drop`` is what was lost, below 0 where it got better."""

    before: Score
    after: Score
    drop: Score
    samples: int


def compare(before: Tally, after: Tally, *, higher: bool, seed: int = 0) -> Comparison:
    """Compare two networks on the same samples.

    :param higher: True if higher values are better.
    :raises ValueError: if the numbers of samples differ.
    """
    if before.samples != after.samples:
        raise ValueError(f"{before.samples} samples before, {after.samples} after")
    drawn = [(before.value(weights), after.value(weights)) for weights in _resamples(before.samples, seed)]
    pairs = np.array(drawn, np.float64).reshape(-1, 2)
    whole = np.ones(before.samples)
    first, last = before.value(whole), after.value(whole)
    sign = 1.0 if higher else -1.0
    if not np.isfinite([first, last]).all():
        nothing = float("nan")
        return Comparison(
            Score(first, first, first), Score(last, last, last), Score(nothing, nothing, nothing), before.samples
        )
    return Comparison(
        _score(first, pairs[:, 0]), _score(last, pairs[:, 1]),
        _score(sign * (first - last) + 0.0, sign * (pairs[:, 0] - pairs[:, 1]) + 0.0), before.samples,
    )  # fmt: skip


def _resamples(samples: int, seed: int) -> Iterator[Floats]:
    generator = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        drawn = generator.integers(0, samples, samples)
        yield np.bincount(drawn, minlength=samples).astype(np.float64)


def _score(value: float, resampled: Floats) -> Score:
    """Percentiles of the resamples for which the metric is defined, widened to contain the value itself."""
    kept = resampled[np.isfinite(resampled)]
    if not kept.size:
        return Score(value, value, value)
    low, high = np.percentile(kept, TAILS)
    return Score(value, float(min(low, value)), float(max(high, value)))


@dataclass(frozen=True)
class Part:
    """Some of a tally's samples.

    :param rows: which, int64 ``[part]``.
    """

    whole: Tally
    rows: NDArray[np.int64]

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.rows)

    def value(self, weights: Floats) -> float:
        """The metric of these samples alone."""
        spread = np.zeros(self.whole.samples)
        spread[self.rows] = weights
        return self.whole.value(spread)


@dataclass(frozen=True)
class Mean:
    """The mean of one value per sample.

    :param values: float64 ``[samples]``. :param root: the square root of the mean.
    """

    values: Floats
    root: bool = False

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.values)

    def value(self, weights: Floats) -> float:
        """The weighted mean."""
        with np.errstate(invalid="ignore"):  # infinity times 0
            mean = _ratio(float(weights @ self.values), float(weights.sum()))
        return float(np.sqrt(mean)) if self.root else mean


@dataclass(frozen=True)
class Ratio:
    """The sum of one value per sample over the sum of another: errors per word, for instance."""

    numerators: Floats
    denominators: Floats

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.numerators)

    def value(self, weights: Floats) -> float:
        """The ratio of the weighted sums."""
        return _ratio(float(weights @ self.numerators), float(weights @ self.denominators))


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")
