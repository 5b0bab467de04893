"""Fits every set of measurements, and judges the fit on families of networks that it has not seen."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.profiling.calibrated import features
from edgekit.profiling.calibrated.features import Array
from edgekit.profiling.calibrated.fit import Costs, Samples, fit
from edgekit.profiling.calibrated.quantities import NAMES
from tools.calibration.rows import DOT_PRODUCTS, Row, Set, work

ROWS_AT_MOST = 60
"""Of one family in one set: more would drown the others."""
FOLDS = 5
"""Parts that rows of a set are left out by where all of them are of one family."""
EMULATED = 0.25
"""Standard deviation of the logarithm of what the emulator says of a network."""
FEW = 12
"""Networks of one family that are left out one by one; of more, a part of them at a time."""


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
class Judgement:
    """A set with its costs and the rows that judge them; ``left_out``: what was left out at once, in a word."""

    set: Set
    costs: Costs
    judged: tuple[Judged, ...]
    left_out: str


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
    noise = np.array([EMULATED if row.emulated else one.noise for row in rows])
    offset = features.dot_products() if integer and one.target in DOT_PRODUCTS else None
    families = [row.family for row in rows]
    return Samples(table.reshape(len(rows), len(NAMES)), latency, levels, noise, families, offset)


def judge(sets: Sequence[Set]) -> list[Judgement]:
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
    made = []
    for one, costs, own, named in zip(sets, final, judged, parts, strict=True):
        by = _left_out([row for row in one.rows if not row.emulated], set(named) - {""})
        made.append(Judgement(one, costs, tuple(own), by))
    return made


def _left_out(rows: Sequence[Row], parts: set[str]) -> str:
    """What was left out at once, in a word."""
    if len({row.family for row in rows}) > 1:
        return "families"
    return "folds" if any(part.startswith("fold ") for part in parts) else "networks"
