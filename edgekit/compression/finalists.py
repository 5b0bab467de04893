"""Finalists: candidates that were compiled, proven on the target, and measured on samples that no search has seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.compression import front, space
from edgekit.compression.budget import COSTS, DROPS, Budget, distance, excesses
from edgekit.compression.candidates import Candidate
from edgekit.compression.yardstick import Measured, Verdict
from edgekit.metrics.bounds import Bounds
from edgekit.passes import recipe as recipes
from edgekit.passes.recipe import Recipe

if TYPE_CHECKING:
    from edgekit.api.compile import Compiled
    from edgekit.profiling import Profile

NOISE = 0.05
"""Two networks whose difference has a larger probability by chance alone (sign test) are within noise."""


@dataclass(frozen=True)
class Finalist:
    """A compiled candidate.

    :param verdict: how well it does on the test samples.
    :param profile: by the best means there are: on the host, in the emulator, or the estimate.
    """

    candidate: Candidate
    recipe: Path | None
    compiled: Compiled
    profile: Profile
    verdict: Verdict

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name

    @property
    def accuracy(self) -> dict[str, Any]:
        """The accuracy report of the compiled network."""
        assert self.compiled.accuracy is not None
        return self.compiled.accuracy

    @property
    def figures(self) -> dict[str, float]:
        """The figures that budgets apply to: measured sizes and drops, the profile's latency and energy."""
        figures = {
            "size": float(self.compiled.manifest["files"]["model.tflite"]["bytes"]),
            "latency": self.profile.latency_ms.value,
            "energy": self.profile.energy_mj.value,
            **self.verdict.drops(),
        }
        if "packed" in self.candidate.costs:
            figures["packed"] = self.candidate.costs["packed"]
        return figures

    def json(self, budgets: Sequence[Budget]) -> dict[str, Any]:
        """Return the finalist as an entry of ``finalists`` in the JSON of ``compress``."""
        figures, profile = self.figures, self.profile.json()
        over = excesses(budgets, figures)
        return {
            "name": self.name,
            "recipe": None if self.recipe is None else str(self.recipe),
            "path": str(self.compiled.path),
            "steps": space.plain(self.candidate.steps),
            "accuracy": self.compiled.accuracy,
            **({"metric": self.verdict.judged.json()} if isinstance(self.verdict, Measured) else {}),
            "size": int(figures["size"]),
            "packed": int(figures["packed"]) if "packed" in figures else None,
            "source": self.profile.source,
            "latency_ms": profile["latency_ms"],
            "energy_mj": profile["energy_mj"],
            "parity": self.compiled.parity.json(),
            "budgets": {b.name: {"value": figures[b.name], "holds": over[b.name] <= 0} for b in budgets},
        }


def best(finalists: Sequence[Finalist], budgets: Sequence[Budget]) -> Finalist | None:
    """Return the recommended one of those that meet all budgets; None if none does.

    If only accuracy is budgeted: the cheapest. Else: the cheapest of those that are not measurably less accurate than
    the most accurate. Costs are compared by their product.
    """
    holding = [f for f in finalists if distance(budgets, f.figures) <= 0]
    if not holding:
        return None
    if not any(budget.name in COSTS for budget in budgets) and any(budget.name in DROPS for budget in budgets):
        return min(holding, key=_price)
    return min(within_noise(holding), key=_price)


def nearest(finalists: Sequence[Finalist], budgets: Sequence[Budget]) -> Finalist | None:
    """Return the one closest to the budgets."""
    return min(finalists, key=lambda f: distance(budgets, f.figures), default=None)


def within_noise(finalists: Sequence[Finalist]) -> list[Finalist]:
    """Return those whose accuracy does not differ from the most accurate one's beyond chance, that one included."""
    top = max(finalists, key=lambda f: f.verdict.goodness)
    return [f for f in finalists if f is top or top.verdict.like(f.verdict, NOISE)]


def on_front(finalists: Sequence[Finalist], costs: Sequence[str]) -> list[bool]:
    """Return for each whether no other is at least as good in accuracy and all costs, and better in one."""
    values = [[f.verdict.drop.value, *(f.figures[name] for name in costs)] for f in finalists]
    return [bool(rank == 0) for rank in front.ranks(np.array(values).reshape(len(values), 1 + len(costs)))]


def recipe_text(candidate: Candidate, comment: str, bounds: Bounds, needs_data: bool) -> str:
    """Return the candidate's recipe as the TOML file that ``compile --recipe`` takes."""
    description = f"found by edgekit compress: {candidate.name}"
    return recipes.dumps(Recipe(candidate.name, description, needs_data, candidate.steps, bounds), comment)


def _price(finalist: Finalist) -> float:
    return math.log(finalist.figures["size"]) + math.log(finalist.figures["latency"])
