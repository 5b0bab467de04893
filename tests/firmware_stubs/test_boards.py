"""Every board's own firmware: what is in the file, and what it does on a model of the board's chip."""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from edgekit import resources, target
from edgekit.backends.c99.image import image as flash_image
from edgekit.bundle import Bundle
from edgekit.errors import DeviceError
from edgekit.files import elf
from edgekit.runners.firmware import Firmware, about
from edgekit.target import Target
from edgekit.target.mcu import FlashImage, Fpu, RegionKind
from edgekit.transport.frames import Client
from tests.firmware_stubs.board_chips import CHIPS, Esp32C3, Rp2040, Stm32
from tests.firmware_stubs.board_machine import Chip, Line, Wrong, load
from tests.runners.firmware_bundles import boards, bundle, expected, network, samples

pytestmark = pytest.mark.emulator
BREAKPOINT = {"cortex-m": b"\xab\xbe", "riscv32": b"\x13\x10\xf0\x01\x73\x00\x10\x00"}
"""What asks for semihosting: BKPT 0xAB; the shift before EBREAK."""


Image = Callable[[str], tuple[Bundle, elf.Elf]]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Builds a board's bundle, once."""

    @cache
    def build(board: str) -> tuple[Bundle, elf.Elf]:
        made = bundle(tmp_path_factory.mktemp(board) / "bundle", board)
        return made, elf.read((made.artifact / "firmware.elf").read_bytes())

    return build


@pytest.mark.parametrize("board", boards())
def test_a_firmware_is_where_the_board_looks_for_it(board: str, image: Image) -> None:
    made, found = image(board)
    mcu = made.target.microcontroller
    (_, flash), *_ = mcu.of_kind(RegionKind.FLASH)
    rams = [region for _, region in mcu.of_kind(RegionKind.RAM)]
    places = [(region.address, region.address + (region.kib << 10)) for region in (flash, *rams)]
    if mcu.vectors is not None:
        places.append((mcu.vectors, mcu.vectors + 1024))
    for address, content in found.loaded:
        assert any(low <= address and address + len(content) <= high for low, high in places)
    for name in (".stack", ".bss", ".arena"):
        span = found.sections[name]
        assert any(low <= span.address and span.address + span.size <= high for low, high in places[1:])
    code = b"".join(content for _, content in found.loaded)
    assert not re.search(re.escape(BREAKPOINT[made.target.arch]), code)
    before = mcu.boot_bytes or (8 if board == "esp32-c3" else 0)
    vectors = found.sections[".vectors"]
    assert vectors.address == (flash.address if mcu.vectors is None else mcu.vectors) + before
    if made.target.arch == "cortex-m":
        table = next(
            content for address, content in found.loaded if address <= vectors.address < address + len(content)
        )
        stack, reset = struct.unpack_from("<2I", table, before)
        assert stack == found.symbols["ek_stack_top"].address and stack % 8 == 0
        assert reset == found.symbols["ek_reset"].address == found.entry and reset & 1
    else:
        assert found.entry == vectors.address == found.symbols["ek_reset"].address


def mpeg_crc(data: bytes) -> int:
    """CRC-32/MPEG-2, by long division; of ``123456789`` it is 0x0376e6e7."""
    value = int.from_bytes(data, "big") << 32 ^ 0xFFFFFFFF << 8 * len(data)
    for bit in range(8 * len(data) + 31, 31, -1):
        if value >> bit & 1:
            value ^= 0x104C11DB7 << bit - 32
    return value


def test_the_pico_has_a_boot_block_with_a_checksum(image: Image) -> None:
    assert mpeg_crc(b"123456789") == 0x0376E6E7
    made, found = image("pico")
    block = next(content for address, content in found.loaded if address == 0x10000000)[:256]
    assert mpeg_crc(block[:252]) == int.from_bytes(block[252:], "little") and any(block[:100])
    written = (made.artifact / "firmware.uf2").read_bytes()
    blocks = [written[at : at + 512] for at in range(0, len(written), 512)]
    heads = [struct.unpack_from("<8I", one) for one in blocks]
    assert [head[5] for head in heads] == list(range(len(heads))) and {head[6] for head in heads} == {len(heads)}
    assert {head[7] for head in heads} == {0xE48BFF56} and blocks[0][32:288] == block
    assert {head[:3] for head in heads} == {(0x0A324655, 0x9E5D5157, 0x2000)}
    assert all(one[508:] == b"\x30\x6f\xb1\x0a" for one in blocks)
    flat = b"".join(one[32:288] for one in blocks)
    for address, content in found.loaded:
        assert flat[address - 0x10000000 :].startswith(content)


