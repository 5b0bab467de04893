"""What place and route said of an accelerator: ``targets/fpga/NAME.json``, written by ``bench/place_and_route.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgekit import resources
from edgekit.errors import UsageError
from edgekit.files import documents

FOLDER = "fpga"
"""Of reports and constraints, below ``targets/``."""
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Critical:
    """The longest path from one register to the next.

    :param start, end: cells. :param ns: the clock's period that it asks for. :param wires_ns: of that in wires.
    """

    start: str
    end: str
    ns: float
    wires_ns: float

    def words(self) -> str:
        """For people."""
        return f"from {self.start} to {self.end}: {self.ns:.2f} ns, {self.wires_ns:.2f} ns of them in wires"


@dataclass(frozen=True)
class Report:
    """A configuration as routed.

    :param tools: name and version of each. :param rtl: digest of the RTL. :param parameters: of the module ``top``.
    :param goal_mhz: what was asked for. :param mhz: what was reached. :param used: cells by kind, ``(used, there)``.
    """

    device: str
    package: str
    speed_grade: str
    top: str
    parameters: Mapping[str, int]
    rtl: str
    tools: Mapping[str, str]
    seed: int
    goal_mhz: float
    mhz: float
    critical: Critical
    used: Mapping[str, tuple[int, int]]

    def text(self) -> str:
        """As JSON."""
        return documents.dumps({"schema": 1, **asdict(self)}) + "\n"

    def words(self) -> str:
        """The cells that are used, for people."""
        shown = [f"{used} of {there} {kind}" for kind, (used, there) in self.used.items() if kind in KINDS]
        return ", ".join(shown)


KINDS = ("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD")
"""Cells that say how full a device is: LUTs, flip-flops, multipliers, memory blocks."""


def read(file: Path) -> Report:
    """Read a report.

    :raises UsageError: if it is missing or damaged.
    """
    try:
        with file.open("rb") as opened:
            data = documents.loads(opened.read(MOST_BYTES))
        if not isinstance(data, dict) or data.pop("schema", None) != 1:
            raise ValueError("it is of another version")
        return _report(data)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "name a report in targets/fpga") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{file.name} is damaged: {error}", "write it again: bench/place_and_route.py") from error


def _report(data: dict[str, Any]) -> Report:
    used = {str(kind): (int(cells[0]), int(cells[1])) for kind, cells in data.pop("used").items()}
    return Report(**{**data, "critical": Critical(**data["critical"]), "used": used})


def shipped(name: str) -> Path:
    """The file of a report that edgekit ships."""
    return resources.folder("targets") / FOLDER / f"{name}.json"
