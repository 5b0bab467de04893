"""The command ``edgekit targets``."""

from __future__ import annotations

import click

from edgekit import target
from edgekit.cli.common import Output, output_options, table
from edgekit.target import BoardKind

KINDS = {
    BoardKind.LINUX: "Linux boards", BoardKind.GPU: "GPUs", BoardKind.PHONE: "Phones",
    BoardKind.ACCELERATOR: "Accelerators", BoardKind.MCU: "Microcontrollers",
    BoardKind.NPU: "NPUs of microcontrollers", BoardKind.FPGA: "FPGAs",
}  # fmt: skip
"""Headings of the tables, by a target's ``kind``."""


@click.command(epilog="Example: edgekit targets --json")
@output_options
def command(output: Output) -> None:
    """List the boards that edgekit knows.

    A board is one TOML file in targets/; docs/targets.md explains how to add yours.
    """
    boards = [target.load(name) for name in target.names()]
    if output.json:
        output.emit(
            {
                "schema": 1,
                "targets": [
                    {
                        "name": b.name, "kind": b.kind, "description": b.description, "arch": b.arch,
                        "backends": list(b.backends), "runners": list(b.runners),
                        "calibrations": list(b.calibration),
                    }
                    for b in boards
                ],
            }
        )  # fmt: skip
        return
    for kind, title in KINDS.items():
        rows = [[b.name, b.description, ", ".join(b.backends), ", ".join(b.runners)] for b in boards if b.kind == kind]
        if rows:
            table(title, ["Name", "Description", "Backends", "Runners"], rows)
