"""The accelerator in a device: real tools on a small module of its RTL; reports; clocks that are not met."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit import target
from edgekit.backends.overlay import Overlay, refuse_to_route
from edgekit.backends.overlay.route import Design, check, design, routed, tools
from edgekit.errors import CheckFailed, EdgekitError, UsageError
from edgekit.graph import tflite
from edgekit.target import BoardKind, routing
from edgekit.target.fpga import PLL_STEP_MHZ, Basis
from edgekit.target.routing import Critical, Report
from tests.backends.overlay_networks import random_network
from tests.e2e.command import edgekit, refused

FEW_CELLS = Path(__file__).parents[1] / "firmware_stubs" / "fpga" / "few_cells.sv"
SMALL = Design("LFE5U-25F", "25k", "CABGA381", "6", "ek_fifo", {"WIDTH": 8, "DEPTH": 2048}, 100.0)
FPGAS = [board for board in map(target.load, target.names()) if board.kind is BoardKind.FPGA]
ROUTED = [board for board in FPGAS if board.programmable.clock.basis is Basis.ROUTED]
REPORT = Report(
    "LFE5UM5G-85F", "CABGA381", "8", "ek_pins", {"IC": 16}, "0", {"yosys": "1"}, 3, 120.0, 100.5,
    Critical("overlay.issue.left", "overlay.issue.addrs", 9.95, 6.1), {"MULT18X18D": (148, 156)},
)  # fmt: skip


class Steps:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def step(self, name: str) -> None:
        self.names.append(name)

    def advance(self, done: int, total: int) -> None: ...

    def warn(self, message: str) -> None: ...

    def note(self, message: str) -> None: ...


needs_tools = pytest.mark.skipif(not tools.prepared(), reason="no nextpnr: edgekit doctor --install fpga")


@pytest.mark.slow
@needs_tools
def test_a_module_is_routed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tools.ENVIRONMENT.interpreter()
    monkeypatch.setattr(type(tools.ENVIRONMENT), "ensure", lambda *_: python)
    monkeypatch.setattr(
        "edgekit.backends.overlay.route.steps.resources.cache", lambda *parts: tmp_path.joinpath(*parts)
    )
    first, again = Steps(), Steps()
    made = routed(SMALL, 1, first)
    assert routed(SMALL, 1, again) == made
    with pytest.raises(EdgekitError, match=r"nextpnr-ecp5 failed: ERROR: .*CABGA999"):
        routed(replace(SMALL, package="CABGA999"), 1, Steps())
    assert any("route nets" in name for name in first.names) and not again.names
    report = made.report
    assert report.mhz > 50 and report.used["DP16KD"] == (1, 56)
    assert 0 < report.critical.wires_ns < report.critical.ns <= 1000 / report.mhz + 0.01
    assert set(report.tools) == {"yosys", "nextpnr-ecp5"} and report.goal_mhz == 100
    assert made.bitstream.stat().st_size > 10_000
    file = tmp_path / "report.json"
    file.write_text(report.text())
    assert routing.read(file) == report


@pytest.mark.slow
@needs_tools
def test_a_boards_pins_are_routed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few cells in the accelerator's place: registers at pins are in I/O cells, clocks come from the PLL."""
    python = tools.ENVIRONMENT.interpreter()
    monkeypatch.setattr(type(tools.ENVIRONMENT), "ensure", lambda *_: python)
    board = Design.of(target.load("ulx3s").programmable)
    parts = ("ek_ram.sv", "ek_fifo.sv", "ek_uart.sv", "ek_axil.sv", "ek_sdram.sv", "ek_ulx3s_top.sv")
    rtl = design.rtl(board.top)
    sources = {name: rtl[name] for name in parts} | {"few_cells.sv": FEW_CELLS.read_bytes()}
    report = routed(board, 1, Steps(), sources).report
    assert report.mhz > board.goal_mhz == 87.5 and report.parameters["CLOCK_KHZ"] == 87500
    used = {kind: cells for kind, (cells, _) in report.used.items()}
    pins = re.findall(r'^LOCATE COMP "(.*)" SITE "(.*)";$', board.pins.read_text(), re.M)  # type: ignore[union-attr]
    assert used["EHXPLLL"] == 1 and used["TRELLIS_IO"] == len(pins) == len(dict(pins)) == len({s for _, s in pins})
    assert used["IOLOGIC"] == 1 + 21 + 16  # the SDRAM's clock, its commands, its data


