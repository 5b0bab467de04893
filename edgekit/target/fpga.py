"""What a target's file says of an FPGA: the device, the accelerator that is configured into it, its clock, its energy.

The accelerator's parameters are those of the module ``ek_overlay`` (docs/fpga.md): an array of input lanes times output
lanes of int8 multipliers with addition, and its memories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edgekit.files.tables import WrongTable, number


class Family(StrEnum):
    """Families of devices; each has tools and primitives of its own."""

    ECP5 = "ecp5"
    ICE40 = "ice40"
    XC7 = "xc7"


@dataclass(frozen=True)
class Block:
    """The blocks of one family.

    :param tool: the toolchain that places and routes it; empty: no open one that edgekit uses.
    :param memory_kib: data of one block of memory, KiB.
    """

    tool: str
    memory_kib: float


BLOCKS: Mapping[Family, Block] = {
    Family.ECP5: Block("nextpnr-ecp5", 2),
    Family.ICE40: Block("nextpnr-ice40", 0.5),
    Family.XC7: Block("", 4),
}
REQUANTIZATION_DSP = {4: 16, 8: 24}
"""Multiplier blocks of so many lanes of requantization: eight lanes have three each."""
PRODUCT_DSP = 4
"""Multiplier blocks of the vector unit's products."""
TABLES_KIB = 16
"""Memory of the accelerator's tables."""
SUM_BYTES = 4
PLL_STEP_MHZ = 12.5
"""Of a board's clock: its oscillator has 25 MHz, and the PLL compares half of that."""
LANES = (4, 8, 16)
"""What an array can have of input and of output lanes."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a device has. ``ebr``: blocks of memory (EBR of Lattice, BRAM of Xilinx)."""

    luts: int = number("look-up tables", whole=True)
    dsp: int = number("multiplier blocks", whole=True)
    ebr: int = number("blocks of memory", whole=True)


@dataclass(frozen=True, kw_only=True)
class Port:
    """The memory port, by which inputs, outputs and what does not fit are moved."""

    bytes_per_cycle: float = number("bytes that the memory port moves per cycle, sustained")
    latency_cycles: int = number("cycles from a request to its first word", whole=True, zero=True)


class Basis(StrEnum):
    """What a clock rests on."""

    ROUTED = "routed"
    """Place and route of the configuration, by the report that :attr:`Clock.report` names."""
    ASSUMED = "assumed"


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The accelerator's clock.

    :param goal_mhz: what place and route is asked for. :param report: name of a file in ``targets/fpga/``, where the
        clock is what that says.
    """

    mhz: float = number("clock of the accelerator, MHz")
    goal_mhz: float = number("clock that place and route is asked for, MHz")
    basis: Basis
    report: str = ""


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy by event, picojoules, and the interval as multiples of the result."""

    mac_pj: float = number("one multiplication with addition of the array, picojoules")
    memory_pj: float = number("one byte read or written in the device's memory blocks, picojoules")
    port_pj: float = number("one byte moved through the memory port, picojoules")
    cycle_pj: float = number("one cycle of the accelerator's clock tree and control, picojoules", zero=True)
    static_w: float = number("static power, watts", zero=True)
    low: float = number("lower end of the interval, as a multiple", most=1)
    high: float = number("upper end of the interval, as a multiple")

    def joules(self, macs: float, memory_bytes: float, port_bytes: float, cycles: float, seconds: float) -> float:
        """Energy of what happened in ``seconds``, joules: events times energy per event, plus static power."""
        events = macs * self.mac_pj + memory_bytes * self.memory_pj + port_bytes * self.port_pj + cycles * self.cycle_pj
        return events * 1e-12 + self.static_w * seconds


