"""What is placed and routed: a module of the RTL with its parameters, for a device."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import resources
from edgekit.target import routing
from edgekit.target.fpga import Fpga

SUFFIX, PINS = ".sv", ".lpf"
_COMMENT, _BLANK = re.compile(rb"[ \t]*//[^\n]*"), re.compile(rb"\n\s*\n")


def rtl(top: str = "") -> dict[str, bytes]:
    """The accelerator's sources by name, and those in the folder of a board's top."""
    folder = resources.folder("firmware_stubs") / "fpga"
    boards = [path.parent for path in folder.glob(f"*/{top}{SUFFIX}")]
    files = [path for place in (folder, *boards) for path in sorted(place.glob(f"*{SUFFIX}"))]
    return {path.name: path.read_bytes() for path in files}


@dataclass(frozen=True)
class Design:
    """A module for a device.

    :param option, package, speed_grade: as nextpnr names them. :param goal_mhz: the clock that is asked for.
    :param pins: constraints, a file; None: any pins, which may pull the whole design to one side of the device.
    :param named_cells: the top names cells of the device, as a PLL.
    """

    device: str
    option: str
    package: str
    speed_grade: str
    top: str
    parameters: Mapping[str, int]
    goal_mhz: float
    pins: Path | None = None
    named_cells: bool = False

    @staticmethod
    def of(chip: Fpga) -> Design:
        """The accelerator of a target."""
        pins = resources.folder("targets") / routing.FOLDER / (chip.pins or chip.top + PINS)
        known = bool(chip.pins) or pins.is_file()
        return Design(
            chip.device, chip.option, chip.package, chip.speed_grade, chip.top, chip.parameters,
            float(chip.clock.goal_mhz), pins if known else None, named_cells=bool(chip.pins),
        )  # fmt: skip

    @property
    def name(self) -> str:
        """For files and messages."""
        return f"{self.top}-{self.option}"


def digest(sources: Mapping[str, bytes]) -> str:
    """Of sources, their names included; comments and blank lines make no difference."""
    key = hashlib.sha256()
    for name, data in sources.items():
        key.update(name.encode() + b"\0" + hashlib.sha256(_BLANK.sub(b"\n", _COMMENT.sub(b"", data))).digest())
    return key.hexdigest()[:16]