def test_a_boards_sources_are_its_own() -> None:
    assert set(design.rtl("ek_ulx3s_top")) - set(design.rtl("ek_pins")) == {"ek_sdram.sv", "ek_ulx3s_top.sv"}
    assert design.rtl("ek_pins") == design.rtl()


def test_pins_of_accelerators_that_are_measured_are_on_both_sides() -> None:
    """Each port of the top has one, and nothing else does; so many on the left as on the right."""
    of = Design.of(target.load("ecp5-85f").programmable)
    assert of.pins is not None and not of.named_cells
    pins = dict(re.findall(r'^LOCATE COMP "(.*)" SITE "(.*)";$', of.pins.read_text(), re.M))
    ports = re.findall(r"^ +(?:in|out)put +logic +(\w+)", design.rtl()["ek_pins.sv"].decode(), re.M)
    assert sorted(pins) == sorted(ports) and len(ports) == 6
    columns = [int(re.sub(r"\D", "", site)) for site in pins.values()]
    assert sorted(column > 10 for column in columns) == [False] * 3 + [True] * 3


def test_a_clock_that_is_not_met_names_the_path() -> None:
    board = FPGAS[0]
    wanted = replace(board.programmable.clock, mhz=REPORT.mhz + 20)
    board = replace(board, fpga=replace(board.programmable, clock=wanted))
    with pytest.raises(CheckFailed) as caught:
        check(REPORT, board)
    assert caught.value.message.startswith("timing is not met: 100.5 MHz of ")
    assert "from overlay.issue.left to overlay.issue.addrs: 9.95 ns, 6.10 ns of them in wires" in caught.value.message
    assert "overlay.seed=4" in (caught.value.hint or "")
    check(replace(REPORT, mhz=500.0), board)


@pytest.mark.parametrize("name", ["xc7-estimate", "ice40up5k", "rpi4"])
def test_devices_that_are_not_routed_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"--pnr: edgekit places and routes ECP5, not "):
        refuse_to_route(target.load(name))


def test_the_flag_is_for_targets_with_the_accelerator(tmp_path: Path) -> None:
    tflite.write(random_network("dense", 1, 1), tmp_path / "net.tflite")
    done = edgekit("compile", tmp_path / "net.tflite", "--target", "rpi4", "--pnr", "-o", tmp_path / "out")
    refused(done, 2, "overlay would not compile for rpi4", "omit it, or use --target ecp5-25f")


def test_an_accelerator_that_is_too_large_is_not_routed() -> None:
    board = target.load("ecp5-25f")
    chip = replace(board.programmable, input_lanes=16, output_lanes=16)
    with pytest.raises(UsageError, match=r"--pnr: an accelerator of 16x16 lanes takes \d+ multiplier blocks, and"):
        refuse_to_route(replace(board, fpga=chip))


@pytest.mark.parametrize("value", [0, 1000, True, "two"])
def test_seeds_are_small_numbers(value: object) -> None:
    with pytest.raises(UsageError, match=r"overlay\.seed is .*, not a number from 1 to 999"):
        Overlay().configured({"seed": value})
    assert Overlay().configured({"seed": 7, "pnr": True}) == Overlay(pnr=True, seed=7)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "used": {"a": 1}}'])
def test_damaged_reports_are_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"x\.json is damaged"):
        routing.read(file)


@pytest.mark.parametrize("board", ROUTED, ids=lambda board: board.name)
def test_a_routed_clock_is_the_reports(board: target.Target) -> None:
    chip = board.programmable
    report = routing.read(routing.shipped(chip.clock.report))
    assert 0 <= report.mhz - chip.clock.mhz < (PLL_STEP_MHZ if chip.pins else 1)
    assert report.parameters == chip.parameters and report.top == chip.top
    assert (report.device, report.package, report.speed_grade) == (chip.device, chip.package, chip.speed_grade)
    assert report.rtl == design.digest(design.rtl(chip.top)), "the RTL has changed: run bench/place_and_route.py"


def test_comments_do_not_change_the_digest_of_rtl() -> None:
    plain = {"a.sv": b"module a;\nendmodule\n"}
    assert design.digest(plain) == design.digest({"a.sv": b"module a;  // said\n\n// more\nendmodule\n"})
    assert design.digest(plain) != design.digest({"a.sv": b"module b;\nendmodule\n"})
