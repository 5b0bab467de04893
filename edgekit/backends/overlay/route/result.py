"""What becomes of a routed accelerator: its clock is checked, its files go into the bundle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.overlay.route.steps import BITSTREAM, TIMING, Routed
from edgekit.errors import CheckFailed
from edgekit.files.documents import write_text
from edgekit.target.routing import Report

if TYPE_CHECKING:
    from edgekit.target import Target

FOLDER = "fpga"
"""In ``artifact/``."""


def check(report: Report, target: Target) -> None:
    """Compare a routed clock with the target's.

    :raises CheckFailed: naming the path that is too long.
    """
    wanted = float(target.programmable.clock.mhz)
    if report.mhz < wanted:
        raise CheckFailed(
            f"timing is not met: {report.mhz:g} MHz of {target.name}'s {wanted:g}; the longest path goes "
            f"{report.critical.words()}",
            f"try another placement: --set overlay.seed={report.seed + 1}; or lower fpga.clock.mhz in your target",
        )


def write(made: Routed, folder: Path) -> None:
    """Write report, nextpnr's timing and bitstream below an artifact's folder."""
    place = folder / FOLDER
    place.mkdir()
    write_text(place / "report.json", made.report.text())
    shutil.copyfile(made.timing, place / TIMING)
    shutil.copyfile(made.bitstream, place / BITSTREAM)
