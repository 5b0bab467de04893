"""FPGAs: what a file must say, what it cannot, and what follows from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgekit import resources, target
from edgekit.errors import UsageError
from edgekit.target import BoardKind
from edgekit.target.fpga import Basis, Energy

FPGAS = [name for name in target.names() if target.load(name).kind is BoardKind.FPGA]


def changed(folder: Path, name: str, pattern: str, line: str) -> target.Target:
    """A copy of a target's file in which a pattern is replaced."""
    text, count = re.subn(pattern, line, (resources.folder("targets") / f"{name}.toml").read_text(), flags=re.M)
    assert count == 1
    (folder / f"{name}.toml").write_text(text)
    return target.read(folder / f"{name}.toml")


def test_the_boards_are_there() -> None:
    assert {"ecp5-85f", "ecp5-25f", "ulx3s", "ice40up5k", "xc7-estimate"} <= set(FPGAS)


@pytest.mark.parametrize("name", FPGAS)
def test_the_port_is_the_memory(name: str) -> None:
    board = target.load(name)
    chip = board.programmable
    assert board.memory.best == pytest.approx(chip.memory_bits / 8 * chip.clock.mhz * 1e6)
    assert board.memory.sustained == pytest.approx(chip.port.bytes_per_cycle * chip.clock.mhz * 1e6)


@pytest.mark.parametrize("name", FPGAS)
def test_the_busy_power_is_that_of_the_events(name: str) -> None:
    """A full array: a product per multiplier, operands per row, sums per column; the port is half busy."""
    board = target.load(name)
    chip = board.programmable
    assert board.power.watts(1, 1) == pytest.approx(chip.busy_joules * chip.hertz, rel=0.05)
    moved = chip.port.bytes_per_cycle / 2
    bytes_of_memory = chip.input_lanes + 8 * chip.output_lanes + moved
    events = chip.energy.joules(chip.macs_per_cycle, bytes_of_memory, moved, 1, 1 / chip.hertz)
    assert chip.busy_joules == pytest.approx(events)


@pytest.mark.parametrize(
    ("pattern", "line", "said"),
    [
        (r"^input_lanes = .*$", "input_lanes = 12", "fpga.input_lanes is 12, not one of 4, 8, 16"),
        (r"^stream_kib = .*$", "stream_kib = 48", "fpga.stream_kib is 48, not a power of two"),
        (r"^memory_bits = .*$", "memory_bits = 24", "fpga.memory_bits is 24, not one of 16, 32, 64"),
        (r"^option = .*$", "", "fpga.option is missing: the device as nextpnr names it"),
        (r'^basis = ".*"$', 'basis = "measured"', "fpga.clock.basis is 'measured', not one of routed, assumed"),
        (r"^requantization_lanes = .*$", "requantization_lanes = 6", "requantization_lanes is 6, not 4 or 8"),
        (r"^bytes_per_cycle = 4$", "bytes_per_cycle = 5", "fpga.port.bytes_per_cycle is 5, more than 32 bits hold"),
        (r"^high = 4.0$", "high = 0.9", "fpga.energy.high is 0.9"),
        (r"^luts = .*$", "luts = 1.5", "fpga.resources.luts is 1.5, not a whole number: look-up tables"),
        (r"^family = .*$", 'family = "ecp6"', "fpga.family is 'ecp6', not one of ecp5, ice40, xc7"),
    ],
)
def test_what_cannot_be(pattern: str, line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        changed(tmp_path, "ecp5-85f", pattern, line)
    assert said in caught.value.message and "ecp5-85f.toml" in caught.value.message


def test_a_clock_and_its_report_belong_together(tmp_path: Path) -> None:
    plain = r'^(basis = )".*"(\nreport = .*)?$'
    with pytest.raises(UsageError, match=r"fpga\.clock\.report"):
        changed(tmp_path, "ecp5-85f", plain, r'\1"routed"')
    with pytest.raises(UsageError, match=r"fpga\.clock\.report"):
        changed(tmp_path, "ecp5-85f", plain, r'\1"assumed"\nreport = "x"')
    assert changed(tmp_path, "ecp5-85f", plain, r'\1"assumed"').programmable.clock.basis is Basis.ASSUMED


@pytest.mark.parametrize(
    ("pattern", "line", "said"),
    [
        (r"^mhz = .*$", "mhz = 85", "fpga.clock.mhz is 85, not a multiple of 12.5 from 50 to 125"),
        (r"^baud = .*$", "", "fpga.baud: a board with fpga.pins has a serial line"),
    ],
)
def test_a_board_has_a_clock_that_its_pll_makes(pattern: str, line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        changed(tmp_path, "ulx3s", pattern, line)
    assert said in caught.value.message


def test_an_fpga_without_its_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"fpga\.input_lanes is missing: input lanes of the array"):
        changed(tmp_path, "ecp5-85f", r"(?s)^\[fpga\].*^\[power\]", "[power]")


def test_what_fits_into_the_device(tmp_path: Path) -> None:
    misfits = {name: target.load(name).programmable.misfit() for name in FPGAS}
    assert [name for name, reason in misfits.items() if reason] == ["ice40up5k"]
    assert misfits["ice40up5k"] == ("an accelerator of 4x4 lanes takes 28 multiplier blocks, and iCE40UP5K has 8")
    multipliers = {name: target.load(name).programmable.multipliers for name in FPGAS}
    assert (multipliers["ecp5-85f"], multipliers["ecp5-85f-packed"]) == (16 * 8 + 24 + 4, 16 * 16 // 2 + 24 + 4)
    large = changed(tmp_path, "ecp5-85f", r"^activation_kib = .*$", "activation_kib = 512").programmable
    assert large.misfit() == "an accelerator of 16x8 lanes takes 624 KiB of memory blocks, and LFE5UM5G-85F has 416"
    larger = changed(tmp_path, "ecp5-85f", r"^output_lanes = .*$", "output_lanes = 16").programmable
    assert "takes 284 multiplier blocks, and LFE5UM5G-85F has 156" in larger.misfit()


def test_energy_is_events_and_static_power() -> None:
    events = Energy(mac_pj=1, memory_pj=10, port_pj=100, cycle_pj=1000, static_w=0.5, low=0.5, high=2)
    assert events.joules(1e6, 1e5, 1e4, 1e3, 0) == pytest.approx(4e-6)
    assert events.joules(0, 0, 0, 0, 2.0) == 1.0
