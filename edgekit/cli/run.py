"""The command ``edgekit run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edgekit.cli.common import Output, on_option, output_options, seed_option, threads_option
from edgekit.cli.streams import flush, say
from edgekit.errors import UsageError
from edgekit.text.printable import name

if TYPE_CHECKING:
    from edgekit.tasks.decisions import Decision

MOST_LABELS = 20


@click.command(epilog="Example: edgekit run build/model.int8.rpi4 --on ssh://pi@raspberrypi.local --data digits.npz")
@click.argument("bundle", type=click.Path(path_type=Path))
@on_option
@click.option(
    "-d", "--data", metavar="FILE",
    help="Inputs: .npz with x (and y), .csv, a folder of images, sound, texts, COCO's .json, random; default: golden.",
)  # fmt: skip
@click.option(
    "--watch", type=click.Path(path_type=Path), metavar="FOLDER",
    help="If the bundle has a task: decide on the pictures or sound that arrive in this folder, until Ctrl-C.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Use at most this many samples of --data.")
@click.option("--save", type=click.Path(path_type=Path), help="Write the outputs to this .npz file.")
@click.option(
    "--decisions", type=click.Path(path_type=Path), metavar="FILE",
    help="If the bundle has a task: write its decision for each sample as a line of JSON.",
)  # fmt: skip
@click.option(
    "--draw", type=click.Path(path_type=Path), metavar="OUT",
    help="With boxes or masks: write the pictures of --data, with these drawn on them, to this new folder.",
)  # fmt: skip
@click.option(
    "--repeat", default=1, show_default=True, type=click.IntRange(1, 100_000), help="Number of timed inferences."
)
@threads_option
@seed_option
@output_options
def command(bundle: Path, output: Output, watch: Path | None, **options: Any) -> None:
    """Run BUNDLE on its golden samples or on yours."""
    from edgekit.api.run import run

    if watch is not None:
        _watch(bundle, watch, output, **options)
        return

    with output.progress() as progress:
        result = run(bundle, progress=progress, **options)
    if output.json:
        output.emit(result.json())
        return
    say(f"{result.samples} samples on {result.on}, {result.run.trace.runtime}")
    for tensor in result.outputs:
        say(f"output {name(tensor['name'])}: {tensor['dtype']} {tensor['shape']}")
    for decision in result.decisions or ():
        say(_line(decision))
    if result.top1 is not None and result.decisions is None:
        shown = " ".join(map(str, result.top1[:MOST_LABELS]))
        say(f"largest element: {shown}{' ...' if result.samples > MOST_LABELS else ''}")
    if result.accuracy is not None:
        say(f"accuracy: {result.accuracy:.2%}")
    if (reached := result.metric) is not None:
        score = reached.score
        say(f"{reached.metric} ({reached.samples} samples): {score.value:.4g} ({score.low:.4g} to {score.high:.4g})")
    if result.latency_ms is not None:
        say(f"latency: {result.latency_ms:.3f} ms (median of {len(result.run.trace.latency_ms)})")


def _watch(bundle: Path, folder: Path, output: Output, *, on: str | None, decisions: Path | None, threads: int,
           **others: Any) -> None:  # fmt: skip
    from edgekit.api.watch import watch

    given = click.get_current_context().get_parameter_source
    excluded = [option for option in (*others, "as_json") if given(option) is not ParameterSource.DEFAULT]
    if excluded:
        option = excluded[0].removeprefix("as_")
        raise UsageError(f"--watch excludes --{option}", "--decisions FILE writes lines of JSON")

    def told(decision: Decision) -> None:
        say(_line(decision))
        flush()

    with output.progress() as progress:
        count = watch(bundle, folder, told, on=on, decisions=decisions, threads=threads, progress=progress)
    say(f"{count} files")


def _line(decision: Decision) -> str:
    return f"{name(decision.sample)}: {decision.outcome.words()}"
