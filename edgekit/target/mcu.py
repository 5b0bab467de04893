"""Tables of a target's file: microcontrollers, and neural processors beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edgekit.files.tables import number


class RegionKind(StrEnum):
    """What a microcontroller's memory is."""

    FLASH = "flash"
    RAM = "ram"


@dataclass(frozen=True, kw_only=True)
class Region:
    """A memory of a microcontroller. ``wait_states``: cycles that a read takes beyond one, where no cache has it."""

    kind: RegionKind
    address: int = number("first address", whole=True, zero=True)
    kib: int = number("size, KiB", whole=True)
    wait_states: int = number("cycles that a read takes beyond one", whole=True, zero=True)
    fetch_bytes: int = number("bytes that a read brings", whole=True)


class Fpu(StrEnum):
    """What a core computes in hardware of floating point."""

    NONE = "none"
    SINGLE = "single"
    DOUBLE = "double"


class FlashImage(StrEnum):
    """What a board's tool writes to its flash."""

    ELF = "elf"
    BIN = "bin"
    UF2_RP2040 = "uf2-rp2040"
    UF2_RP2350 = "uf2-rp2350"


@dataclass(frozen=True, kw_only=True)
class Uart:
    """The serial port that the firmware talks over. ``driver``: ``firmware_stubs/mcu/uart_DRIVER.c``."""

    driver: str
    base: int = number("address of its registers", whole=True)
    clock_hz: int = number("clock of the UART, Hz", whole=True)
    baud: int = number("bits per second", whole=True)


@dataclass(frozen=True, kw_only=True)
class Mcu:
    """A microcontroller: instruction set and memories.

    :param arch: as the compiler calls it: ``cortex-m4`` (``-mcpu``), ``rv32imc`` (``-march``).
    :param board: ``firmware_stubs/FAMILY/board_BOARD.c``, which sets clocks and pins; empty: no firmware for the board.
    :param vectors: where the processor looks for its vectors, if not at the beginning of the flash.
    :param constants: where loads see the flash, if not where code runs.
    :param boot_bytes: size of the boot block before the vectors, whose last word is a CRC-32 of the rest.
    :param image: the form that the board's tool writes to its flash, if it does not take an ELF file.
    :param regions: memories by name. Code and constants go into the first of kind flash, data and stack into the
        first of kind RAM, the arena into the first RAM with room for it.
    """

    arch: str
    fpu: Fpu
    dsp: bool
    mve: bool
    caches: bool
    board: str = ""
    stack_bytes: int = number("stack, bytes", whole=True)
    vectors: int | None = number("address of the vectors", default=None, whole=True, zero=True)
    constants: int | None = number("address at which loads see the flash", default=None, whole=True)
    boot_bytes: int | None = number("size of the boot block, bytes", default=None, whole=True)
    image: FlashImage = FlashImage.ELF
    regions: Mapping[str, Region]
    uart: Uart | None = None

    def of_kind(self, kind: RegionKind) -> tuple[tuple[str, Region], ...]:
        """The memories of a kind, in order of preference."""
        return tuple((name, region) for name, region in self.regions.items() if region.kind is kind)


@dataclass(frozen=True, kw_only=True)
class Npu:
    """A neural processor beside a microcontroller, as its compiler vela knows it.

    :param accelerator, system_config, memory_mode: vela's names of them. :param host: the target whose core the
        remaining operators run on.
    """

    accelerator: str
    system_config: str
    memory_mode: str
    host: str
    macs_per_cycle: int = number("int8 multiplications with addition per cycle", whole=True)
    clock_mhz: float = number("clock, MHz")
    sram_kib: int = number("SRAM for activations, KiB", whole=True)
    flash_kib: int = number("memory for weights and commands, KiB", whole=True)

    @property
    def hertz(self) -> float:
        """The clock, Hz."""
        return float(self.clock_mhz) * 1e6
