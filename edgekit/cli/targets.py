"""``edgekit targets``"""

from __future__ import annotations

import click

from edgekit import target
from edgekit.cli.common import Output, output_options, table

KINDS = {
    "linux": "Linux boards", "gpu": "GPUs", "phone": "Phones", "accelerator": "Accelerators",
}  # fmt: skip
"""Headings of the tables, by a target's ``kind``."""


@click.command(epilog="Example: edgekit targets --json")
@output_options
def command(output: Output) -> None:
    """List the boards edgekit knows.

    A board is one TOML file in targets/; docs/targets.md says how to add yours.
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
                        "calibrations": b.data.get("calibration", []),
                    }
                    for b in boards
                ],
            }
        )  # fmt: skip
        return
    kinds = KINDS | {b.kind: f"Targets of kind {b.kind}" for b in boards if b.kind not in KINDS}
    for kind, title in kinds.items():
        rows = [[b.name, b.description, ", ".join(b.backends), ", ".join(b.runners)] for b in boards if b.kind == kind]
        if rows:
            table(title, ["Name", "Description", "Backends", "Runners"], rows)
