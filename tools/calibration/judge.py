"""Fits every set of measurements, and judges the fit on families of networks that it has not seen."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.profiling.calibrated import features
from edgekit.profiling.calibrated.features import Array
from edgekit.profiling.calibrated.fit import NOISE, Costs, Samples, fit
from edgekit.profiling.calibrated.quantities import NAMES
from tools.calibration.rows import Row, Set, work

ROWS_AT_MOST = 60
"""Of one family in one set: more would drown the others."""
FOLDS = 5
"""Parts that rows of a set are left out by where all of them are of one family."""
COVERED = 0.9
"""Part of unseen networks that an interval is to hold."""
EMULATED = 0.25
"""Standard deviation of the logarithm of what the emulator says of a network."""
FEW = 12
"""Rows below which a set's interval is that of its group."""
ONE_FAMILY_WIDER = 1.5
"""Factor of the interval's width, an assumption, where all measured networks are of one family."""


@dataclass(frozen=True)
class Judged:
    """A row that was left out of the fit with ``part``: predicted, ms, and the predicted logarithm's deviation."""

    row: Row
    predicted: float
    deviation: float
    part: str

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted / self.row.latency_ms - 1

    @property
    def score(self) -> float:
        """How many predicted deviations the measurement is away."""
        return float(abs(np.log(self.row.latency_ms / self.predicted)) / self.deviation)


@dataclass(frozen=True)
class Calibrated:
    """A set with its costs, the rows that judged them, and the interval's width in predicted deviations."""

    set: Set
    costs: Costs
    judged: tuple[Judged, ...]
    width: float
    coverage: float
    left_out: str

    @property
    def errors(self) -> Array:
        """Relative errors of the rows that were left out."""
        return np.array([one.error for one in self.judged])


@functools.cache
def amounts(network: str, integer: bool, threads: int, scaling: bool) -> Array:
    """What a network amounts to, ``[features]``."""
    table = features.features(work(network), integer=integer)
    return features.on_threads(table, threads, scaling=scaling).sum(0)


def _parts(rows: Sequence[Row]) -> list[str]:
    """What is left out with each row: its family; where all are of one, its network, or a fifth of the rows.

    Empty for rows that were not measured: these are never left out.
    """
    named = iter(_measured_parts([row for row in rows if not row.emulated]))
    return ["" if row.emulated else next(named) for row in rows]


def _measured_parts(rows: Sequence[Row]) -> list[str]:
    if len({row.family for row in rows}) > 1:
        return [row.family for row in rows]
    if len({row.network for row in rows}) <= FEW:
        return [row.network for row in rows]
    return [f"fold {i % FOLDS}" for i in range(len(rows))]


def machine(one: Set) -> str:
    """The class of machine whose costs a set's are expected to be like."""
    if one.group == "mcu":
        return "mcu"
    return "gpu" if one.group in ("tensorrt", "ncnn-vulkan", "onnxruntime-gpu") or "opencl" in one.group else "cpu"


def _thinned(rows: Sequence[Row]) -> list[Row]:
    """At most so many rows of each family, evenly over the file."""
    found = []
    for family in dict.fromkeys(row.family for row in rows):
        own = [row for row in rows if row.family == family]
        found += own[:: -(-len(own) // ROWS_AT_MOST)]
    return found


def _samples(one: Set, rows: Sequence[Row]) -> Samples:
    integer = one.dtype == "int8"
    table = np.array([amounts(row.network, integer, row.threads, one.scaling) for row in rows])
    latency = np.array([row.latency_ms for row in rows])
    levels = (one.group, (one.group, one.target), one.key)
    noise = np.array([EMULATED if row.emulated else NOISE for row in rows])
    return Samples(table.reshape(len(rows), len(NAMES)), latency, levels, noise)


def judge(sets: Sequence[Set]) -> list[Calibrated]:
    """Fit the sets of one group and dtype, and judge each on what was left out."""
    integer = sets[0].dtype == "int8"
    prior = features.prior(integer=integer, machine=machine(sets[0]))
    rows = [_thinned(one.rows) for one in sets]
    final = fit([_samples(one, own) for one, own in zip(sets, rows, strict=True)], prior)
    parts = [_parts(own) for own in rows]
    judged: list[list[Judged]] = [[] for _ in sets]
    for part in sorted({name for own in parts for name in own} - {""}):
        kept = [
            [row for row, name in zip(own, named, strict=True) if name != part]
            for own, named in zip(rows, parts, strict=True)
        ]
        for place, costs in enumerate(fit([_samples(one, own) for one, own in zip(sets, kept, strict=True)], prior)):
            out = [row for row, name in zip(rows[place], parts[place], strict=True) if name == part]
            if not out or not any(kept):
                continue
            values, deviations = costs.predict(_samples(sets[place], out).table)
            judged[place] += [
                Judged(row, float(value), float(deviation), part)
                for row, value, deviation in zip(out, values, deviations, strict=True)
            ]
    everything = [one for own in judged for one in own]
    made = []
    for one, costs, own, named in zip(sets, final, judged, parts, strict=True):
        by = _left_out([row for row in one.rows if not row.emulated], set(named) - {""})
        made.append(Calibrated(one, costs, tuple(own), _reach(own, everything), _coverage(own, everything), by))
    return made


def _left_out(rows: Sequence[Row], parts: set[str]) -> str:
    """What was left out at once, in a word."""
    if len({row.family for row in rows}) > 1:
        return "families"
    return "folds" if any(part.startswith("fold ") for part in parts) else "networks"


def width(judged: Sequence[Judged]) -> float:
    """How many predicted deviations an interval reaches, so that it covers :data:`COVERED` of what was left out.

    Split conformal prediction with normalized residuals (Papadopoulos et al. 2002), by crepes.
    """
    from crepes import ConformalRegressor

    warnings.simplefilter("ignore", UserWarning)  # of few rows: the interval is the largest residual then
    residuals = np.array([np.log(one.row.latency_ms / one.predicted) for one in judged])
    sigmas = np.array([one.deviation for one in judged])
    model = ConformalRegressor().fit(residuals=residuals, sigmas=sigmas)
    low, high = model.predict_int(np.zeros(1), sigmas=np.ones(1), confidence=COVERED)[0]
    return float(high - low) / 2 if np.isfinite(high - low) else float(np.abs(residuals / sigmas).max())


def _reach(own: Sequence[Judged], pool: Sequence[Judged]) -> float:
    """The width of a set's intervals: its own or that of its group, whichever is greater.

    A family of networks that is unlike the others comes out wrong on all boards alike, so the rows of one board are
    fewer independent cases than they seem; and where all rows are of one family, nothing says how others fare.
    """
    widths = [width(judged) for judged in (own, pool) if len(judged) >= FEW or judged is pool]
    families = {one.row.family for one in own}
    return max(widths) * (ONE_FAMILY_WIDER if len(families) == 1 else 1.0)


def _coverage(own: Sequence[Judged], pool: Sequence[Judged]) -> float:
    """Part of the rows within an interval whose width was found without what was left out with them."""
    inside = []
    for part in {one.part for one in own}:
        others = [one for one in pool if one.part != part]
        limit = _reach([one for one in own if one.part != part], others or pool)
        inside += [one.score <= limit for one in own if one.part == part]
    return float(np.mean(inside)) if inside else 0.0
