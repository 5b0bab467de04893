"""A configuration of the overlay (``firmware_stubs/fpga``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """Parameters of ``ek_overlay``; docs/fpga.md lists them.

    :param ic: and ``oc``: input and output lanes of the array. :param packed: two products per multiplier.
    :param act_kib: activation memory. :param stream_kib: FIFO of commands and weights. :param acc_depth: sums per lane
        and half. :param mem_bits: of the memory port. :param lanes: of requantization, 4 or 8.
    :param beat_cycles: that a beat of the memory port takes, sustained; no parameter of the RTL.
    """

    ic: int = 16
    oc: int = 8
    packed: bool = False
    act_kib: int = 128
    stream_kib: int = 64
    acc_depth: int = 512
    mem_bits: int = 32
    lanes: int = 4
    beat_cycles: float = 1.0

    @property
    def banks(self) -> int:
        """Words of four channels that one read brings."""
        return self.ic // 4

    @property
    def act_words(self) -> int:
        """Words of the activation memory."""
        return self.act_kib * 256

    def port_cycles(self, count: int) -> int:
        """Cycles that so many bytes take to come through the memory port."""
        return int(count * 8 // self.mem_bits * self.beat_cycles)

    @property
    def multipliers(self) -> int:
        """18 x 18 multipliers: the array's, requantization's, MUL's."""
        return self.ic * self.oc // (2 if self.packed else 1) + self.lanes * (4 if self.lanes == 4 else 3) + 4

    @property
    def macs_per_cycle(self) -> int:
        """Products of the array."""
        return self.ic * self.oc

    def parameters(self) -> dict[str, int]:
        """The RTL's parameters by name."""
        return {
            "IC": self.ic, "OC": self.oc, "PACKED": int(self.packed), "ACT_KIB": self.act_kib,
            "STREAM_KIB": self.stream_kib, "ACC_DEPTH": self.acc_depth, "MEM_BITS": self.mem_bits,
            "LANES": self.lanes,
        }  # fmt: skip
