"""The command ``edgekit targets``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgekit import target
from edgekit.cli.common import Output, output_options, table
from edgekit.cli.streams import say
from edgekit.target import BoardKind, Listed

if TYPE_CHECKING:
    from edgekit.profiling.calibrated.calibration import Calibration, MeasuredPower

KINDS = {
    BoardKind.LINUX: "Linux boards", BoardKind.GPU: "GPUs", BoardKind.PHONE: "Phones",
    BoardKind.ACCELERATOR: "Accelerators", BoardKind.MCU: "Microcontrollers",
    BoardKind.NPU: "NPUs of microcontrollers", BoardKind.FPGA: "FPGAs",
    BoardKind.LOGIC: "Logic made for one network", BoardKind.HLS: "FPGAs by high-level synthesis",
}  # fmt: skip
"""Headings of the tables, by a target's ``kind``."""


@click.group(
    invoke_without_command=True,
    epilog="Example: edgekit targets --json, edgekit targets show rpi4",
)
@output_options
@click.pass_context
def command(context: click.Context, output: Output) -> None:
    """List the boards that edgekit knows.

    A board is one TOML file in targets/; docs/targets.md explains how to add yours. `edgekit targets show T` lists what
    was measured on one.
    """
    if context.invoked_subcommand is not None:
        return
    boards = target.listed()
    if output.json:
        output.emit({"schema": 1, "targets": [_json(board) for board in boards]})
        return
    for kind, title in KINDS.items():
        rows = [[b.name, b.description, ", ".join(b.backends), ", ".join(b.runners)] for b in boards if b.kind == kind]
        if rows:
            table(title, ["Name", "Description", "Backends", "Runners"], rows)


@command.command(
    epilog="Example: edgekit targets show rpi4", short_help="Show one board, and how far estimates for it are off."
)
@click.argument("name", metavar="T")
@output_options
def show(name: str, output: Output) -> None:
    """Show one board: the runtimes whose speed was measured on it, and how far estimates are off.

    Errors are those of networks that the calibration has not seen; docs/calibration.md says how they were found.
    """
    from edgekit.profiling.calibrated import calibration

    board = target.load(name)
    if output.json:
        output.emit({"schema": 1, **_json(board)})
        return
    say(f"{board.name}: {board.description}")
    say(f"backends {', '.join(board.backends)}; runners {', '.join(board.runners)}")
    known = calibration.of(name)
    rows = [
        [
            one.runtime, str(one.dtype), ("1 to " if one.scaling else "") + str(one.threads), str(one.samples),
            f"{one.mape:.0%}", f"{one.within_10:.0%}", f"{one.within_20:.0%}", f"{one.coverage:.0%}", one.left_out,
        ]
        for one in known
    ]  # fmt: skip
    if not rows:
        say("nothing was measured on it: estimates are uncalibrated, and their intervals wide")
        return
    names = ["Runtime", "Dtype", "Threads", "Rows", "MAPE", "Within 10 %", "Within 20 %", "Coverage", "Left out"]
    table("Calibrations", names, rows, right=(3, 4, 5, 6, 7))
    energies = [_energy(one, one.power) for one in known if one.power]
    if energies:
        names = ["Runtime", "Dtype", "Scope", "Rows", "Power", "Nine in ten", "MAPE of energy", "Coverage"]
        table("Energies", names, energies, right=(3, 4, 5, 6, 7))
    for one in known:
        if one.caution:
            say(f"{one.runtime}, {one.dtype}: {one.caution}")


def _energy(one: Calibration, power: MeasuredPower) -> list[str]:
    error, inside = (f"{value:.0%}" for value in power.judged) if power.judged else ("-", "-")
    return [
        one.runtime, str(one.dtype), power.scope.replace("_", " "), str(power.samples), f"{power.watts:.3g} W",
        f"{power.low:.3g} to {power.high:.3g} W", error, inside,
    ]  # fmt: skip


def _json(board: Listed | target.Target) -> dict[str, Any]:
    from edgekit.profiling.calibrated import index

    known = index.of(board.name)
    return {
        "name": board.name, "kind": board.kind, "description": board.description, "arch": board.arch,
        "backends": list(board.backends), "runners": list(board.runners),
        "runtimes": sorted({one["runtime"] for one in known}),
        "calibrations": [*board.calibration, *known],
    }  # fmt: skip
