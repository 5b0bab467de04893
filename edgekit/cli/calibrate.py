"""The command ``edgekit calibrate``."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.common import Output, figure, output_options
from edgekit.cli.streams import say


@click.command(epilog="Example: edgekit calibrate --on ssh://pi@raspberrypi --target rpi5 --out my-pi.toml")
@click.option("--on", required=True, metavar="WHERE", help="The board: ssh://user@host[:port] or adb[:SERIAL].")
@click.option("-t", "--target", required=True, metavar="T", help="What kind of board it is.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The calibration file to write."
)
@click.option("--dtype", type=click.Choice(["float32", "int8"]), default="float32", show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), help="Number of threads.  [default: all cores]")
@click.option(
    "--repeat",
    default=20,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Number of timed inferences per network.",
)
@output_options
def command(on: str, target: str, out: Path, dtype: str, threads: int | None, repeat: int, output: Output) -> None:
    """Measure five small networks on your board, and fit its costs.

    `edgekit profile MODEL --target T --calibration FILE` then estimates for this very board, with narrower intervals.
    """
    from edgekit.api.calibrate import calibrate

    with output.progress() as progress:
        made = calibrate(on, target=target, out=out, dtype=dtype, threads=threads, repeat=repeat, progress=progress)
    if output.json:
        output.emit(
            {
                "schema": 1,
                "path": str(made.path),
                "probes": [
                    {"name": one.name, "expected_ms": one.expected_ms.value, "measured_ms": one.measured_ms.value}
                    for one in made.probes
                ],
            }
        )
        return
    for one in made.probes:
        expected, measured = one.expected_ms, one.measured_ms
        say(
            f"{one.name:10} " + figure(measured.value, measured.low, measured.high, "ms")
            + ", expected " + figure(expected.value, expected.low, expected.high, "ms")
        )  # fmt: skip
    say(f"wrote {made.path}: edgekit profile MODEL --target {target} --calibration {made.path}")
