"""Plotting with matplotlib: the checks before, the file after. The same plot gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.errors import ToolMissing, UsageError

FORMATS = (".svg", ".png", ".pdf")


def check_plot(path: Path) -> None:
    """Refuse a wrong file name or a missing matplotlib before any work is done."""
    import importlib.util

    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"cannot plot to a {path.suffix or 'nameless'} file", "name it " + ", ".join(FORMATS))
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "choose another --plot")
    if importlib.util.find_spec("matplotlib") is None:
        raise ToolMissing("plotting needs matplotlib", "install it: pip install 'edgekit[plot]'")


def panels(count: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """Return a matplotlib figure of ``width`` x ``height`` inches and ``count`` axes side by side."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a home folder that is closed is no trouble of the user's
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "edgekit"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, count, figsize=(width, height), layout="constrained", squeeze=False)
    for one in axes[0]:
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
    return figure, list(axes[0])


def log_axis(axes: Any) -> None:
    """Make the x-axis logarithmic, with few ticks that are plain numbers and do not overlap; call it when all is drawn.

    Within a decade, matplotlib labels every step as ``3 x 10^-2``, one over the other.
    """
    from matplotlib import ticker

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    if high < 10 * low:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    else:
        fine = (1.0, 3.0) if high < 100 * low else (1.0,)
        axes.xaxis.set_major_locator(ticker.LogLocator(base=10, subs=fine, numticks=5))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())


def save(figure: Any, path: Path) -> None:
    """Write the figure and close it; the ending decides the format."""
    from matplotlib import pyplot

    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    try:
        figure.savefig(path, metadata=metadata)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", "choose another --plot") from error
    finally:
        pyplot.close(figure)
