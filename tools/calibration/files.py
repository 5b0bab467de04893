"""Writes calibrations as the files that edgekit reads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from edgekit.profiling.calibrated import calibration
from edgekit.profiling.calibrated.quantities import NAMES
from edgekit.profiling.calibrated.work import Kind
from edgekit.profiling.dtypes import Dtype
from tools.calibration import energy
from tools.calibration.intervals import Calibrated
from tools.calibration.rows import work

HEADER = (
    "# Written by tools/calibrate.py (make calibration); docs/calibration.md says how. Costs: nanoseconds per unit."
)

LEAST_COVERAGE, ENOUGH = 0.8, 6
"""Coverage below which a file says why, and the rows from which a coverage says something."""


def text(one: Calibrated) -> str:
    """The content of a calibration's file."""
    rows, errors = one.set.measured, np.abs(one.errors)
    networks = sorted({row.network for row in one.set.rows})
    kinds = sorted({str(w.kind) for name in networks for w in work(name)} - {Kind.FREE})
    macs = [sum(w.macs for w in work(row.network)) for row in rows]
    costs = zip(NAMES, map(_round, np.exp(one.costs.log) * 1e6), strict=True)
    made = calibration.Calibration(
        target=one.set.target,
        runtime=one.set.runtime,
        dtype=Dtype(one.set.dtype),
        threads=one.set.threads,
        scaling=one.set.scaling,
        clock_mhz=one.set.clock_mhz,
        power_mode=one.set.power_mode,
        samples=len(rows),
        families=tuple(sorted({row.family for row in rows})),
        left_out=one.left_out,
        mape=_round(float(errors.mean())),
        within_10=_round(float((errors <= 0.1).mean())),
        within_20=_round(float((errors <= 0.2).mean())),
        coverage=_round(one.coverage),
        caution=_caution(one),
        width=_round(one.width),
        kinds=tuple(kinds),
        macs=(min(macs), max(macs)),
        source=one.set.source,
        covariance=", ".join(str(_round(v, 3)) for v in one.costs.covariance[np.tril_indices(len(NAMES))]),
        costs=dict(costs),
        power=_power(one),
    )
    return calibration.text(made, HEADER)


def _power(one: Calibrated) -> calibration.MeasuredPower | None:
    """Power while it infers, where it was measured often enough."""
    known = energy.power([row.watts for row in one.set.measured])
    if known is None:
        return None
    watts, low, high = map(_round, (known.median, known.low, known.high))
    judged = energy.energies(one)
    mape, coverage = (
        (_round(float(np.abs(judged.errors).mean())), _round(float(judged.inside.mean())))
        if len(judged.errors)
        else (None, None)
    )
    return calibration.MeasuredPower(
        scope=one.set.scope, watts=watts, low=low, high=high, samples=known.samples, mape=mape, coverage=coverage
    )


def _caution(one: Calibrated) -> str:
    """Why the intervals hold less often than they should, where they do; empty where they hold, or rows are few."""
    if one.coverage >= LEAST_COVERAGE or len(one.judged) < ENOUGH:
        return ""
    rows = Counter(row.part for row in one.judged)
    outside = Counter(row.part for row, held in zip(one.judged, one.inside, strict=True) if not held)
    missed = ", ".join(f"{part} ({count} of {rows[part]})" for part, count in outside.most_common())
    return f"its networks are unlike each other; outside the interval when left out: {missed}"


def path(folder: Path, one: Calibrated) -> Path:
    """Where a calibration's file lies."""
    return folder / one.set.target / f"{one.set.runtime}-{one.set.dtype}.toml"


def _round(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")
