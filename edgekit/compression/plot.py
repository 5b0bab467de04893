"""Plot of a search: accuracy against each cost, finalists with intervals, budgets as lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.compression import search
from edgekit.data import picture

if TYPE_CHECKING:
    from edgekit.compression.result import Compression

AXES = {"size": (1e-3, "network, kB"), "packed": (1e-3, "packed network, kB"), "latency": (1.0, "latency, ms"),
        "energy": (1.0, "energy, mJ")}  # fmt: skip


def draw(made: Compression, path: Path) -> None:
    """Plot to ``path``. Higher is better: 0 is the uncompressed network's accuracy."""
    costs, loss = made.goal.costs, made.goal.scale
    figure, axes = picture.panels(len(costs), 1 + 4.6 * len(costs), 4.2)
    limits = {budget.name: budget.limit for budget in made.goal.budgets}
    candidates = search.unique(made.found)
    for cost, one in zip(costs, axes, strict=True):
        scale, label = AXES[cost]
        one.scatter(
            [c.costs[cost] * scale for c in candidates], [-c.drops[loss.drop] for c in candidates],
            s=12, color="0.7", label="tried (estimate, search samples)",
        )  # fmt: skip
        for number, finalist in enumerate(made.compiled):
            drop = finalist.verdict.drop
            error = [[drop.high - drop.value], [drop.value - drop.low]]
            one.errorbar(
                finalist.figures[cost] * scale, -drop.value, yerr=error, fmt="o", capsize=3, color=f"C{number % 10}",
                label=finalist.name + (" (best)" if finalist is made.best else ""),
            )  # fmt: skip
        if cost in limits:
            one.axvline(limits[cost] * scale, color="0.4", linestyle="--", linewidth=1)
        if loss.drop in limits:
            one.axhline(-limits[loss.drop], color="0.4", linestyle="--", linewidth=1)
        worst = max((f.verdict.drop.high for f in made.compiled), default=10.0 * loss.point)
        one.set_ylim(-max(loss.point, 1.5 * worst, 1.5 * limits.get(loss.drop, 0.0)), max(loss.point, 0.5 * worst))
        if candidates or made.compiled:
            picture.log_axis(one)
        one.set_xlabel(label)
    axes[0].set_ylabel(f"{loss.axis} against the uncompressed network")
    axes[-1].legend(fontsize=7, loc="best")
    figure.suptitle(f"{made.model.name} on {made.board.name}", fontsize=11)
    picture.save(figure, path)
