"""Models of the boards' chips, as far as a firmware uses them. Sources: the manuals that ``targets/*.toml`` name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.firmware_stubs.board_machine import Chip

CORE = (0xE000E000, 0x1000)


@dataclass
class Stm32(Chip):
    """A USART of version 2, and pins.

    :param uart: base address; ``uart_clock``: register and bit; ``port``: of the pins, register and bit.
    :param pins: their numbers; ``alternate``: the function that is the UART's.
    """

    uart: int = 0
    uart_clock: tuple[int, int] = (0, 0)
    port: int = 0
    port_clock: tuple[int, int] = (0, 0)
    pins: tuple[int, int] = (0, 0)
    alternate: int = 0
    divides: int = 1

    def kernel_mhz(self) -> float:
        """Return the UART's clock."""
        raise NotImplementedError

    def pll_mhz(self) -> float:
        """Return the PLL's clock."""
        raise NotImplementedError

    def ready(self, address: int, on: int, flag: int) -> int:
        """The flag that follows a bit, unless the register is broken."""
        return int(self.bit(address, on) and address not in self.broken) << flag

    def read(self, address: int, size: int) -> int:
        if self.uart <= address < self.uart + 0x400:
            if address == self.uart + 0x1C:
                return 1 << 7 | bool(self.received) << 5
            if address == self.uart + 0x24:
                return self.received.popleft()
        return self.word(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        if self.port <= address < self.port + 0x400:
            self.need(self.bit(*self.port_clock), "a port without a clock")
        if self.uart <= address < self.uart + 0x400:
            self.need(self.bit(*self.uart_clock), "a UART without a clock")
            if address == self.uart + 0x28:
                self.need(self.word(self.uart) & 0xD == 0xD, "the UART is off")
                self.sent.append(value & 0xFF)
        self.store(address, value, size)

    def baud(self) -> float:
        for pin in self.pins:
            mode = self.word(self.port) >> 2 * pin & 3
            function = self.word(self.port + 0x20 + pin // 8 * 4) >> pin % 8 * 4 & 15
            self.need((mode, function) == (2, self.alternate), f"pin {pin} is not the UART's")
        return self.kernel_mhz() * 1e6 * self.divides / self.word(self.uart + 0xC)


class Stm32L4(Stm32):
    """STM32L4R5 (RM0432)."""

    CR, CFGR, PLLCFGR, CCIPR, ACR, CR5, CR2 = (
        0x40021000, 0x40021008, 0x4002100C, 0x40021088, 0x40022000, 0x40007080, 0x40007004,
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__(
            ((0x40000000, 0x30000), (0x48000000, 0x2000), CORE), uart=0x40008000, uart_clock=(0x4002105C, 0),
            port=0x48001800, port_clock=(0x4002104C, 6), pins=(7, 8), alternate=8, divides=256,
        )  # fmt: skip
        self.store(self.CR5, 0x100)
        self.store(self.ACR, 0x600)
        self.mhz = 4

    def read(self, address: int, size: int) -> int:
        value = super().read(address, size)
        if address == self.CR:
            return value | self.ready(self.CR, 8, 10) | self.ready(self.CR, 24, 25)
        if address == self.CFGR:
            return value & ~0xC | (value & 3) << 2
        return value

    def pll_mhz(self) -> float:
        setting = self.word(self.PLLCFGR)
        self.need(self.bit(self.CR, 8) and setting & 3 == 2 and bool(setting >> 24 & 1), "the PLL has no source")
        vco = 16 / ((setting >> 4 & 15) + 1) * (setting >> 8 & 127)
        self.need(64 <= vco <= 344, f"VCO at {vco} MHz")
        return vco / (2 * (setting >> 25 & 3) + 2)

    def write(self, address: int, size: int, value: int) -> None:
        if 0x40007000 <= address < 0x40007400:
            self.need(self.bit(0x40021058, 28), "PWR without a clock")
        if address == self.PLLCFGR:
            self.need(not self.bit(self.CR, 24), "the PLL is set while it is on")
        super().write(address, size, value)
        if address == self.CR and value >> 24 & 1:
            self.pll_mhz()
        if address == self.CFGR:
            before = self.mhz
            self.mhz = self.pll_mhz() if value & 3 == 3 else 4
            self.mhz /= 2 if value >> 4 & 15 == 8 else 1
            self.need(value & 3 != 3 or self.bit(self.CR, 24), "the PLL is off")
            self.need(self.mhz <= 80 or before > 30, "over 80 MHz in one step")
            self.need(self.mhz <= 80 or not self.bit(self.CR5, 8), "over 80 MHz without boost")
            self.need(self.mhz <= 20 * ((self.word(self.ACR) & 15) + 1), f"too few wait states for {self.mhz} MHz")

    def kernel_mhz(self) -> float:
        self.need(self.word(self.CCIPR) >> 10 & 3 == 2 and self.bit(self.CR, 8), "LPUART1 is not clocked by HSI16")
        self.need(self.bit(self.CR2, 9), "port G has no supply")
        return 16


class Stm32H7(Stm32):
    """STM32H7A3 (RM0455)."""

    CR, CFGR, CKSELR, PLLCFGR, DIVR, ACR, SRDCR, CR3 = (
        0x58024400, 0x58024410, 0x58024428, 0x5802442C, 0x58024430, 0x52002000, 0x58024818, 0x5802480C,
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__(
            ((0x40000000, 0x10000), (0x52000000, 0x10000), (0x58000000, 0x30000), CORE), uart=0x40004800,
            uart_clock=(0x58024548, 18), port=0x58020C00, port_clock=(0x58024540, 3), pins=(8, 9), alternate=7,
        )  # fmt: skip
        self.store(self.CR, 1)
        self.store(self.CR3, 6)
        self.store(self.CKSELR, 0x02020200)
        self.store(self.PLLCFGR, 0x01FF0000)
        self.store(self.DIVR, 0x01010280)
        self.mhz = 64

    def read(self, address: int, size: int) -> int:
        value = super().read(address, size)
        if address == self.CR:
            return value | self.ready(self.CR, 0, 2) | self.ready(self.CR, 24, 25)
        if address == self.CFGR:
            return value & ~0x38 | (value & 7) << 3
        if address == self.CR3 - 8:  # CSR1: ACTVOSRDY, once the supply is one that the board has
            return (self.word(self.CR3) & 7 == 4) << 13
        return value | (address == self.SRDCR) << 13

    def pll_mhz(self) -> float:
        source, setting, dividers = self.word(self.CKSELR), self.word(self.PLLCFGR), self.word(self.DIVR)
        self.need(source & 3 == 0 and bool(setting >> 16 & 1), "the PLL has no source or output")
        reference = 64 / (source >> 4 & 63)
        self.need((1, 2, 4, 8)[setting >> 2 & 3] <= reference <= (2, 4, 8, 16)[setting >> 2 & 3], "PLL1RGE is wrong")
        vco = reference * ((dividers & 511) + 1)
        self.need(not setting >> 1 & 1 and 128 <= vco <= 560, f"VCO at {vco} MHz")
        return vco / ((dividers >> 9 & 127) + 1)

    def write(self, address: int, size: int, value: int) -> None:
        if address in (self.CKSELR, self.PLLCFGR, self.DIVR):
            self.need(not self.bit(self.CR, 24), "the PLL is set while it is on")
        super().write(address, size, value)
        if address == self.CFGR and value & 7 == 3:
            self.need(self.bit(self.CR, 24), "the PLL is off")
            self.mhz = self.pll_mhz()
            flash, buses = self.word(self.ACR), [self.word(0x58024418 + 4 * i) for i in range(3)]
            self.need(self.word(self.SRDCR) >> 14 & 3 == 3, "280 MHz needs VOS0")
            self.need(flash & 15 >= 6 and flash >> 4 & 3 == 3, f"too few wait states for {self.mhz} MHz")
            halves = [buses[0] >> 4 & 7, buses[1] >> 4 & 7, buses[1] >> 8 & 7, buses[2] >> 4 & 7]
            self.need(all(one >= 4 for one in halves) and buses[0] & 0xF0F == 0, "a peripheral bus over 140 MHz")

    def kernel_mhz(self) -> float:
        self.need(self.word(0x58024454) & 7 == 3 and self.bit(self.CR, 0), "USART3 is not clocked by HSI")
        return 64


class Stm32U5(Stm32):
    """STM32U575 (RM0456)."""

    CR, CFGR, PLLCFGR, DIVR, ACR, VOSR, CR3 = (
        0x46020C00, 0x46020C1C, 0x46020C28, 0x46020C34, 0x40022000, 0x4602080C, 0x46020808,
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__(
            ((0x40000000, 0x40000), (0x42020000, 0x2000), (0x46020000, 0x2000), CORE), uart=0x40013800,
            uart_clock=(0x46020CA4, 14), port=0x42020000, port_clock=(0x46020C8C, 0), pins=(9, 10), alternate=7,
        )  # fmt: skip
        self.store(self.DIVR, 0x01010280)
        self.mhz = 4

    def read(self, address: int, size: int) -> int:
        value = super().read(address, size)
        if address == self.CR:
            return value | self.ready(self.CR, 8, 10) | self.ready(self.CR, 24, 25)
        if address == self.CFGR:
            return value & ~0xC | (value & 3) << 2
        if address == self.VOSR:
            boosted = self.bit(self.VOSR, 18) and self.word(self.PLLCFGR) & 3 == 2 and self.bit(self.CR, 8)
            return value | 1 << 15 | boosted << 14
        return self.bit(self.CR3, 1) << 1 if address == 0x4602083C else value

    def pll_mhz(self) -> float:
        setting, dividers = self.word(self.PLLCFGR), self.word(self.DIVR)
        self.need(setting & 3 == 2 and self.bit(self.CR, 8) and bool(setting >> 18 & 1), "the PLL has no source")
        reference = 16 / ((setting >> 8 & 15) + 1)
        self.need((reference >= 8) == (setting >> 2 & 3 == 3), "PLL1RGE is wrong")
        vco = reference * ((dividers & 511) + 1)
        self.need(128 <= vco <= 544, f"VCO at {vco} MHz")
        return vco / ((dividers >> 24 & 127) + 1)

    def write(self, address: int, size: int, value: int) -> None:
        if 0x46020800 <= address < 0x46020C00:
            self.need(self.bit(0x46020C94, 2), "PWR without a clock")
        if address == self.PLLCFGR:
            self.need(not self.bit(self.CR, 24), "the PLL is set while it is on")
        super().write(address, size, value)
        if address == self.CFGR and value & 3 == 3:
            self.need(self.bit(self.CR, 24), "the PLL is off")
            self.mhz = self.pll_mhz()
            self.need(self.word(self.VOSR) >> 16 & 7 == 7, "160 MHz needs range 1 and its booster")
            self.need(self.mhz <= 32 * ((self.word(self.ACR) & 15) + 1), f"too few wait states for {self.mhz} MHz")

    def kernel_mhz(self) -> float:
        self.need(self.word(0x46020CE0) & 3 == 2 and self.bit(self.CR, 8), "USART1 is not clocked by HSI16")
        self.need(self.bit(0x40030400, 0), "the instruction cache is off")
        return 16


@dataclass
class Rp2(Chip):
    """RP2040 and RP2350.

    :param blocks: base addresses: clocks, resets, pins, pads, crystal, PLL, UART. :param bits: in RESETS, of pins,
        pads, PLL, UART. :param pad: what a pad must not have set.
    """

    blocks: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()
    pad: int = 0

    def __post_init__(self) -> None:
        self.clocks, self.resets, self.pins, self.pads, self.crystal, self.pll, self.uart = self.blocks
        self.store(self.resets, 0x1FFFFFFF)
        self.store(self.pll, 1)
        self.store(self.pll + 4, 0x2D)
        self.store(self.pll + 12, 0x77000)
        self.store(self.clocks + 0x3C, 0xE0 if self.pad else 0)
        self.mhz = 6

    def block(self, address: int) -> int | None:
        """The bit in RESETS of the block that a register belongs to."""
        bases = (self.pins, self.pads, self.pll, self.uart)
        return next((bit for base, bit in zip(bases, self.bits, strict=True) if base <= address < base + 0x1000), None)

    def stable(self) -> bool:
        return self.word(self.crystal) == 0xFABAA0 and self.crystal not in self.broken

    def pll_mhz(self) -> float:
        self.need(self.stable() and self.word(self.pll + 4) & 0x21 == 0, "the PLL is off or has no source")
        vco = 12 / (self.word(self.pll) & 63) * self.word(self.pll + 8)
        self.need(750 <= vco <= 1600, f"VCO at {vco} MHz")
        dividers = self.word(self.pll + 12)
        return vco / (dividers >> 16 & 7) / (dividers >> 12 & 7)

    def read(self, address: int, size: int) -> int:
        value = self.word(address, size)
        if address == self.resets + 8:
            peripheral = self.bit(self.clocks + 0x48, 11)
            return ~self.word(self.resets) & ~(0 if peripheral else 1 << self.bits[3])
        if address == self.crystal + 4:
            return self.stable() << 31
        if address == self.clocks + 0x38:
            return 1 << (self.word(self.clocks + 0x30) & 3)
        if address == self.clocks + 0x44:
            return 1 << (self.word(self.clocks + 0x3C) & 1)
        if address == self.pll:
            locked = self.word(self.pll + 4) & 0x21 == 0 and self.word(self.pll + 8) and self.pll not in self.broken
            return value | bool(locked) << 31
        if address == self.uart + 0x18:
            return (not self.received) << 4
        return self.received.popleft() if address == self.uart else value

    def write(self, address: int, size: int, value: int) -> None:
        bit = self.block(address)
        self.need(bit is None or not self.bit(self.resets, bit), "a register of a block in reset")
        if address == self.clocks + 0x3C:
            self.need(not (self.bit(address, 0) and value >> 5 != self.word(address) >> 5), "a glitch in the clock")
        self.store(address, value, size)
        if address == self.clocks + 0x30:
            self.need(value & 3 != 2 or self.stable(), "the crystal is not stable")
        if address == self.clocks + 0x3C:
            self.mhz = self.pll_mhz() if value & 1 else 12
            self.need(not value & 1 or value >> 5 & 7 == 0, "the PLL is not selected")
            self.need(not value & 1 or not self.bit(self.pll + 4, 3), "the PLL's dividers are off")
        if address == self.uart:
            self.need(self.word(self.uart + 0x30) == 0x301, "the UART is off")
            self.sent.append(value & 0xFF)

    def baud(self) -> float:
        for pin in (0, 1):
            pad = self.word(self.pads + 4 + 4 * pin)
            self.need(
                self.word(self.pins + 4 + 8 * pin) & 31 == 2 and not pad & self.pad, f"GPIO{pin} is not the UART's"
            )
        self.need(self.bit(self.pads + 8, 6), "the input's pad is off")
        self.need(self.word(self.clocks + 0x48) >> 5 & 7 == 4, "the UART is not clocked by the crystal")
        self.need(self.word(self.uart + 0x2C) >> 4 & 7 == 7, "not 8 bits with FIFOs")
        return 12e6 / 16 / (self.word(self.uart + 0x24) + self.word(self.uart + 0x28) / 64)


class Rp2040(Rp2):
    """With its flash behind the SSI."""

    SSI = 0x18000000

    def __init__(self) -> None:
        self.commands: list[list[int]] = [[]]
        super().__init__(
            ((0x40000000, 0x80000), (0x18000000, 0x1000), CORE),
            blocks=(0x40008000, 0x4000C000, 0x40014000, 0x4001C000, 0x40024000, 0x40028000, 0x40034000),
            bits=(5, 8, 12, 22), pad=1 << 7,
        )  # fmt: skip

    def read(self, address: int, size: int) -> int:
        if address == self.SSI + 0x28:
            if self.commands[-1]:
                self.commands.append([])
            return 4
        return super().read(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        if address == self.SSI + 0x60:
            self.need(self.word(self.SSI + 8) == 1, "the SSI is off")
            self.commands[-1].append(value)
        elif self.SSI <= address < self.SSI + 0x1000 and address != self.SSI + 8:
            self.need(self.word(self.SSI + 8) == 0, "the SSI is set while it is on")
        super().write(address, size, value)


class Rp2350(Rp2):
    """Whose pads are isolated after reset."""

    def __init__(self) -> None:
        super().__init__(
            ((0x40000000, 0x80000), CORE),
            blocks=(0x40010000, 0x40020000, 0x40028000, 0x40038000, 0x40048000, 0x40050000, 0x40070000),
            bits=(6, 9, 14, 26), pad=1 << 8 | 1 << 7,
        )  # fmt: skip


class Ra8(Chip):
    """RA8D1 (R01UH0995)."""

    SYSTEM, SCI, FLWT = 0x4001E000, 0x40358900, 0x4001C11C

    def __init__(self) -> None:
        super().__init__(
            ((0x40000000, 0x20000), (0x40200000, 0x8000), (0x40350000, 0x10000), (0x40400000, 0x2000), CORE)
        )
        self.store(self.SYSTEM + 0x32, 1, 1)
        self.store(self.SYSTEM + 0x2A, 1, 1)
        self.store(0x40203000, 0xFFFFFFFF)
        self.store(0x40203004, 0xFFFFFFFF)
        self.store(0x40400D14, 0x80, 1)
        self.mhz = 8

    def stable(self) -> int:
        crystal = self.word(self.SYSTEM + 0x32, 1) == 0
        pll = crystal and self.word(self.SYSTEM + 0x2A, 1) == 0 and self.SYSTEM + 0x2A not in self.broken
        return crystal << 3 | pll << 5

    def read(self, address: int, size: int) -> int:
        value = self.word(address, size)
        if address == self.SYSTEM + 0x3C:
            return self.stable()
        if address == self.SYSTEM + 0x55:
            return value & 0x7F | (value & 0x40) << 1
        if address == self.SCI + 0x48:
            return 1 << 29 | bool(self.received) << 31
        return self.received.popleft() if address == self.SCI else value

    def pll_mhz(self) -> float:
        setting, dividers = self.word(self.SYSTEM + 0x28, 2), self.word(self.SYSTEM + 0x4C, 2)
        self.need(setting >> 4 & 1 == 0, "the PLL's source is not the crystal")
        vco = 20 / ((setting & 3) + 1) * ((setting >> 8) + 1)
        self.need(640 <= vco <= 1440, f"VCO at {vco} MHz")
        return vco / ((dividers & 15) + 1)

    def write(self, address: int, size: int, value: int) -> None:
        offset = address - self.SYSTEM
        if offset == 0x3FA:
            self.need(value >> 8 == 0xA5, "PRCR without its key")
        elif 0 <= offset < 0x1000:
            self.need(bool(self.word(self.SYSTEM + 0x3FA, 2) & 1), "a protected register")
        if offset in (0x28, 0x4C):
            self.need(self.word(self.SYSTEM + 0x2A, 1) == 1, "the PLL is set while it is on")
        if offset == 0x54:
            self.need(bool(self.word(self.SYSTEM + 0x55, 1) & 0x40), "SCICLK is set without a request")
        if 0x40400800 <= address < 0x40400D00:
            self.need(bool(self.word(0x40400D14, 1) & 0x40), "a protected pin")
            self.need(not self.bit(address, 16) or not value >> 16 & 1, "a pin's function changes while it is in use")
        if address == 0x40400D14:
            self.need(not value & 0x40 or not self.word(address, 1) & 0x80, "PFSWE under B0WI")
        if self.SCI <= address < self.SCI + 0x100:
            self.need(not self.bit(0x40203004, 22), "the SCI is stopped")
        self.store(address, value, size)
        if offset == 0x26 and value == 5:
            dividers = self.word(self.SYSTEM + 0x20)
            self.need(bool(self.stable() & 1 << 5), "the PLL is not stable")
            self.mhz = self.pll_mhz() / (1 << self.word(self.SYSTEM + 0x24, 1))
            buses = {shift: self.pll_mhz() / (1 << (dividers >> shift & 7)) for shift in (0, 4, 8, 12, 16, 20, 24, 28)}
            most = {0: 120, 4: 60, 8: 60, 12: 120, 16: 120, 20: 240, 24: 240, 28: 60}
            self.need(all(buses[shift] <= most[shift] for shift in most), f"a bus is too fast: {buses}")
            waits = self.word(self.FLWT, 1)
            self.need(buses[24] <= 48 * (waits + 1), f"too few wait states for {buses[24]} MHz")
        if address == self.SCI + 4:
            self.need(self.word(self.SCI + 8) & 0x11 == 0x11, "the SCI is off")
            self.sent.append(value & 0xFF)

    def baud(self) -> float:
        for pin in (14, 15):
            value = self.word(0x40400800 + 0x40 * 10 + 4 * pin)
            self.need(value >> 24 & 31 == 5 and bool(value >> 16 & 1), f"PA{pin} is not the SCI's")
        self.need(
            self.word(self.SYSTEM + 0x55, 1) == 5 and self.word(self.SYSTEM + 0x54, 1) == 2, "SCICLK is not 120 MHz"
        )
        self.need(self.word(self.SCI + 0x14) & 0x37301 == 0x1200 & 0x37301 | 0, "not 8 bits, asynchronous, LSB first")
        setting = self.word(self.SCI + 0x10)
        self.need(setting & 0xF0 == 0x10 and not setting >> 16 & 0x31, "another divider than BGDM's")
        return self.pll_mhz() / 4 * 1e6 / 16 / ((setting >> 8 & 255) + 1)


class Esp32C3(Chip):
    """ESP32-C3. Time passes with each access; the performance counter is a trapped instruction."""

    def __init__(self, true_mhz: float | None = None) -> None:
        super().__init__(((0x60000000, 0x70000), (0x600C0000, 0x10000)))
        self.store(0x60008000, 0)
        self.store(0x60008090, 1 << 31)
        self.time = self.counted = 0.0  # us
        self.true_mhz = true_mhz
        self.mhz = 20

    def read(self, address: int, size: int) -> int:
        self.time += 0.3
        if address == 0x60023004:
            return 1 << 29
        if address == 0x60023044:
            return int(self.time * 16)
        if address == 0x6000001C:
            return min(len(self.received), 100)
        if address == 0x60000080:
            return 0
        return self.received.popleft() if address == 0x60000000 else self.word(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        self.time += 0.3
        if address in (0x6001F048, 0x60020048):
            self.need(self.word(address + 0x1C) == 0x50D83AA1, "a protected watchdog")
        if address == 0x60008090:
            self.need(self.word(0x600080A8) == 0x50D83AA1, "a protected watchdog")
        self.store(address, value, size)
        if address == 0x600C0058 and value >> 10 & 3 == 1:
            self.need(self.word(0x600C0008) & 7 == 5, "not 160 MHz")
            self.mhz = self.true_mhz or 160
        if address == 0x60000000:
            self.sent.append(value & 0xFF)

    def cycles(self) -> int:
        """The performance counter, which is read and begins anew."""
        passed, self.counted = self.time - self.counted, self.time
        return int(passed * self.mhz)

    def baud(self) -> float:
        for address in (0x60008090, 0x6001F048, 0x60020048):
            self.need(not self.bit(address, 31), "a watchdog is on")
        self.need(self.bit(0x600080AC, 31), "the super watchdog is on")
        self.need(self.word(0x60000078) & 0x0FFFF000 == 0x03700000, "the UART is not clocked by the crystal")
        self.need(self.word(0x60000020) & 0x3F == 0x1C, "not 8 bits")
        divider = self.word(0x60000014)
        return 40e6 / ((divider & 0xFFF) + (divider >> 20 & 15) / 16)


CHIPS: dict[str, tuple[Callable[[], Chip], str]] = {
    "nucleo-l4r5zi": (Stm32L4, "CORTEX_M4"),
    "stm32h7a3": (Stm32H7, "CORTEX_M7"),
    "nucleo-u575": (Stm32U5, "CORTEX_M33"),
    "ra8d1": (Ra8, "CORTEX_M33"),
    "pico": (Rp2040, "CORTEX_M0"),
    "pico2": (Rp2350, "CORTEX_M33"),
    "esp32-c3": (Esp32C3, "RISCV"),
}
"""By target: the chip, and unicorn's core. It has no Cortex-M85: the firmware is compiled for Cortex-M33."""