@dataclass(frozen=True, kw_only=True)
class Fpga:
    """A device and the accelerator in it.

    :param device: as the vendor orders it, without package and speed. :param option: the device as nextpnr names it.
    :param package, speed_grade: as nextpnr names them; no speed grade where a device has only one.
    :param top: the module that is placed and routed.
    :param pins: a file of constraints in ``targets/fpga/`` for the pins of the board whose top it is; empty: pins are
        left to the tools.
    :param packed: True if each multiplier block computes two products.
    :param requantization_lanes: results per cycle, 4 or 8.
    """

    family: Family
    device: str
    option: str = ""
    package: str
    speed_grade: str = ""
    top: str
    pins: str = ""
    input_lanes: int = number("input lanes of the array: input channels per cycle", whole=True)
    output_lanes: int = number("output lanes of the array: output channels per cycle", whole=True)
    packed: bool
    requantization_lanes: int = 4
    activation_kib: int = number("activation memory of the accelerator, KiB", whole=True)
    stream_kib: int = number("FIFO of commands and weights, KiB", whole=True)
    accumulator_depth: int = number("sums per output lane and half of the accumulators", whole=True)
    memory_bits: int = number("width of the memory port, bits", whole=True)
    baud: int | None = number("rate of the board's serial line, bits per second", default=None, whole=True)
    resources: Resources
    port: Port
    clock: Clock
    energy: Energy

    @property
    def hertz(self) -> float:
        """The clock, Hz."""
        return float(self.clock.mhz) * 1e6

    @property
    def macs_per_cycle(self) -> int:
        """Multiplications with addition per cycle."""
        return self.input_lanes * self.output_lanes

    @property
    def parameters(self) -> dict[str, int]:
        """The parameters of the module ``top``: those of ``ek_overlay``, and for a board its clock and serial line."""
        board = {"CLOCK_KHZ": round(self.clock.mhz * 1000), "BAUD": self.baud} if self.pins and self.baud else {}
        return {
            "IC": self.input_lanes, "OC": self.output_lanes, "PACKED": int(self.packed), "ACT_KIB": self.activation_kib,
            "STREAM_KIB": self.stream_kib, "ACC_DEPTH": self.accumulator_depth, "MEM_BITS": self.memory_bits,
            "LANES": self.requantization_lanes, **board,
        }  # fmt: skip

    @property
    def beat_cycles(self) -> float:
        """Cycles that a beat of the memory port takes, sustained."""
        return self.memory_bits / 8 / float(self.port.bytes_per_cycle)

    @property
    def array_bytes(self) -> int:
        """Bytes of memory per cycle of the array: an operand per row; per column, a sum read and one written."""
        return self.input_lanes + 2 * SUM_BYTES * self.output_lanes

    @property
    def busy_joules(self) -> float:
        """Energy of a cycle in which all lanes of the array multiply and the port is half busy, joules."""
        moved = float(self.port.bytes_per_cycle) / 2
        return self.energy.joules(self.macs_per_cycle, self.array_bytes + moved, moved, 1, 1 / self.hertz)

    @property
    def memory(self) -> dict[str, float]:
        """The target's ``memory``, GB/s: what the port moves at the clock, by its width and as sustained."""
        width, sustained = self.memory_bits / 8, float(self.port.bytes_per_cycle)
        return {"bandwidth_gbps": width * self.hertz / 1e9, "sustained_gbps": sustained * self.hertz / 1e9}

    @property
    def multipliers(self) -> int:
        """Multiplier blocks that the accelerator takes."""
        array = self.macs_per_cycle // (2 if self.packed else 1)
        return array + REQUANTIZATION_DSP[self.requantization_lanes] + PRODUCT_DSP

    @property
    def memory_kib(self) -> int:
        """Memory that the accelerator takes in blocks, KiB: activations, stream, sums of 32 bits, tables."""
        sums = 2 * self.output_lanes * self.accumulator_depth * 4 >> 10
        return self.activation_kib + self.stream_kib + sums + TABLES_KIB

    def misfit(self) -> str:
        """Why the accelerator cannot be in the device; empty if its multipliers and memories do fit."""
        there, kib = self.resources.dsp, self.resources.ebr * BLOCKS[self.family].memory_kib
        array = f"an accelerator of {self.input_lanes}x{self.output_lanes} lanes"
        if self.multipliers > there:
            return f"{array} takes {self.multipliers} multiplier blocks, and {self.device} has {there}"
        if self.memory_kib > kib:
            return f"{array} takes {self.memory_kib} KiB of memory blocks, and {self.device} has {kib:g}"
        return ""

    def check(self) -> None:
        """Refuse what contradicts itself.

        :raises WrongTable: naming the key.
        """
        if BLOCKS[self.family].tool and not self.option:
            raise WrongTable("fpga.option is missing: the device as nextpnr names it")
        for key in ("input_lanes", "output_lanes"):
            if getattr(self, key) not in LANES:
                raise WrongTable(f"fpga.{key} is {getattr(self, key)}, not one of {', '.join(map(str, LANES))}")
        if self.requantization_lanes not in REQUANTIZATION_DSP:
            raise WrongTable(f"fpga.requantization_lanes is {self.requantization_lanes}, not 4 or 8")
        if self.requantization_lanes > self.output_lanes:
            raise WrongTable("fpga.requantization_lanes: there are more than output lanes")
        for key in ("activation_kib", "stream_kib", "accumulator_depth"):
            if getattr(self, key) & (getattr(self, key) - 1):
                raise WrongTable(f"fpga.{key} is {getattr(self, key)}, not a power of two")
        if self.memory_bits not in (16, 32, 64):
            raise WrongTable(f"fpga.memory_bits is {self.memory_bits}, not one of 16, 32, 64")
        if self.pins and (self.clock.mhz % PLL_STEP_MHZ or not 50 <= self.clock.mhz <= 125):
            steps = f"not a multiple of {PLL_STEP_MHZ} from 50 to 125, which the board's PLL makes"
            raise WrongTable(f"fpga.clock.mhz is {self.clock.mhz:g}, {steps}")
        if bool(self.pins) != bool(self.baud):
            raise WrongTable("fpga.baud: a board with fpga.pins has a serial line, and no other")
        if self.port.bytes_per_cycle > self.memory_bits / 8:
            raise WrongTable(
                f"fpga.port.bytes_per_cycle is {self.port.bytes_per_cycle}, more than {self.memory_bits} bits hold"
            )
        if (self.clock.basis is Basis.ROUTED) != bool(self.clock.report):
            raise WrongTable("fpga.clock.report: a routed clock names the report that it is from, an assumed one none")
        if self.energy.high < 1:
            raise WrongTable(f"fpga.energy.high is {self.energy.high}: the interval does not hold the value itself")
