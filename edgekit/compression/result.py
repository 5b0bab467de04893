"""The result of a search: as an object, as a document, as files."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgekit.compression import budget as budgeting
from edgekit.compression import finalists as final
from edgekit.compression import front, search
from edgekit.compression.candidates import Candidate
from edgekit.compression.finalists import Finalist
from edgekit.compression.yardstick import Scale
from edgekit.errors import CheckFailed
from edgekit.files.documents import dumps, write_text
from edgekit.metrics.bounds import Bounds
from edgekit.metrics.tasks import NAMES
from edgekit.target import Target
from edgekit.text.commands import arguments


@dataclass
class Compression:
    """The result of a search.

    :param reference: the network without compression, compiled and measured as the finalists were.
    :param specs: which data was for ``calibration``, ``search`` and ``test``.
    """

    model: Path
    board: Target
    seed: int
    goal: search.Goal
    found: search.Found
    specs: dict[str, str]
    samples: dict[str, int]
    rungs: list[int]
    out: Path
    reference: Finalist | None = None
    finalists: list[Finalist] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    shapes: tuple[str, ...] = ()
    trust: bool = False
    task: Path | None = None

    @property
    def compiled(self) -> list[Finalist]:
        """All compiled networks, the uncompressed one first."""
        return [*([self.reference] if self.reference else []), *self.finalists]

    @property
    def best(self) -> Finalist | None:
        """The recommended finalist; None if none meets the budgets."""
        return final.best(self.compiled, self.goal.budgets)

    @property
    def nearest(self) -> Finalist | None:
        """The finalist closest to the budgets; None without finalists."""
        return final.nearest(self.compiled, self.goal.budgets)

    def check(self) -> None:
        """:raises CheckFailed: if nothing holds the budgets, naming what comes nearest."""
        if self.best is not None or self.found.interrupted:
            return
        wanted = ", ".join(budget.text for budget in self.goal.budgets)
        near = self.nearest
        if near is None:
            raise CheckFailed(
                f"no recipe could be compiled for {self.board.name}", next(iter(self.rejected.values()), "")
            )
        misses = [
            f"{name} {shown(name, near.figures[name], self.goal.scale)}"
            for name, over in budgeting.excesses(self.goal.budgets, near.figures).items()
            if over > 0
        ]
        raise CheckFailed(
            f"no recipe meets {wanted}; the closest is {near.name} with {', '.join(misses)}",
            "raise the budget, try more recipes (--trials), or let it train (--train)",
        )

    def front(self) -> list[Candidate]:
        """Return the candidates of the search that no other beats, by estimate and the search's samples."""
        known = search.unique(self.found)
        kept = [c for c, rank in zip(known, front.ranks(self.goal.matrix(known)), strict=True) if rank == 0]
        return sorted(kept, key=lambda c: c.costs[self.goal.costs[0]])

    def json(self) -> dict[str, Any]:
        """Return the JSON document of ``compress``."""
        on_front = final.on_front(self.compiled, self.goal.costs) if self.compiled else []
        alike = final.within_noise(self.compiled) if self.compiled else []
        rows = [
            {**f.json(self.goal.budgets), "front": kept, "within_noise": f in alike}
            for f, kept in zip(self.compiled, on_front, strict=True)
        ]
        names = {c.name for c in self.front()} if self.found.candidates else set()
        return {
            "schema": 1,
            "model": str(self.model),
            "target": self.board.name,
            "seed": self.seed,
            "budgets": [{"name": b.name, "limit": b.limit, "text": b.text} for b in self.goal.budgets],
            **({"metric": self.goal.scale.name} if self.goal.scale.drop == budgeting.METRIC else {}),
            "ok": self.best is not None,
            "best": self.best.name if self.best else None,
            "nearest": self.nearest.name if self.nearest else None,
            "data": {kind: {"spec": self.specs[kind], "samples": self.samples[kind]} for kind in self.specs},
            "finalists": rows,
            "rejected": [{"name": name, "reason": reason} for name, reason in self.rejected.items()],
            "search": {
                "recipes": len(self.found),
                "continued": self.found.continued,
                "interrupted": self.found.interrupted,
                "exhausted": self.found.exhausted,
                "rungs": self.rungs,
                "costs": list(self.goal.costs),
                "failed": [{"steps": json.loads(key), "reason": r} for key, r in self.found.failed.items()],
                "candidates": [
                    {**c.json(), "front": c.name in names} for c in search.unique(self.found)
                ],
            },
            "seconds": round(self.seconds, 1),
        }  # fmt: skip


def shown(name: str, value: float, scale: Scale = Scale()) -> str:
    """Format a budgeted figure with its unit."""
    if name in ("size", "packed"):
        return f"{value / 1e3:.4g} kB"
    lost = f"of {scale.name}" if name == budgeting.METRIC else "points"
    return f"{value:.3g} " + {"latency": "ms", "energy": "mJ"}.get(name, lost)


def recipe(made: Compression, finalist: Finalist) -> str:
    """Return the TOML of a finalist's recipe; budgets on accuracy or a known metric that it meets become bounds."""
    over = budgeting.excesses(made.goal.budgets, finalist.figures)
    met = {b.name: b.limit for b in made.goal.budgets if over[b.name] <= 0}
    bounds = Bounds(met.get("accuracy-drop"), met.get("class-drop"), met.get("group-drop"))
    if budgeting.METRIC in met and made.goal.scale.name in NAMES:
        bounds = replace(bounds, metric=made.goal.scale.name, metric_drop=met[budgeting.METRIC])
    return final.recipe_text(
        finalist.candidate, "Makes the bundle again:\n" + command(made, finalist.recipe), bounds, True
    )


def command(made: Compression, recipe: Path | None) -> str:
    """Return the command that builds the same bundle again."""
    data, test = made.specs["calibration"], made.specs["test"]
    given = arguments(made.model, data, test, made.shapes, made.seed, made.trust, made.task)
    if made.goal.scale.drop == budgeting.METRIC:
        given += ["--metric", made.goal.scale.name]
    how = ["--target", made.board.name, "--recipe", str(recipe or "as-is")]
    return shlex.join(["edgekit", "compile", given[0], *how, *given[1:]])


def write(made: Compression) -> None:
    """Write ``front.json``, the recommended recipe as ``best.toml``, and what an interruption left uncompiled."""
    if made.found.interrupted and made.found.candidates:
        (made.out / "recipes").mkdir(exist_ok=True)
        for candidate in made.front():
            path = made.out / "recipes" / f"{candidate.name}.toml"
            if candidate.steps and not path.exists():
                comment = "Not compiled yet:\n" + command(made, path)
                write_text(path, final.recipe_text(candidate, comment, Bounds(), True))
    write_text(made.out / "front.json", dumps(made.json()) + "\n")
    best = made.out / "best.toml"
    best.unlink(missing_ok=True)
    if made.best is not None and made.best.recipe is not None:
        best.write_bytes(made.best.recipe.read_bytes())
