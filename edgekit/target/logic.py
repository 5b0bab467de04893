"""What a target's file says of logic that is made for one network: every operator is a circuit of its own."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.files.tables import number


@dataclass(frozen=True, kw_only=True)
class Logic:
    """Logic made for one network; ``low`` and ``high``: interval of its latency, as the clock is assumed."""

    clock_mhz: float = number("clock that is assumed, MHz")
    products: int = number("multiplications of one inference that become circuits, at most", whole=True)
    adders_per_stage: int = number("additions between two registers", whole=True)
    low: float = number("lower end of the interval of the latency, as a multiple", most=1)
    high: float = number("upper end of the interval of the latency, as a multiple")

    @property
    def hertz(self) -> float:
        """The clock, Hz."""
        return float(self.clock_mhz) * 1e6
