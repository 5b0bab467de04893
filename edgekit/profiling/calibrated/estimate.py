"""The estimate from a calibration: what each operator amounts to, times what that costs on the board.

The interval reaches as far as 90 % of the networks that were left out of the fit needed it to. It grows with the part
of the latency that is due to operators, or sizes, which the measured networks hardly have: the fit's covariance
says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.graph import Graph
from edgekit.graph.stats import Statistics, statistics
from edgekit.profiling import Evidence, Figure, OperatorProfile, Profile, energy, rows
from edgekit.profiling.calibrated import features
from edgekit.profiling.calibrated.calibration import Calibration, Choice
from edgekit.profiling.calibrated.features import Array
from edgekit.profiling.calibrated.fit import Costs
from edgekit.profiling.calibrated.quantities import ARITHMETIC, FIXED, MEMORY, NAMES
from edgekit.profiling.calibrated.work import Kind, works
from edgekit.profiling.dtypes import Dtype
from edgekit.profiling.roofline import LOOPS
from edgekit.runners import Trace
from edgekit.target import Target

INFERRED_WIDER, THREADS_WIDER, OUTSIDE_WIDER, LOOPS_WIDER = 1.5, 1.3, 1.3, 3.0
"""Factors of the interval where a runtime is inferred, where threads were never varied, per tenfold size outside,
and where a loop turns an unknown number of times."""
MOST = 3.0
"""Logarithm of the factor beyond which an interval says nothing more: 20."""
_BOUND = {**dict.fromkeys(ARITHMETIC, "compute"), **dict.fromkeys(MEMORY, "memory"), **dict.fromkeys(FIXED, "overhead")}


def fitted(known: Calibration) -> Costs:
    """The costs as the fit left them, in the order of the features; logarithms of ms per unit."""
    matrix = np.zeros((len(NAMES), len(NAMES)))
    matrix[np.tril_indices(len(NAMES))] = known.lower
    log = np.log(np.array([known.costs[name] for name in NAMES]) * 1e-6)
    return Costs(log, matrix + matrix.T - np.diag(matrix.diagonal()))


@dataclass(frozen=True)
class CalibratedCost:
    """Predicts a profile from the Graph by a calibration."""

    choice: Choice

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """See :class:`edgekit.profiling.CostModel`; ``trace`` is ignored. Conditions: ``threads``, or none."""
        known = self.choice.calibration
        threads = known.threads
        if "threads" in conditions:
            threads = max(1, min(int(conditions["threads"]), max(target.cores, known.threads)))
        stats, work = statistics(graph), works(graph)
        table = features.features(work, integer=known.dtype is Dtype.INT8)
        parts = _amounts(table, known, threads) * np.exp(fitted(known).log)
        unseen = sorted(
            {one.op for one, w in zip(stats.operators, work, strict=True) if w.kind not in (*known.kinds, Kind.FREE)}
        )
        total = float(parts.sum())
        reach = _reach(parts, known, self.choice, threads, sum(w.macs for w in work))
        counted = all(row.counted for row in stats.operators)
        reach *= 1.0 if counted else LOOPS_WIDER
        latency_ms = Figure(total, total / reach, total * reach)
        operators = _rows(stats, parts)
        power_w, scope = _power(target, known, threads)
        rows.fill(operators, power_w)
        asked = {name: value for name, value in conditions.items() if name not in ("threads", "runtime") and value}
        return Profile(
            target=target.name,
            source=Evidence.ESTIMATE,
            runtime=str(conditions.get("runtime") or known.runtime),
            conditions={"threads": threads, "clock_mhz": known.clock_mhz, **asked, "calibration": known.runtime},
            latency_ms=latency_ms,
            energy_mj=energy.energy(latency_ms, power_w),
            power_w=power_w,
            scope=scope,
            memory=rows.memory(stats),
            operators=operators,
            basis=_basis(known, self.choice, threads, unseen) + ("" if counted else LOOPS),
        )


def _amounts(table: Array, known: Calibration, threads: int) -> Array:
    if known.scaling or threads == known.threads:
        return features.on_threads(table, threads, scaling=known.scaling)
    usual = features.usual_speedup(known.threads) / features.usual_speedup(threads)
    return features.on_threads(table, known.threads, scaling=False) * usual


def _reach(parts: Array, known: Calibration, choice: Choice, threads: int, macs: int) -> float:
    """The factor by which the interval reaches up and down."""
    by_feature = parts.sum(0)
    share = by_feature / max(float(by_feature.sum()), 1e-12)
    costs = fitted(known)
    deviation = costs.deviation(share)
    reach = float(np.exp(min(known.width * deviation, MOST)))
    if choice.inferred:
        reach *= INFERRED_WIDER
    if not known.scaling and threads != known.threads:
        reach *= THREADS_WIDER
    low, high = known.macs[0], known.macs[-1]
    outside = max(np.log10(low / max(macs, 1)), np.log10(max(macs, 1) / high), 0.0)
    return float(reach * OUTSIDE_WIDER**outside)


def _rows(stats: Statistics, parts: Array) -> list[OperatorProfile]:
    made = []
    for row, costs in zip(stats.operators, parts, strict=True):
        costs = costs * row.executions
        bound = _BOUND.get(NAMES[int(costs.argmax())], "memory") if costs.any() else ""
        made.append(
            OperatorProfile(row.index, row.name, row.op, row.macs, row.bytes, float(costs.sum()), 0.0, bound=bound)
        )
    return made


def _power(target: Target, known: Calibration, threads: int) -> tuple[Figure, str]:
    if known.power is None:
        return energy.power(target, threads), energy.scope(target)
    return Figure(known.power.watts, known.power.low, known.power.high), known.power.scope


def _basis(known: Calibration, choice: Choice, threads: int, unseen: list[str]) -> str:
    parts = [
        f"calibrated on {known.samples} measurements of {known.runtime}, {known.dtype}: {known.source}",
        f"{known.left_out} left out of the fit come out {known.mape:.0%} off on average, "
        f"{known.coverage:.0%} of them inside the interval",
    ]
    if known.power and known.power.judged:
        error, inside = known.power.judged
        parts.append(f"their energies {error:.0%} off, {inside:.0%} of them inside")
    if known.caution:
        parts.append(known.caution)
    if choice.inferred:
        parts.append(f"inferred: {choice.inferred}")
    if not known.scaling and threads != known.threads:
        parts.append(f"measured on {known.threads} threads only: how it scales is assumed")
    if unseen:
        parts.append(f"no measured network has {', '.join(unseen)}: their cost is a guess, the interval wider")
    return "; ".join(parts)
