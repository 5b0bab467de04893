"""A picture of a profile: latency per operator, in the network's order."""

from __future__ import annotations

from pathlib import Path

from edgekit.data import picture
from edgekit.profiling import Profile

MOST_BARS = 60
"""A longer network shows its slowest operators only."""


def draw(profile: Profile, path: Path) -> None:
    """Draw ``profile`` to ``path``; the ending decides the format. The same profile gives the same bytes."""
    rows = profile.operators
    if len(rows) > MOST_BARS:
        slowest = sorted(rows, key=lambda r: -r.latency_ms)[:MOST_BARS]
        rows = [row for row in rows if row in slowest]
    labels = [f"{'' if r.index is None else r.index} {r.op}" for r in rows]
    figure, (axes,) = picture.panels(1, 9, 1.4 + 0.24 * max(len(rows), 1))
    kinds = list(dict.fromkeys(r.op for r in rows))
    colours = {kind: f"C{number % 10}" for number, kind in enumerate(kinds)}
    bars = axes.barh(range(len(rows)), [r.latency_ms for r in rows], color=[colours[r.op] for r in rows])
    axes.bar_label(bars, [f" {r.share:.1%}" for r in rows], fontsize=8)
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("ms")
    f = profile.latency_ms
    axes.set_title(f"{profile.target} ({profile.source}): {f.value:.3g} ms ({f.low:.3g} to {f.high:.3g})", fontsize=11)
    picture.save(figure, path)
