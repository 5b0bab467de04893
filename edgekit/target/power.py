"""Tables of a target's file: what a board draws."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.files.tables import number


@dataclass(frozen=True, kw_only=True)
class _Powers:
    """Powers in watts; ``scope``: what they cover, ``board_supply``, ``wall``, ``core_rail`` or ``accelerator``."""

    scope: str = "board_supply"
    idle_w: float | None = number("power of the idle board, watts", default=None, zero=True)
    uncertainty: float = number("relative uncertainty of the powers", default=0.5, most=1, zero=True)


@dataclass(frozen=True, kw_only=True)
class CorePower(_Powers):
    """Powers of processors; linear between one core and all of them."""

    one_core_w: float = number("power with one core busy, watts")
    all_cores_w: float = number("power with all cores busy, watts")

    def watts(self, threads: int, cores: int) -> float:
        """Power while ``threads`` threads compute; idle power is included."""
        one, every = float(self.one_core_w), float(self.all_cores_w)
        busy = min(max(threads, 1), cores)
        return one + (every - one) * (busy - 1) / max(1, cores - 1)


@dataclass(frozen=True, kw_only=True)
class BusyPower(_Powers):
    """Power of a board whose GPU or FPGA computes."""

    busy_w: float = number("power with the GPU or FPGA busy, watts")

    def watts(self, threads: int, cores: int) -> float:
        """Power while it computes, whatever threads there are; idle power is included."""
        return float(self.busy_w)