def test_the_pico_2_has_an_image_definition(image: Image) -> None:
    made, found = image("pico2")
    first = next(content for address, content in found.loaded if address == 0x10000000)[:4096]
    assert struct.pack("<5I", 0xFFFFDED3, 0x10210142, 0x1FF, 0, 0xAB123579) in first
    assert (made.artifact / "firmware.uf2").read_bytes()[28:32] == struct.pack("<I", 0xE48BFF59)


def test_the_esp32_c3_boots_directly_and_reads_constants_on_the_data_bus(image: Image) -> None:
    made, found = image("esp32-c3")
    flat = (made.artifact / "firmware.bin").read_bytes()
    assert flat[:8] == struct.pack("<2I", 0xAEDB041D, 0xAEDB041D)
    constants = found.sections[".rodata"]
    assert constants.address >> 24 == 0x3C and found.sections[".text"].address >> 24 == 0x42
    digest = bytes.fromhex(about(made).digest)
    assert flat[constants.address - 0x3C000000 :][: constants.size].count(digest) == 1
    assert found.symbols["ek_trap"].address % 256 == 0


def for_cortex_m33(board: Target) -> Target:
    return replace(
        board, mcu=replace(board.microcontroller, arch="cortex-m33", fpu=Fpu.SINGLE, mve=False, caches=False)
    )


def built(
    folder: Path, board: str, monkeypatch: pytest.MonkeyPatch, edit: Callable[[Path], None] | None = None
) -> Bundle:
    """A bundle, its firmware for a core that unicorn has; ``edit`` changes a copy of the sources."""
    whole = resources.folder
    if board == "ra8d1":
        monkeypatch.setattr(target, "load", lambda name, real=target.load: for_cortex_m33(real(name)))
    if edit:
        stubs = folder / "firmware_stubs"
        shutil.copytree(whole("firmware_stubs"), stubs)
        edit(stubs)
        monkeypatch.setattr(resources, "folder", lambda name: stubs if name == "firmware_stubs" else whole(name))
    made = bundle(folder / "bundle", board)
    monkeypatch.undo()
    return made


def edited(source: Path, old: str, new: str) -> None:
    text = source.read_text()
    assert text.count(old) == 1
    source.write_text(text.replace(old, new))


def connected(made: Bundle, board: str, chip: Chip) -> Firmware:
    """A session with a board's firmware, which runs on a chip."""
    machine = load(made.artifact / "firmware.elf", target.load(board), chip, CHIPS[board][1])
    client = Client(Line(machine), patience=60.0, attempts=1)
    counter(client, chip)
    return Firmware(client, made, about(made), seconds=60.0, starting=True)


def counter(client: Client, chip: Chip) -> None:
    """ESP32-C3's own registers (mpcer, mpcmr, mpccr), which unicorn does not know: they are trapped."""
    if not isinstance(chip, Esp32C3):
        return
    unicorn = pytest.importorskip("unicorn")
    registers = unicorn.riscv_const
    assert isinstance(client.line, Line)

    def trapped(uc: object, number: int, _: object) -> None:
        machine = client.line.machine.uc
        after = machine.reg_read(registers.UC_RISCV_REG_PC)
        code = int.from_bytes(machine.mem_read(after - 4, 4), "little")
        if number == 2 and code & 0x7F == 0x73 and code >> 20 in (0x7E0, 0x7E1, 0x7E2):
            if code >> 12 & 7 == 2 and (destination := code >> 7 & 31):
                machine.reg_write(registers.UC_RISCV_REG_X0 + destination, chip.cycles())
        else:
            chip.wrong = f"exception {number} before {after:#x}"
            machine.emu_stop()

    client.line.machine.uc.hook_add(unicorn.UC_HOOK_INTR, trapped)


