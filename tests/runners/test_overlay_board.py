"""The runner `serial` with the accelerator on a board: the ULX3S in simulation, with its SDRAM, behind a terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import edgekit as api
from edgekit import bundle as bundles
from edgekit import target
from edgekit.backends.overlay import machine_of
from edgekit.codegen.schedule.overlay import Machine
from edgekit.errors import DeviceError
from edgekit.graph import tflite
from edgekit.profiling import Evidence
from edgekit.reference.litert import reference_outputs
from edgekit.runners import RunOptions, once
from edgekit.runners.overlay.board import Board
from edgekit.runners.serial import SerialRunner
from edgekit.tools import toolchain
from edgekit.transport.serial import Address, SerialLine
from tests.backends.overlay_networks import random_network
from tests.firmware_stubs import ulx3s_simulation as ulx3s

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


def test_a_terminal_that_says_nothing(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        with SerialLine(os.ttyname(slave), 115200) as line, pytest.raises(DeviceError, match="does not answer"):
            Board(line, 0.2).check(Machine())
    finally:
        os.close(master)
        os.close(slave)
