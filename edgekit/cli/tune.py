"""The command ``edgekit tune``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.common import Output, output_options, seed_option, shape_option, table, trust_option
from edgekit.cli.streams import say

if TYPE_CHECKING:
    from edgekit.api.tune import Tuned


@click.command(epilog="Example: edgekit tune model.tflite --target rpi4 --trials 64 --on ssh://pi@raspberrypi.local")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-t", "--target", metavar="T", help="The board to tune for; a bundle has its own.")
@click.option(
    "--trials", default=64, show_default=True, type=int,
    help="Number of kernel variants to try, including those of earlier runs.",
)  # fmt: skip
@click.option(
    "--on", metavar="WHERE",
    help="Where to measure: host, emulator, ssh://user@host[:port], tracker://host:port (TVM's RPC tracker); default: "
    "host for this machine, otherwise the emulator.",
)  # fmt: skip
@click.option(
    "--database", metavar="PATH", help="Where to keep the results: a file or a folder; default: edgekit's cache."
)
@seed_option
@shape_option
@trust_option
@output_options
def command(model: Path, trust: bool, output: Output, **options: Any) -> None:
    """Search for faster kernels for MODEL (or a bundle) on a target, for `compile --backend tvm`.

    Other tiles and schedules are measured against the rules' own kernels, and later compiles can use those that are
    faster. Ctrl-C stops at any time; the same command resumes where it stopped.
    """
    from edgekit.api.tune import tune

    with output.progress() as progress:
        made = tune(model, trust=trust, progress=progress, **options)
    if output.json:
        output.emit(made.json())
    else:
        _print(made)
    if made.interrupted:
        raise KeyboardInterrupt


def _time(us: float) -> str:
    """Format microseconds: ``6.28 µs``, ``1.11 ms``."""
    return f"{us:.3g} µs" if us < 999.5 else f"{us / 1e3:.3g} ms"


def _print(made: Tuned) -> None:
    rows = []
    for row in made.kernels:
        best = "" if row["best"] is None else f"{row['best']:.2f}x"
        rows.append(
            [
                row["kernel"], str(row["calls"]), "" if row["rule_us"] is None else _time(row["rule_us"]),
                f"{row['trials']}" + (f" ({row['failed']} failed)" if row["failed"] else ""), best, row["how"] or "",
                "tuned" if row["used"] else "rule",
            ]
        )  # fmt: skip
    columns = ["kernel", "calls", "rule", "trials", "best", "by", "used"]
    table(f"Kernels of {made.target} on {made.on}", columns, rows, right=(1, 2, 3, 4))
    say(f"{made.known + made.new} trials, {made.new} of them new, in {made.seconds:.0f} s; database: {made.database}")
    if made.interrupted:
        say("interrupted: the same command resumes")
        return
    faster = sum(row["used"] for row in made.kernels)
    whole = made.network
    if whole is not None:
        say(
            f"whole network: {_time(whole.rule_us)} by the rules, {_time(whole.tuned_us)} tuned: "
            f"{1 / whole.ratio:.2f}x ({1 / whole.high:.2f} to {1 / whole.low:.2f})"
        )
    if made.used:
        use = shlex.join(["--backend", "tvm", "--database", made.to_use])
        say(f"{faster} of {len(made.kernels)} kernels became faster; to use them: compile {use}")
    else:
        say("nothing is faster than the rules: compile uses their kernels")
