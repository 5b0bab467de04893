"""What a schedule knows of a machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """Vector registers of a core, or of a GPU's thread.

    :param lanes: 32-bit lanes of a vector. :param registers: vector registers.
    :param dot: the dot product of bytes that it has: ``vnni`` (unsigned by signed), ``sdot``, ``mlal`` (pairs in 16
        bits), or "" for none.
    """

    lanes: int
    registers: int
    dot: str = ""

    @property
    def shifted(self) -> bool:
        """True if int8 activations are kept as unsigned bytes with 128 added, which its dot product takes."""
        return self.dot == "vnni"
