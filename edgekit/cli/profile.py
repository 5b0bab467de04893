"""The command ``edgekit profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.common import (
    Listing,
    Output,
    count,
    figure,
    output_options,
    runner_names,
    shape_option,
    size,
    table,
    trust_option,
)
from edgekit.cli.streams import say

if TYPE_CHECKING:
    from edgekit.profiling import Profile
    from edgekit.profiling.operation import Operation


@click.command(epilog="Example: edgekit profile build/model.int8.rpi4 --on emulator --plot latency.svg")
@click.argument("path", metavar="BUNDLE|MODEL", type=click.Path(path_type=Path))
@click.option(
    "--on", default="estimate", show_default=True, metavar="WHERE", cls=Listing, names=runner_names,
    help="Where the figures come from: estimate, {names}.",
)  # fmt: skip
@click.option("-t", "--target", metavar="T", help="The board to estimate for, if a model is given.")
@click.option(
    "--runtime",
    metavar="R",
    help="For an estimate: the runtime (litert, tflite-2.4-ruy, tensorrt, ...); `edgekit targets show T` lists them.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    help="Number of threads.  [default: 1; for a bare model, as many as were measured]",
)
@click.option("--power-mode", metavar="M", help="For an estimate: the board's power mode, if several were measured.")
@click.option(
    "--calibration", "own", type=click.Path(path_type=Path), metavar="FILE",
    help="For an estimate: your own board's calibration, from `edgekit calibrate`.",
)  # fmt: skip
@click.option("--duty", metavar="N/TIME", help="Average the power over a duty cycle: 1/s, 10/min, 1/5min.")
@click.option("--battery", metavar="CHARGE", help="Compute how long this battery lasts: 3000mAh@3.7V or 11.1Wh.")
@click.option(
    "--price-per-kwh", type=click.FloatRange(0, 1e9), metavar="PRICE",
    help="Price of energy, to compute the cost of a million inferences.",
)  # fmt: skip
@click.option(
    "--device-price",
    type=click.FloatRange(0, 1e9),
    metavar="PRICE",
    help="Price of a device that is in use for --lifetime, to be included in that cost.",
)
@click.option("--lifetime", metavar="TIME", help="How long the device is in use: 3y, 500d or 10000h.")
@click.option(
    "--repeat", default=50, show_default=True, type=click.IntRange(1, 100_000),
    help="Number of timed inferences, on a device or the host.",
)  # fmt: skip
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Plot latency per operator: .svg, .png or .pdf."
)
@shape_option
@trust_option
@output_options
def command(path: Path, plot: Path | None, trust: bool, output: Output, **options: Any) -> None:
    """Show latency, energy and memory of one inference, in total and per operator.

    Every figure has a source (estimate, emulator, device) and an interval.
    """
    from edgekit.api.profile import profile

    if plot is not None:
        from edgekit.data.picture import check_plot

        check_plot(plot)
    with output.progress() as progress:
        found = profile(path, trust=trust, progress=progress, **options)
    if plot is not None:
        from edgekit.profiling.plot import draw

        draw(found, plot)
    if output.json:
        output.emit(found.json())
        return
    _print(found)
    if plot is not None:
        say(f"plot: {plot}")


def _print(found: Profile) -> None:
    rows = [
        [
            "" if r.index is None else str(r.index), r.op, r.name, f"{r.latency_ms:.4g}", f"{r.share:.1%}",
            f"{r.energy_mj:.3g}", count(r.macs), size(r.bytes), "" if r.instructions is None else count(r.instructions),
        ]
        for r in found.operators
    ]  # fmt: skip
    names = ["#", "operator", "name", "ms", "share", "mJ", "MACs", "bytes", "instructions"]
    if not any(r.instructions for r in found.operators):
        names, rows = names[:-1], [row[:-1] for row in rows]
    if any("work_items" in r.counts for r in found.operators):
        names += ["work-items", "kernels"]
        rows = [[*row, count(r.counts["work_items"]), r.kernels] for row, r in zip(rows, found.operators, strict=True)]
    if any("lanes" in r.counts for r in found.operators):
        names += ["cycles", "array", "waits for"]
        rows = [
            [*row, count(r.cycles or 0), *_array(r.cycles, r.counts)]
            for row, r in zip(rows, found.operators, strict=True)
        ]
    if found.zero_wait_cycles is not None:
        names.append("cycles/MAC")
        rows = [[*row, _per_mac(r.cycles, r.macs)] for row, r in zip(rows, found.operators, strict=True)]
    conditions = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in found.conditions.items()
        if value is not None
    )
    table(f"{found.target}: {found.source}, {conditions}", names, rows, right=(0, 3, 4, 5, 6, 7, 8, 9))
    latency, energy, power = found.latency_ms, found.energy_mj, found.power_w
    say("latency  " + figure(latency.value, latency.low, latency.high, "ms"))
    say("energy   " + figure(energy.value, energy.low, energy.high, "mJ") + f", {found.scope.replace('_', ' ')}")
    say("power    " + figure(power.value, power.low, power.high, "W"))
    if found.operation is not None:
        _print_operation(found.operation)
    if found.instructions is not None:
        modelled = "" if found.cycles is None else f", {found.cycles:,} modelled cycles"
        say(f"work     {found.instructions:,} instructions{modelled}")
    if found.macs and found.cycles:
        say("per MAC  " + _work_per_mac(found, found.macs, found.cycles))
    memory = {name: value for name, value in found.memory.items() if value is not None}
    say(
        "memory   "
        + ", ".join(f"{name.removesuffix('_bytes').replace('_', ' ')} {size(v)}" for name, v in memory.items())
    )
    say(f"basis    {found.basis}")


def _print_operation(found: Operation) -> None:
    """What follows from how the board is used, a line each."""
    lines = (
        ("average ", found.average_w, "W"), ("battery ", found.battery_h, "h"),
        ("energy costs", found.energy_cost, "per million inferences"),
        ("devices cost", found.device_cost, "per million inferences"),
        ("all costs", found.cost_per_million, "per million inferences"),
    )  # fmt: skip
    for name, value, unit in lines:
        if value is not None:
            say(f"{name} " + figure(value.value, value.low, value.high, unit))
    say(f"in use   {found.basis}")


def _array(cycles: int | None, counts: dict[str, int]) -> tuple[str, str]:
    """How much of an accelerator's array is used, and the cycles in which it waits, by cause."""
    if not cycles:
        return "", ""
    causes = {"weights": counts["weights"], "results": counts["sums"]}
    waits = ", ".join(f"{cause} {n / cycles:.0%}" for cause, n in causes.items() if n * 200 >= cycles)
    return f"{counts['macs'] / cycles / counts['lanes']:.0%}", waits


def _per_mac(work: int | None, macs: int) -> str:
    return f"{work / macs:.3g}" if work is not None and macs else ""


def _work_per_mac(found: Profile, macs: int, cycles: int) -> str:
    """Cycles, those without wait states and instructions, each per MAC of the network."""
    parts = [f"{cycles / macs:.3g} cycles"]
    if (zero := found.zero_wait_cycles) is not None:
        parts.append("without wait states " + figure(zero.value / macs, zero.low / macs, zero.high / macs, "cycles"))
    if found.instructions is not None:
        parts.append(f"{found.instructions / macs:.3g} instructions")
    return ", ".join(parts)
