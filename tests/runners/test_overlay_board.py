"""The runner `serial` with the accelerator on a board: the ULX3S in simulation, with its SDRAM, behind a terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgekit as api
from edgekit import bundle as bundles
from edgekit import target
from edgekit.backends.overlay import document, machine_of
from edgekit.backends.overlay.document import Document
from edgekit.codegen.lower import lowered
from edgekit.codegen.schedule.overlay import Machine, schedule
from edgekit.errors import DeviceError
from edgekit.graph import tflite
from edgekit.profiling import Evidence
from edgekit.reference.litert import reference_outputs
from edgekit.runners import RunOptions, once
from edgekit.runners.overlay.board import ACTIVATIONS, COMMANDS, CONTROL, Board
from edgekit.runners.serial import SerialRunner
from edgekit.tools import toolchain
from edgekit.transport.serial import Address, SerialLine
from tests.backends.overlay_networks import random_network
from tests.firmware_stubs import ulx3s_simulation as ulx3s
from tests.runners.uart_board import UartBoard, connected

needs_verilator = pytest.mark.skipif(not toolchain.load("verilator").found(), reason="Verilator is not installed")


@contextmanager
def board(simulator: Path) -> Iterator[str]:
    """The name of the terminal of a simulated board."""
    with subprocess.Popen([str(simulator)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.slow
@needs_verilator
@pytest.mark.emulator
def test_a_bundle_runs_on_a_simulated_board(tmp_path: Path) -> None:
    tflite.write(random_network("conv", 8, 1), tmp_path / "net.tflite")
    (made,) = api.compile(tmp_path / "net.tflite", targets=["ulx3s"], out=tmp_path / "build")
    work = tmp_path / "simulator"
    work.mkdir()
    simulator = ulx3s.built(work, 87500, "serial_pty.cpp", machine_of(target.load("ulx3s")))
    with board(simulator) as terminal:
        on = f"serial:{terminal}"
        checks = api.verify(made.path, on=on)
        assert checks.ok, checks
        found = api.profile(made.path, on=on)
        simulated = api.profile(made.path, on="emulator")
        assert found.source is Evidence.DEVICE
        assert found.latency_ms.value == pytest.approx(simulated.latency_ms.value, rel=0.03)
        assert [row.name for row in found.operators] == [row.name for row in simulated.operators]

        with bundles.opened(made.path) as bundle:
            rng = np.random.default_rng(5)
            fed = [rng.integers(-128, 128, (3, *t.shape), dtype=np.int8) for t in bundle.graph.inputs]
            runner = SerialRunner(Address.parse(terminal))
            run = once(runner, bundle, fed, RunOptions(profile=False))
            expected = reference_outputs(tmp_path / "net.tflite", fed)
            assert all(np.array_equal(a, b) for a, b in zip(run.outputs, expected, strict=True))
            assert not run.trace.operators
            with SerialLine(terminal, 115200) as line, pytest.raises(DeviceError, match=r"has 16x8 .*'s 4x4"):
                Board(line, 20.0).check(Machine(4, 4))


OTHERS = [Machine(16, 16), Machine(packed=True), Machine(lanes=8)]


@pytest.mark.parametrize("other", OTHERS, ids=["lanes", "packed", "requantization"])
def test_an_accelerator_of_another_configuration_is_refused(other: Machine) -> None:
    with connected(UartBoard(other)) as terminal, SerialLine(terminal, 115200) as line:
        Board(line, 2.0).check(other)
        with pytest.raises(DeviceError) as refused:
            Board(line, 2.0).check(Machine())
    first, _, second = refused.value.message.partition("the bundle's ")
    assert second and second not in first


def test_another_bitstream_is_refused() -> None:
    unknown = pytest.raises(DeviceError, match="is not edgekit's accelerator")
    with connected(UartBoard(Machine(), magic=7)) as terminal, SerialLine(terminal, 115200) as line, unknown:
        Board(line, 2.0).check(Machine())


@dataclass(frozen=True)
class Job:
    """A network, an input and what the accelerator would leave."""

    program: Document
    x: NDArray[np.int8]
    results: dict[int, int]
    y: NDArray[np.int8]


def job() -> Job:
    made = schedule(lowered(random_network("table", 8, 1)), Machine())  # type: ignore[arg-type]
    program = document.document(made, (), (0,), ())
    (source,), (output,) = program.inputs, program.outputs
    rng = np.random.default_rng(1)
    x, y = (rng.integers(-128, 128, (1, *port.shape), dtype=np.int8) for port in (source, output))
    words = np.frombuffer(output.packed(y[0]), "<u4")
    results = {ACTIVATIONS + 4 * (output.base + n): int(word) for n, word in enumerate(words)}
    return Job(program, x, results, y)


def computed(one: Job, board: UartBoard) -> NDArray[np.int8]:
    with connected(board) as terminal, SerialLine(terminal, 115200) as line:
        return Board(line, 1.0).compute(one.program, [one.x], 1).outputs[0]


def test_what_the_board_leaves_is_what_is_read() -> None:
    one = job()
    board = UartBoard(Machine(), one.results, len(one.program.commands) + 1)
    assert np.array_equal(computed(one, board), one.y)
    assert board.runs == 1


def test_a_line_that_loses_any_byte_gives_no_results() -> None:
    """Of what the host sends one byte is lost: nothing, or an error, but never another result."""
    one = job()
    sent = 8 * (one.program.inputs[0].words + one.program.outputs[0].words)
    said = set[str]()
    for lost in range(0, sent + 5 * sent // 8 + 8, 37):
        board = UartBoard(
            Machine(), one.results, len(one.program.commands) + 1,
            passed=lambda at, data, lost=lost: data[: max(0, lost - at)] + data[max(0, lost - at) + 1 :]
            if at <= lost < at + len(data) else data,
        )  # fmt: skip
        try:
            assert np.array_equal(computed(one, board), one.y)
        except DeviceError as error:
            said.add(error.message.partition(" ")[2])
    assert "loses data" in said


def test_results_of_an_earlier_run_are_not_this_ones() -> None:
    one = job()
    board = UartBoard(
        Machine(), one.results, len(one.program.commands) + 1,
        passed=lambda at, data: data.replace(b"W" + CONTROL.to_bytes(3, "little") + bytes([1, 0, 0, 0]), b""),
    )  # fmt: skip
    board.words |= {**one.results, COMMANDS: board.commands}
    with pytest.raises(DeviceError, match="has not run"):
        computed(one, board)
    assert board.runs == 0


def test_a_board_that_takes_other_commands_is_refused() -> None:
    one = job()
    with pytest.raises(DeviceError, match="took 7 commands, not the bundle's 2"):
        computed(one, UartBoard(Machine(), one.results, 7))


def test_a_terminal_that_says_nothing(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        with SerialLine(os.ttyname(slave), 115200) as line, pytest.raises(DeviceError, match="does not answer"):
            Board(line, 0.2).check(Machine())
    finally:
        os.close(master)
        os.close(slave)
