"""A picture of a profile: latency per operator, in the network's order."""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import ToolMissing, UsageError
from edgekit.profiling import Profile

FORMATS = (".svg", ".png", ".pdf")
MOST_BARS = 60
"""A longer network shows its slowest operators only."""


def check_plot(path: Path) -> None:
    """Refuse a wrong file name or a missing matplotlib before any work is done."""
    import importlib.util

    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"cannot draw a {path.suffix or 'nameless'} file", "name it " + ", ".join(FORMATS))
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "choose another --plot")
    if importlib.util.find_spec("matplotlib") is None:
        raise ToolMissing("drawing needs matplotlib", "install it: pip install 'edgekit[plot]'")


def draw(profile: Profile, path: Path) -> None:
    """Draw ``profile`` to ``path``; the ending decides the format. The same profile gives the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "edgekit"
    from matplotlib import pyplot

    rows = profile.operators
    if len(rows) > MOST_BARS:
        slowest = sorted(rows, key=lambda r: -r.latency_ms)[:MOST_BARS]
        rows = [row for row in rows if row in slowest]
    labels = [f"{'' if r.index is None else r.index} {r.op}" for r in rows]
    figure, axes = pyplot.subplots(figsize=(9, 1.4 + 0.24 * max(len(rows), 1)), layout="constrained")
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
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    try:
        figure.savefig(path, metadata=metadata)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", "choose another --plot") from error
    finally:
        pyplot.close(figure)
