"""The command ``edgekit compress``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.common import (
    Listing,
    Output,
    figure,
    metric_names,
    output_options,
    seed_option,
    shape_option,
    size,
    table,
    task_option,
    trust_option,
)
from edgekit.cli.streams import say

if TYPE_CHECKING:
    from edgekit.compression.finalists import Finalist
    from edgekit.compression.result import Compression
    from edgekit.profiling import Figure

SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def _duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float:
    """Seconds of ``90``, ``90s``, ``10m`` or ``1.5h``; endless where nothing is given."""
    if value is None:
        return math.inf
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([a-z]*)", value.strip())
    if match is None or match[2] not in SECONDS:
        raise click.BadParameter(f"{value!r} is not a duration; write 90s, 10m or 1.5h", context, parameter)
    return float(match[1]) * SECONDS[match[2]]


@click.command(
    epilog="Example: edgekit compress model.keras --data digits.npz --target rpi4 --budget size=60kB "
    "--budget accuracy-drop=1"
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-d",
    "--data",
    required=True,
    metavar="FILE",
    help="Labelled samples: an .npz file, or a folder of images per class.",
)
@click.option("--test", metavar="FILE", help="Labelled samples for the final accuracy; default: a third of --data.")
@click.option("-t", "--target", required=True, metavar="T", help="The board to compress for.")
@click.option(
    "--budget", "budgets", multiple=True, metavar="NAME=LIMIT",
    help="latency=5ms, size=200kB, packed=100kB, energy=2mJ, accuracy-drop=1, class-drop=3, group-drop=2 (points), "
    "metric-drop=0.02 (of --metric); repeatable.",
)  # fmt: skip
@click.option(
    "--metric", metavar="M", cls=Listing, names=metric_names,
    help="Judge by a task's metric, not by accuracy: {names}, or your own: package.module:function; default: the "
    "task's own.",
)  # fmt: skip
@task_option
@click.option(
    "--trials", default=40, show_default=True, type=click.IntRange(1, 100_000), help="Number of recipes to try."
)
@click.option("--time", "seconds", callback=_duration, metavar="10m", help="Stop searching after this time.")
@click.option(
    "--finalists", default=5, show_default=True, type=click.IntRange(1, 100), help="Number of recipes to compile."
)
@click.option("--train", is_flag=True, help="Also try recipes that train (needs TensorFlow, takes longer).")
@click.option(
    "-o", "--out", default="build/compress", show_default=True, type=click.Path(path_type=Path),
    help="Folder for recipes, bundles and front.json.",
)  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path), help="Plot the Pareto front: .svg, .png or .pdf.")
@click.option("--fresh", is_flag=True, help="Do not continue an earlier search.")
@seed_option
@shape_option
@trust_option
@output_options
def command(model: Path, seconds: float | None, plot: Path | None, trust: bool, output: Output, **options: Any) -> None:
    """Search for recipes that best trade the accuracy of MODEL for size, latency and energy on a target.

    Candidates are judged by the target's estimate; the best are compiled, proven in the target's emulator, and
    measured on samples that the search has not seen. Ctrl-C shows the results so far; the same command resumes.
    """
    from edgekit.api.compress import compress

    if plot is not None:
        from edgekit.data.picture import check_plot

        check_plot(plot)
    with output.progress() as progress:
        made = compress(
            model, seconds=math.inf if seconds is None else seconds, trust=trust, progress=progress, **options
        )
    if plot is not None:
        from edgekit.compression.plot import draw

        draw(made, plot)
    if output.json:
        output.emit(made.json())
    else:
        _print(made)
    if made.found.interrupted:
        raise KeyboardInterrupt
    made.check()


def _print(made: Compression) -> None:
    found, failed = made.found, len(made.found.failed)
    uses = {"calibration": "for the passes", "search": "for the search", "test": "for the table"}
    parts = ", ".join(f"{made.samples[kind]} {use}" for kind, use in uses.items())
    say(f"samples: {parts}")
    say(
        f"{len(found)} recipes tried in {made.seconds:.0f} s"
        + (f", {found.continued} of them known from an earlier search" if found.continued else "")
        + (f", {failed} could not be used" if failed else "")
    )
    if made.finalists or made.reference:
        _print_finalists(made)
    elif found.candidates:
        _print_candidates(made)


def _print_finalists(made: Compression) -> None:
    from edgekit.compression import finalists
    from edgekit.compression.yardstick import Scale

    rows, scale = made.compiled, made.goal.scale
    kept = finalists.on_front(rows, made.goal.costs)
    alike = finalists.within_noise(rows)
    columns: dict[str, Callable[[Finalist], str]] = {
        "recipe": lambda f: f.name,
        scale.name: lambda f: f.verdict.shown()[0],
        scale.lost: lambda f: f.verdict.shown()[1],
        "network": lambda f: size(int(f.figures["size"])),
        "packed": lambda f: size(int(f.figures["packed"])),
        "latency": lambda f: _figure(f.profile.latency_ms, "ms"),
        "energy": lambda f: _figure(f.profile.energy_mj, "mJ"),
    }
    optional = {"packed", "energy"} - {budget.name for budget in made.goal.budgets}
    shown = [name for name in columns if name not in optional]
    marks = [_mark(made, f, front) for f, front in zip(rows, kept, strict=True)]
    table(
        f"Recipes for {made.board.name}",
        [*shown, ""],
        [[*(columns[name](f) for name in shown), mark] for f, mark in zip(rows, marks, strict=True)],
        right=(3,),
    )
    sources = ", ".join(sorted({f.profile.source for f in rows}))
    say(f"latency: {sources}, with its interval; {scale.name} and {scale.lost}: with 95 % intervals")
    if len(alike) > 1:
        most = "the most accurate" if scale == Scale() else "the best"
        say(f"{scale.name} within noise of {most}: " + ", ".join(f.name for f in alike))
    if made.best is not None:
        from edgekit.compression.result import command as again
        from edgekit.metrics.fairness import words

        found = made.best.compiled.accuracy if scale == Scale() else None
        say(f"best: {made.best.name}" + (f": {line}" if found and (line := words(found)) else ""))
        say(f"next: {again(made, made.best.recipe and made.out / 'best.toml')}")


def _figure(found: Figure, unit: str) -> str:
    return figure(found.value, found.low, found.high, unit)


def _mark(made: Compression, finalist: Finalist, front: bool) -> str:
    from edgekit.compression.budget import excesses

    over = [
        name.removesuffix("-drop")
        for name, excess in excesses(made.goal.budgets, finalist.figures).items()
        if excess > 0
    ]
    if over:
        return "over " + ", ".join(over)
    return "best" if finalist is made.best else "" if front else "dominated"


def _print_candidates(made: Compression) -> None:
    """Print the candidates known when a search was interrupted."""
    table(
        f"Recipes for {made.board.name}, not yet compiled: estimates",
        ["recipe", made.goal.scale.lost, "samples", "network", "latency", "energy"],
        [
            [c.name, _drop(made, c.drops[made.goal.scale.drop]), str(c.samples), size(int(c.costs["size"])),
             f"{c.costs['latency']:.3g} ms", f"{c.costs['energy']:.3g} mJ"]
            for c in made.front()
        ],
        right=(1, 2, 3, 4, 5),
    )  # fmt: skip


def _drop(made: Compression, value: float) -> str:
    return f"{value:.2f}" if made.goal.scale.drop == "accuracy-drop" else f"{value:.3g}"
