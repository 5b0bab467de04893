"""Runs a board's own firmware in unicorn, on a model of the board's chip: memories, registers, one UART.

A chip refuses what the hardware would not survive or ignore: a clock that is too fast for the flash, a register of a
block that has no clock. The models are written from the manuals, apart from the firmware.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgekit.files import elf
from edgekit.target import Target

SLICE_US = 20_000
MOST_SLICES = 3_000
PAGE = 4096


class Wrong(Exception):
    """What the firmware did would not work on the board."""


@dataclass
class Chip:
    """Registers, byte by byte: what was written is read, unless the chip says otherwise.

    :param ranges: addresses of the peripherals: first, bytes. :param broken: registers that never show readiness.
    """

    ranges: tuple[tuple[int, int], ...]
    content: dict[int, int] = field(default_factory=dict)
    writes: list[tuple[int, int]] = field(default_factory=list)
    received: deque[int] = field(default_factory=deque)
    sent: bytearray = field(default_factory=bytearray)
    broken: frozenset[int] = frozenset()
    wrong: str = ""
    mhz: float = 0.0

    def word(self, address: int, size: int = 4) -> int:
        return sum(self.content.get(address + i, 0) << 8 * i for i in range(size))

    def store(self, address: int, value: int, size: int = 4) -> None:
        for i in range(size):
            self.content[address + i] = value >> 8 * i & 0xFF

    def bit(self, address: int, number: int) -> bool:
        return bool(self.word(address & ~3) >> number + 8 * (address & 3) & 1)

    def read(self, address: int, size: int) -> int:
        """Return a register's value, with the flags that hardware sets."""
        return self.word(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        """Store a register's value, and do what it makes the hardware do."""
        self.store(address, value, size)

    def baud(self) -> float:
        """Return the UART's rate; raises :class:`Wrong` if it cannot work."""
        raise NotImplementedError

    def need(self, condition: bool, what: str) -> None:
        if not condition:
            raise Wrong(what)


@dataclass
class Line:
    """The UART's far end: a line as :class:`edgekit.transport.frames.Client` takes it."""

    machine: Machine
    shown: str = "the model"

    def write(self, data: bytes) -> None:
        self.machine.chip.received.extend(data)

    def read(self, seconds: float) -> bytes:
        chip = self.machine.chip
        for _ in range(MOST_SLICES):
            if chip.sent:
                break
            self.machine.run()
        said = bytes(chip.sent)
        chip.sent.clear()
        return said


@dataclass
class Machine:
    """A firmware on a chip."""

    chip: Chip
    uc: Any
    begin: int
    pc: Callable[[], int]
    started: bool = False

    def run(self) -> None:
        """Run for a while."""
        where = self.pc() if self.started else self.begin
        self.started = True
        self.uc.emu_start(where, 0xFFFFFFFF, timeout=SLICE_US)
        if self.chip.wrong:
            raise Wrong(self.chip.wrong)


def _mapped(uc: Any, chip: Chip) -> None:
    def read(_: Any, offset: int, size: int, base: int) -> int:
        try:
            return chip.read(base + offset, size) & (1 << 8 * size) - 1
        except Wrong as error:
            chip.wrong = chip.wrong or str(error)
            uc.emu_stop()
            return 0

    def write(_: Any, offset: int, size: int, value: int, base: int) -> None:
        address = base + offset
        chip.writes.append((address, value))
        try:
            chip.write(address, size, value)
        except Wrong as error:
            chip.wrong = chip.wrong or f"{error} (writing {value:#x} to {address:#x})"
            uc.emu_stop()

    for base, size in chip.ranges:
        uc.mmio_map(base, size, read, base, write, base)


def load(path: Path, board: Target, chip: Chip, core: str) -> Machine:
    """Load a firmware; skips where unicorn is not installed.

    :param core: unicorn's name of it: ``CORTEX_M4``, ``RISCV``.
    """
    unicorn = pytest.importorskip("unicorn")
    image, mcu = elf.read(path.read_bytes()), board.microcontroller
    riscv = core == "RISCV"
    if riscv:
        uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
    else:
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(getattr(unicorn.arm_const, f"UC_CPU_ARM_{core}"))
    for region in mcu.regions.values():
        uc.mem_map(region.address, region.kib << 10)
    flash = mcu.regions["flash"]
    if mcu.constants is not None:
        uc.mem_map(mcu.constants, flash.kib << 10)
    for address, content in image.loaded:
        uc.mem_write(address, content)
        if mcu.constants is not None:
            uc.mem_write(address - flash.address + mcu.constants, content)
    _mapped(uc, chip)
    if riscv:
        register = unicorn.riscv_const.UC_RISCV_REG_PC
        return Machine(chip, uc, image.entry, lambda: int(uc.reg_read(register)))
    registers = unicorn.arm_const
    if mcu.boot_bytes is not None:
        return Machine(chip, uc, _booted(uc, registers, flash.address, mcu.boot_bytes), _thumb(uc, registers))
    stack, reset = struct.unpack("<2I", uc.mem_read(image.sections[".vectors"].address, 8))
    uc.reg_write(registers.UC_ARM_REG_SP, stack)
    return Machine(chip, uc, reset, _thumb(uc, registers))


def _thumb(uc: Any, registers: Any) -> Callable[[], int]:
    return lambda: int(uc.reg_read(registers.UC_ARM_REG_PC)) | 1


def _booted(uc: Any, registers: Any, flash: int, size: int) -> int:
    """What RP2040's boot ROM does (data sheet, 2.8.1.3): copy the boot block to SRAM, and jump to it."""
    place = 0x20041F00
    uc.mem_write(place, bytes(uc.mem_read(flash, size)))
    uc.reg_write(registers.UC_ARM_REG_SP, place + size)
    uc.reg_write(registers.UC_ARM_REG_LR, 0)
    return place | 1