@pytest.mark.parametrize("board", CHIPS)
def test_a_firmware_runs_on_a_model_of_its_chip(
    board: str, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = CHIPS[board][0]()
    made = built(tmp_path, board, monkeypatch) if board == "ra8d1" else image(board)[0]
    answering = connected(made, board, chip)
    assert chip.mhz == made.target.processor.clock_mhz
    assert answering.hello.clock == made.target.processor.clock_mhz * 1e6
    assert abs(chip.baud() / 115200 - 1) < 0.012
    inputs = samples(1)
    outputs, _ = answering.run([inputs], observe=True)
    np.testing.assert_array_equal(outputs[0], expected(inputs))
    assert 0 < answering.stack_used() < made.target.microcontroller.stack_bytes
    if isinstance(chip, Rp2040):
        assert chip.commands == [[0x50], [0x31, 2], [0xEB, 0xA0], []]
        assert chip.word(0x180000F4) == 0xA0002022 and chip.word(0xE000ED08) == 0x10000100


BROKEN = {
    "nucleo-l4r5zi": 0x40021000, "stm32h7a3": 0x58024400, "nucleo-u575": 0x46020C00, "pico": 0x40028000,
    "pico2": 0x40050000, "esp32-c3": 0,
}  # fmt: skip
"""By target: the register whose clock never becomes ready."""


@pytest.mark.parametrize("board", [board for board in CHIPS if board != "ra8d1"])
def test_a_clock_that_does_not_start_is_told(board: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The UART works all the same, as its clock is another one: but for RA8D1's."""
    chip = CHIPS[board][0]() if board != "esp32-c3" else Esp32C3(true_mhz=40)
    impatient = lambda stubs: edited(stubs / "mcu" / "ek_registers.h", "1000000u", "2000u")  # noqa: E731
    made = built(tmp_path, board, monkeypatch, impatient)
    chip.broken = frozenset((BROKEN[board],))
    if isinstance(chip, Stm32):  # its oscillator is ready: only the PLL is not
        whole = chip.ready
        chip.broken = frozenset()
        monkeypatch.setattr(chip, "ready", lambda address, on, flag: 0 if on == 24 else whole(address, on, flag))
    with pytest.raises(DeviceError) as caught:
        connected(made, board, chip)
    assert "its clock did not start" in caught.value.message and caught.value.hint


FAULTS = [
    ("nucleo-l4r5zi", "ek_change(FLASH_ACR, 0xf, 5)", "ek_change(FLASH_ACR, 0xf, 4)", "never"),
    ("nucleo-l4r5zi", "ek_change(PWR_CR5, 1u << 8, 0)", "(void)0", "without boost"),
    ("nucleo-l4r5zi", "30u << 8", "31u << 8", "too few wait states"),
    ("stm32h7a3", "ek_set(PWR_SRDCR, 3u << 14)", "(void)0", "VOS0"),
    ("stm32h7a3", "34u | 1u << 9", "35u | 1u << 9", "VCO"),
    ("nucleo-u575", "ek_change(PWR_VOSR, 3u << 16, 3u << 16)", "(void)0", "range 1"),
    ("nucleo-u575", "ek_set(RCC_AHB2ENR1, 1u)", "(void)0", "without a clock"),
    ("ra8d1", "2u << 12", "1u << 12", "a bus is too fast"),
    ("ra8d1", "write16(PRCR_S, 0xa503)", "(void)0", "protected"),
    ("pico", "ek_rp2_start(BIT_IO_BANK0 | BIT_PADS_BANK0)", "1", "in reset"),
    ("esp32-c3", "ek_write(base + 0x64, 0x50d83aa1)", "(void)0", "protected watchdog"),
]  # fmt: skip


@pytest.mark.parametrize(("board", "old", "new", "said"), FAULTS, ids=lambda value: str(value)[:20])
def test_a_fault_in_the_order_of_things_is_seen(
    board: str, old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The models would notice a clock before its wait states, and so on."""
    name = f"board_{target.load(board).microcontroller.board}.c"

    def edit(stubs: Path) -> None:
        edited(next(stubs.glob(f"*/{name}")), old, new)
        edited(stubs / "mcu" / "ek_registers.h", "1000000u", "2000u")

    made = built(tmp_path, board, monkeypatch, edit)
    chip = CHIPS[board][0]()
    if said == "never":  # the firmware waits for the wait states that it has not set, and says so
        with pytest.raises(DeviceError, match="clock did not start"):
            connected(made, board, chip)
        return
    with pytest.raises(Wrong, match=said):
        connected(made, board, chip)


def test_images_for_flash_have_no_holes_but_erased_ones() -> None:
    assert flash_image([(0x104, b"cd"), (0x100, b"ab")], FlashImage.BIN) == b"ab\xff\xffcd"


def test_riscv_firmware_can_divide(tmp_path: Path) -> None:
    """Division of 64 bits is in GCC's library, which exists for some instruction sets only."""
    change = "z[i] = (y[i] < 1000=>z[i] = (int32_t)(y[i] * 1000003LL / calls) + (y[i] < 1000"
    made = bundle(tmp_path / "bundle", "esp32-c3", network(a=change))
    assert "__divdi3" in elf.read((made.artifact / "emulator.elf").read_bytes()).symbols
