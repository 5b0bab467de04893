"""What a compressed network may cost: ``--budget latency=5ms``, ``size=200kB``, ``accuracy-drop=1``, ..."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgekit import plugins
from edgekit.errors import UsageError

_BYTES = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "KiB": 1024.0, "MiB": 1024.0**2}
_POINTS = {"": 1.0, "points": 1.0}
UNITS: dict[str, dict[str, float]] = {
    "size": _BYTES,
    "packed": _BYTES,
    "latency": {"us": 1e-3, "ms": 1.0, "s": 1e3},
    "energy": {"uJ": 1e-3, "mJ": 1.0, "J": 1e3},
    "accuracy-drop": _POINTS,
    "class-drop": _POINTS,
    "group-drop": _POINTS,
    "metric-drop": {"": 1.0},
}
"""Each budget's units: bytes, milliseconds, millijoules, points of accuracy, and those of a metric itself."""
COSTS = ("size", "packed", "latency", "energy")
METRIC = "metric-drop"
"""What `compile --metric` and `compress --metric` check."""
ACCURACY = ("accuracy-drop", "class-drop", "group-drop")
DROPS = (*ACCURACY, METRIC)


@dataclass(frozen=True)
class Budget:
    """A limit on one figure, in the figure's base unit; ``text`` is what the user wrote."""

    name: str
    limit: float
    text: str

    def excess(self, value: float) -> float:
        """Return how far a value exceeds the limit: as a share of a cost's or metric's limit, or in points."""
        relative = self.name in COSTS or (self.name == METRIC and self.limit > 0)
        return value / self.limit - 1 if relative else value - self.limit


def parse(texts: Iterable[str]) -> tuple[Budget, ...]:
    """Read ``NAME=NUMBER[UNIT]``, each name at most once.

    :raises UsageError: naming what is wrong, and what there is.
    """
    budgets: dict[str, Budget] = {}
    for text in texts:
        budget = _one(text)
        if budget.name in budgets:
            raise UsageError(f"--budget {budget.name} is given twice", "pass each budget once")
        budgets[budget.name] = budget
    return tuple(budgets.values())


def _one(text: str) -> Budget:
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or name not in UNITS:
        raise UsageError(f"--budget {text}: there is no budget {name!r}", plugins.nearest(name, UNITS))
    units = UNITS[name]
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-zµ]*)\s*", value)
    unit = match[2].replace("µ", "u") if match else ""
    if match is None or unit not in units:
        number = "a number, as in 0.01" if name == METRIC else "a number of points, as in 1 or 0.5"
        listed = ", ".join(u for u in units if u) if "" not in units else number
        raise UsageError(f"--budget {text}: {value.strip()!r} is not a {name}", f"give a number and a unit: {listed}"
                         if "" not in units else f"give {listed}")  # fmt: skip
    limit = float(match[1]) * units[unit]
    if not math.isfinite(limit) or (limit <= 0 and name in COSTS):
        raise UsageError(f"--budget {text}: it must be above 0")
    return Budget(name, limit, f"{name}={value.strip()}")


def excesses(budgets: Iterable[Budget], figures: Mapping[str, float]) -> dict[str, float]:
    """Return how far each budgeted figure exceeds its limit; 0 or below if the budget is met."""
    return {budget.name: budget.excess(figures[budget.name]) for budget in budgets}


def distance(budgets: Iterable[Budget], figures: Mapping[str, float]) -> float:
    """Return how far a candidate is from meeting all budgets: the sum of the excesses; 0 if all are met."""
    return sum(max(0.0, excess) for excess in excesses(budgets, figures).values())
