"""Building firmware: sizes, what does not fit, missing tools, the same bytes every time."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit import target
from edgekit.api.compile import Compiled, compile
from edgekit.backends import Request, planned, runner_build
from edgekit.backends.c99 import C99, firmware
from edgekit.errors import ModelError, ToolMissing
from edgekit.files import elf
from edgekit.graph import tflite
from edgekit.target import Target
from edgekit.tools import toolchain
from tests.backends import c99_random
from tests.networks.small import convolutional
from tests.runners.firmware_bundles import ARENA, boards, network

pytestmark = pytest.mark.emulator


def built(folder: Path, board: Target, one: firmware.Network | None = None) -> firmware.Built:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return firmware.build(one or network(), board, folder)
    except ToolMissing as error:
        pytest.skip(error.message)


def test_both_files_lie_where_their_machine_has_memory(tmp_path: Path) -> None:
    board = target.load("nucleo-l4r5zi")
    made = built(tmp_path, board)
    assert made.files == ("firmware.elf", "emulator.elf", "firmware.json")
    flash, ram = board.microcontroller.regions["flash"], board.microcontroller.regions["ram"]
    for name, code, data in (("firmware.elf", flash.address, ram.address), ("emulator.elf", 0, 0x20000000)):
        image = elf.read((tmp_path / name).read_bytes())
        assert image.sections[".vectors"].address == code
        assert image.sections[".stack"].address == data  # at the bottom, so that an overflow faults
        assert image.sections[".arena"].address % 16 == 0 and image.sections[".arena"].size == ARENA
        assert image.entry & ~1 == image.symbols["ek_reset"].address & ~1
    sizes = made.sizes
    assert 1000 < sizes.text < 8000 and sizes.arena == ARENA and sizes.stack == 8192
    assert sizes.ram == sizes.data + sizes.bss + sizes.arena + sizes.stack and sizes.flash >= sizes.text


def test_the_same_bytes_every_time_and_no_path_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = target.load("nucleo-l4r5zi")
    for name in ("one", "two"):
        monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / f"cache of {name}"))
        built(tmp_path / name, board)
    for path in (tmp_path / "one").iterdir():
        data = path.read_bytes()
        assert data == (tmp_path / "two" / path.name).read_bytes()
        assert b"/tmp/" not in data and str(Path.home()).encode() not in data


def test_a_second_build_runs_no_compiler_and_another_network_only_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    commands: list[list[str]] = []
    run = runner_build.run_compiler

    def counted(command: list[str], *arguments: Any, **options: Any) -> str:
        commands.append(command)
        return run(command, *arguments, **options)

    monkeypatch.setattr(runner_build, "run_compiler", counted)
    board = target.load("nucleo-l4r5zi")
    first = built(tmp_path / "one", board)
    assert any("mcu/ek_server.c" in command for command in commands)
    commands.clear()
    assert built(tmp_path / "two", board) == first and commands == []
    other = network(a="    int32_t *z =>    int32_t unused = 1; (void)unused;\n    int32_t *z ")
    built(tmp_path / "three", board, replace(other, digest=bytes(32)))
    assert [command[command.index("-c") + 1 :] for command in commands if "-c" in command] == [
        ["mcu/main.c", "tiny.c", "-MD"]
    ]


@pytest.mark.parametrize("board", boards())
def test_no_firmware_needs_a_c_library(board: str, tmp_path: Path) -> None:
    built(tmp_path, target.load(board))
    symbols = elf.read((tmp_path / "emulator.elf").read_bytes()).symbols
    assert not {"malloc", "printf", "exit", "_impure_ptr", "__errno"} & set(symbols)


def small(kib: int, kind: str, also: bool = False) -> Target:
    """A board whose memory of a kind is small; ``also``: with a second, larger RAM."""
    board = target.load("nucleo-l4r5zi")
    mcu = board.microcontroller
    name = "flash" if kind == "flash" else "ram"
    regions = {**mcu.regions, name: replace(mcu.regions[name], kib=kib)}
    if also:
        regions["more"] = replace(mcu.regions["ram"], address=0x30000000, kib=64)
    return replace(board, mcu=replace(mcu, regions=regions))


def test_a_flash_that_is_too_small(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        built(tmp_path, small(2, "flash"))
    match = re.fullmatch(
        r"nucleo-l4r5zi has 2 KiB of flash, and the firmware is (\d+) bytes too large for it; the largest tensors: "
        r"x: 600 bytes", caught.value.message
    )  # fmt: skip
    assert match and 0 < int(match[1]) < 4000 and caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_arena_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        built(tmp_path, small(12, "ram"))
    match = re.search(
        r"the arena of 4128 bytes is (\d+) bytes too large for it; the largest tensors: x", caught.value.message
    )
    assert match and "12 KiB of RAM" in caught.value.message
    short = int(match[1])  # by so much: with it, it fits, and with less it does not
    assert 0 < short < 4128
    built(tmp_path / "fits", small(12 + -(-short // 1024), "ram"))


def test_the_arena_goes_where_there_is_room(tmp_path: Path) -> None:
    built(tmp_path, small(12, "ram", also=True))
    image = elf.read((tmp_path / "firmware.elf").read_bytes())
    assert image.sections[".arena"].address == 0x30000000 and image.sections[".bss"].address < 0x20003000


def test_without_a_compiler_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(toolchain, "_is_there", lambda module: False)  # nor zig
    for board, package in (("pico", "gcc-arm-none-eabi"), ("esp32-c3", "gcc-riscv64-unknown-elf")):
        with pytest.raises(ToolMissing) as caught:
            firmware.build(network(), target.load(board), tmp_path)
        assert package in caught.value.hint


def test_only_mathematical_functions_need_a_c_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = target.load("nucleo-l4r5zi")
    monkeypatch.setattr(firmware, "_LIBC", ("-lnot-there",))
    built(tmp_path / "integers", board)
    monkeypatch.setattr(toolchain.Tool, "found", lambda tool: not tool.files)
    calls = network(
        a="++*words(instance, AT_CALLS);=>++*words(instance, AT_CALLS); z[0] = (int32_t)__builtin_expf((float)calls);"
    )
    with pytest.raises(ToolMissing) as caught:
        firmware.build(calls, board, tmp_path)
    assert "libnewlib-arm-none-eabi" in caught.value.hint


@pytest.mark.parametrize("board", ["pico", "esp32-c3"])
def test_floating_point_is_refused_without_an_fpu(board: str) -> None:
    with pytest.raises(ModelError) as caught:
        planned(C99(), convolutional(), target.load(board))
    assert f"{board} has no FPU" in caught.value.message and "--recipe int8" in caught.value.hint


@pytest.mark.parametrize("board", ["nucleo-l4r5zi", "mps3-an547", "pico"])
def test_weights_of_four_bits_take_half_a_byte_of_flash(board: str, tmp_path: Path) -> None:
    constants = []
    for bits in (4, 8):
        n = c99_random.Mixture(0)
        x = n.given(1, 128)
        weights, bias = n.kernel8(x, (64, 128), 0, per_channel=False, bits=bits)
        n.made("FULLY_CONNECTED", (x, weights, bias), (1, 64), options="FullyConnected", version=4)
        graph = n.all_results(x)
        folder = tmp_path / str(bits)
        (folder / "artifact").mkdir(parents=True)
        tflite.write(graph, folder / "model.tflite")
        plan = planned(C99(), graph, target.load(board))
        try:
            footprint = C99().build(plan, Request(folder / "model.tflite", folder / "artifact")).footprint
        except ToolMissing as error:
            pytest.skip(error.message)
        assert footprint.constants is not None
        constants.append(footprint.constants)
    assert constants[1] - constants[0] == 64 * 128 // 2


@pytest.mark.slow
def test_a_network_is_compiled_and_proven(tmp_path: Path) -> None:
    tflite.write(convolutional(), tmp_path / "model.tflite")
    try:
        (floats,) = compile(tmp_path / "model.tflite", targets=["nucleo-l4r5zi"], out=tmp_path)
        integers = compile(
            tmp_path / "model.tflite", targets=["mps3-an547", "esp32-c3"], recipe="int8", data="random", out=tmp_path
        )
    except ToolMissing as error:
        pytest.skip(error.message)
    for made in (floats, *integers):
        check(made)


def check(made: Compiled) -> None:
    assert made.backend == "c99" and made.parity.ok and made.parity.on == "emulator"
    footprint = made.manifest["footprint"]
    assert made.manifest["execution"]["kind"] == "firmware"
    assert footprint["ram_bytes"] >= footprint["arena_bytes"] + footprint["stack_reserved_bytes"]
    worst, used = footprint["stack_bytes"], footprint["stack_used_bytes"]
    assert used <= worst <= used + 160  # an interrupt, and what was not on the deepest way together
    assert footprint["flash_bytes"] >= footprint["text_bytes"] + footprint["constant_bytes"]
    assert {"artifact/model.c", "artifact/model.h", "artifact/emulator.elf"} <= set(made.manifest["files"])
