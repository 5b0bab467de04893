"""Households that watch films: who watches what, at which hour, drawn from tastes that nobody sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GENRES = ("comedy", "crime", "drama", "documentary", "animation", "western", "horror", "music")
PER_GENRE, HOUSEHOLDS, WATCHED = 30, 400, 60
FILMS = tuple(f"{genre} {number}" for genre in GENRES for number in range(1, PER_GENRE + 1))
NAMES = tuple(f"household {number}" for number in range(1, HOUSEHOLDS + 1))
DAYS = ("workday", "weekend")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Watched:
    """Numbers of household, kind of day and film, and the hour, ``[n]`` each."""

    household: NDArray[np.int64]
    day: NDArray[np.int64]
    film: NDArray[np.int64]
    hour: Array


def watched(seed: int, per_household: int = WATCHED) -> Watched:
    """What each household watches; tastes are always the same, what is watched depends on ``seed``."""
    tastes = np.random.default_rng(5)
    liked = tastes.normal(0, 2, (HOUSEHOLDS, len(GENRES)))
    early, weekend = tastes.normal(0, 1.5, (2, len(GENRES)))
    fame = tastes.normal(0, 1.5, len(FILMS))
    rng = np.random.default_rng(seed)
    household = np.repeat(np.arange(HOUSEHOLDS), per_household)
    hour, day = rng.uniform(6, 24, len(household)), rng.integers(0, 2, len(household))
    genre = liked[household] + early * ((15 - hour) / 9)[:, None] + weekend * day[:, None]
    scores = np.repeat(genre, PER_GENRE, axis=1) + fame + rng.gumbel(size=(len(household), len(FILMS)))
    return Watched(household, day, scores.argmax(axis=1), hour)
