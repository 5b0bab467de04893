"""QEMU's machines that stand in for microcontroller boards: their cores, memories and UARTs.

They have the core of a board, not its memories; a firmware is linked for a machine from the same objects as for the
board. Sources: Arm's application notes of the FPGA images that QEMU models (AN386 DAI 0386, AN500 DAI 0500, AN505 DAI
0505, AN547 DAI 0547), QEMU 7.2's ``hw/arm/mps2.c``, ``hw/arm/mps2-tz.c`` and ``hw/riscv/virt.c``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A range of addresses, bytes."""

    address: int
    size: int


@dataclass(frozen=True)
class Machine:
    """A machine of QEMU.

    :param toolchain: the emulator, a file in ``compile/toolchains``. :param flash: what stands for flash.
    :param ram: what stands for RAM. :param samples: memory that a firmware does not use, for inputs.
    :param uart: driver, base address and clock in Hz of the UART.
    """

    toolchain: str
    flash: Span
    ram: Span
    samples: Span
    uart: tuple[str, int, int]
    vectors: Span | None = None
    """Where the processor looks for its vectors, if not at the beginning of ``flash``."""


_MIB = 1 << 20
_ARM = "qemu-system-arm"
MACHINES = {
    "mps2-an386": Machine(
        _ARM, Span(0, 4 * _MIB), Span(0x2000_0000, 4 * _MIB), Span(0x2100_0000, 16 * _MIB),
        ("cmsdk", 0x4000_4000, 25_000_000),
    ),
    "mps2-an500": Machine(
        _ARM, Span(0, 4 * _MIB), Span(0x2000_0000, 4 * _MIB), Span(0x6000_0000, 16 * _MIB),
        ("cmsdk", 0x4000_4000, 25_000_000),
    ),
    "mps2-an505": Machine(
        _ARM, Span(0x1000_0000, 4 * _MIB), Span(0x3800_0000, 4 * _MIB), Span(0x8000_0000, 16 * _MIB),
        ("cmsdk", 0x5020_0000, 20_000_000),
    ),
    "mps3-an547": Machine(
        _ARM, Span(0x1100_0000, 2 * _MIB), Span(0x3100_0000, 4 * _MIB), Span(0x7000_0000, 16 * _MIB),
        ("cmsdk", 0x5930_3000, 25_000_000), Span(0, 512 << 10),
    ),
    "virt": Machine(
        "qemu-system-riscv32", Span(0x8000_0000, 8 * _MIB), Span(0x8080_0000, 8 * _MIB), Span(0x8100_0000, 16 * _MIB),
        ("16550", 0x1000_0000, 3_686_400),
    ),
}  # fmt: skip
"""By QEMU's own name."""
