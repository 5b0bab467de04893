"""What a target's file says of a device for which a vendor's tools synthesize a network's C++ (HLS)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.files.tables import WrongTable, number

_PART = re.compile(r"[a-z0-9][a-z0-9-]{2,40}")


@dataclass(frozen=True, kw_only=True)
class Hls:
    """A device; ``low`` and ``high``: interval of latencies, as only synthesis knows cycles and clock.

    :param part: as the vendor orders it.
    """

    part: str
    clock_mhz: float = number("clock that the project asks for, MHz")
    multipliers: int = number("multiplier blocks of the device", whole=True)
    pixel_cycles: int = number("cycles that a convolution takes for each pixel beside its multiplications", whole=True)
    low: float = number("lower end of the interval of the latency, as a multiple", most=1)
    high: float = number("upper end of the interval of the latency, as a multiple")

    @property
    def hertz(self) -> float:
        """The clock, Hz."""
        return float(self.clock_mhz) * 1e6

    def check(self) -> None:
        """Refuse a part that no tool can be given.

        :raises WrongTable: naming the key.
        """
        if not _PART.fullmatch(self.part):
            raise WrongTable(f"hls.part is {self.part!r}: small letters, digits and hyphens")
