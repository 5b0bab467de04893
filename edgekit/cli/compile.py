"""The command ``edgekit compile``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.common import (
    Listing,
    Output,
    backend_names,
    figure,
    format_names,
    judged_line,
    metric_names,
    output_options,
    recipe_names,
    seed_option,
    shape_option,
    size,
    table,
    task_option,
    trust_option,
    workers_option,
)
from edgekit.cli.streams import say

if TYPE_CHECKING:
    from edgekit.api.compile import Compiled


@click.command(
    epilog="Example: edgekit compile model.keras --target rpi4 --target rpi5 --recipe int8 --data digits.npz"
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-t", "--target", "targets", multiple=True, required=True, metavar="T", help="A board to compile for; repeatable."
)
@click.option(
    "-r", "--recipe", default="as-is", metavar="R", show_default=True, cls=Listing, names=recipe_names,
    help="How to transform the network first: {names}, or your own .toml file.",
)  # fmt: skip
@click.option(
    "-d",
    "--data",
    metavar="FILE",
    help="Samples: an .npz with x (and y), a .csv table, a folder of images, sound or texts, COCO's .json, or random.",
)
@task_option
@click.option("--test", metavar="FILE", help="Labelled samples to measure accuracy on; default: --data.")
@click.option(
    "--metric", "metrics", multiple=True, metavar="M", cls=Listing, names=metric_names,
    help="A further metric to evaluate before and after the recipe; repeatable. {names}, or your own: "
    "package.module:function.",
)  # fmt: skip
@click.option(
    "--budget", "budgets", multiple=True, metavar="metric-drop=LIMIT",
    help="How much of each --metric the recipe may cost, in the metric's own unit; if it costs more, nothing is "
    "written.",
)  # fmt: skip
@click.option(
    "-b", "--backend", default="first", metavar="B", show_default=True, cls=Listing, names=backend_names,
    help="{names}; first: the first of the target's backends that supports the network; auto: try all that do, keep "
    "the fastest.",
)  # fmt: skip
@click.option(
    "-o", "--out", default="build", show_default=True, type=click.Path(path_type=Path), help="Folder for the bundles."
)
@click.option(
    "--set", "changes", multiple=True, metavar="PASS.PARAM=VALUE", help="Change a parameter of the recipe; repeatable."
)
@click.option(
    "--format", "formats", multiple=True, metavar="F", cls=Listing, names=format_names,
    help="Also write the network in C as a library for a build system; repeatable. {names}.",
)  # fmt: skip
@click.option(
    "--split", is_flag=True, help="For an FPGA: leave the operators that its accelerator lacks to the host beside it."
)
@click.option(
    "--pnr",
    is_flag=True,
    help="For an FPGA: also place and route the accelerator, which takes some minutes once; writes the bitstream.",
)
@workers_option
@seed_option
@click.option(
    "--database",
    metavar="PATH",
    help="Use tuned kernels (edgekit tune): a file, a folder, or auto for edgekit's cache; default: none.",
)
@click.option(
    "--threads", type=click.IntRange(1, 256), metavar="N",
    help="For --backend auto: the threads that an inference may use; default: one per core of the target.",
)  # fmt: skip
@click.option("--no-tuned", is_flag=True, hidden=True, help="No tuned kernels, which is the default.")
@click.option("--zip", "pack", is_flag=True, help="Also write each bundle as one .edgekit file.")
@shape_option
@trust_option
@output_options
def command(
    model: Path, targets: tuple[str, ...], trust: bool, output: Output, database: str | None, no_tuned: bool,
    formats: tuple[str, ...], pnr: bool, **options: Any,
) -> None:  # fmt: skip
    """Compile MODEL into one proven bundle for each target.

    The network is read, transformed by the recipe, compiled, and run on golden samples in the target's emulator;
    a bundle is written only if its outputs agree with the reference's.
    """
    from edgekit.api.compile import compile

    if database is not None and no_tuned:
        raise click.UsageError("--database and --no-tuned exclude each other")
    if formats:
        options["changes"] += (f"c99.format={','.join(formats)}",)
    if pnr:
        options["changes"] += ("overlay.pnr=true",)
    with output.progress() as progress:
        made = compile(model, targets=targets, trust=trust, database=database, progress=progress, **options)
    if output.json:
        output.emit({"schema": 1, "bundles": [bundle.json() for bundle in made]})
        return
    _print(made)


def _print(made: list[Compiled]) -> None:
    from edgekit.runners import Observes
    from edgekit.runners import get as get_runner

    rows = []
    for bundle in made:
        estimate = bundle.estimate["latency_ms"]
        files = bundle.manifest["files"]
        rows.append(
            [
                bundle.target, bundle.recipe, bundle.backend, size(files["model.tflite"]["bytes"]),
                f"{bundle.parity.verdict} on {bundle.parity.on}: {bundle.parity.words()}",
                figure(estimate["value"], estimate["low"], estimate["high"], "ms"),
            ]
        )  # fmt: skip
    table("Bundles", ["target", "recipe", "backend", "network", "parity", "estimated latency"], rows, right=(3,))
    for bundle in made:
        if (decision := bundle.parity.decision) is not None:
            say(f"{bundle.target}: {decision.words()}")
        say(f"{bundle.target}: {bundle.path}")
    for bundle in made:
        for form in filter(None, bundle.manifest.get("options", {}).get("format", "").split(",")):
            for library in sorted((bundle.path / "artifact" / form).iterdir()):
                say(f"{bundle.target}, for {form}: {library}")
    for bundle in made:
        for advice in bundle.manifest.get("delegates", []):
            say(f"{bundle.target}, {advice['name']}: {advice['words']}")
    if made[0].accuracy:
        _print_accuracy(made[0].accuracy)
    for judged in made[0].manifest.get("metrics", []):
        say(judged_line(judged))
    on, apart = made[0].parity.on, made[0].backend in APART
    untimed = apart or get_runner(on).observes is Observes.NOTHING
    command = [
        "edgekit",
        "profile",
        str(made[0].path),
        "--on",
        "estimate" if untimed else on,
    ]
    say(f"next: {shlex.join(command)}")


APART = ("edgetpu", "vela")
"""Backends whose artifacts are proven on another processor than the one they are for."""


def _print_accuracy(accuracy: dict[str, Any]) -> None:
    from edgekit.metrics.fairness import words

    say(
        f"accuracy ({accuracy['metric']}, {accuracy['samples']} samples): {accuracy['float']:.2%} before, "
        f"{accuracy['compiled']:.2%} compiled ({accuracy['low']:.2%} to {accuracy['high']:.2%})"
    )
    if worst := words(accuracy):
        say(worst)
