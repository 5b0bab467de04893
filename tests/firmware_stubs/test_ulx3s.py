"""The board ULX3S: its SDRAM controller keeps to the data sheet, its top computes a network; lint and latches."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgekit import target
from edgekit.graph import tflite
from edgekit.progress import Silent
from edgekit.reference.litert import reference_outputs
from edgekit.runners.verilator import job as verilator
from edgekit.runners.verilator import simulator as simulator_of
from edgekit.runners.verilator.job import MemoryTiming
from edgekit.tools import toolchain
from tests.backends.overlay_networks import random_network
from tests.firmware_stubs import ulx3s_simulation as ulx3s

needs_verilator = pytest.mark.skipif(not toolchain.load("verilator").found(), reason="Verilator is not installed")
needs_yosys = pytest.mark.skipif(not toolchain.load("yosys").found(), reason="yosys is not installed")
CONTROLLER = (ulx3s.RTL / "ulx3s" / "ek_sdram.sv").read_text()


def controller(folder: Path, khz: int, text: str = CONTROLLER) -> Path:
    """Compile the controller with the SDRAM's model."""
    (folder / "ek_sdram.sv").write_text(text)
    command = [
        "verilator", "--cc", "--exe", "--build", "-Wno-fatal", "-O3", "-DEK_ASSERT", "--assert", f"-GCLOCK_KHZ={khz}",
        "-CFLAGS", "-O0", "--top-module", "sdram_bench", "-j", "2",
        *(str(ulx3s.RTL / name) for name in ("ek_ram.sv", "ek_fifo.sv")), "ek_sdram.sv",
        *(str(ulx3s.HERE / name) for name in ("sdram_chip.sv", "sdram_bench.sv", "sdram_bench.cpp")),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / "obj_dir" / "Vsdram_bench"


def bench(simulator: Path, kind: str, beats: int, seed: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(simulator), kind, str(beats), str(seed)], cwd=simulator.parent, capture_output=True, text=True, check=False
    )  # fmt: skip


@needs_verilator
@pytest.mark.emulator
@pytest.mark.parametrize("khz", [75000, 87500, 100000, 112500, 125000])
def test_the_sdram_gives_what_was_written(khz: int, tmp_path: Path) -> None:
    """Random places and pauses, writes in between; the SDRAM's model checks the data sheet's times meanwhile."""
    simulator = controller(tmp_path, khz)
    for seed in (1, 2):
        done = bench(simulator, "random", 12000, seed)
        assert done.returncode == 0, done.stdout
    done = bench(simulator, "stream", 20000, 1)
    first, rest = map(int, done.stdout.split())
    assert done.returncode == 0 and first <= 26
    assert 20000 / rest > 0.97


TOO_SOON = {
    "TRCD - 1/TRCD - 2": "tRCD", "4'(TRP - 1);\n          end\n/4'(TRP - 2);\n          end\n": "tRP",
    "int TRFC = (66/int TRFC = (50": "tRFC", "4'(TRAS - 1)/4'(TRAS - 2)": "tRAS|tRC",
    "w_step == 4 ?/w_step == 2 ?": "",
    "- 32;/+ 40;": "refresh: more", "int POWER_UP = 200/int POWER_UP = 190": "power-up",
    "int INITS = 10/int INITS = 9": "fewer than eight", "int RETURN = CL + 2/int RETURN = CL + 1": "",
    "int RETURN = CL + 2/int RETURN = CL + 3": "", "13'h200 | 13'(CL << 4)/13'h201 | 13'(CL << 4)": "not bursts of one",
    "if (coming == 0) w_step/if (coming <= 1) w_step": "", "place == opened/place[14:2] == opened[14:2]": "",
    "CLOCK_KHZ > 100000 ? 3 : 2/CLOCK_KHZ > 120000 ? 3 : 2": "CAS latency 2",
}  # fmt: skip
"""Changes to the controller, and what the SDRAM's model says of them; nothing: words are wrong."""


@pytest.mark.slow
@needs_verilator
@pytest.mark.emulator
@pytest.mark.parametrize("fault", TOO_SOON, ids=lambda fault: fault.split("/")[0].strip()[:30])
def test_faults_of_the_controller_are_found(fault: str, tmp_path: Path) -> None:
    before, after = fault.split("/")
    assert CONTROLLER.count(before) == 1
    simulator = controller(tmp_path, 112500, CONTROLLER.replace(before, after))
    done = [bench(simulator, kind, 12000, 1) for kind in ("random", "stream")]
    assert any(one.returncode for one in done)
    assert any(one.returncode and re.search(TOO_SOON[fault], one.stdout + one.stderr) for one in done)


@pytest.mark.slow
@needs_verilator
@pytest.mark.emulator
@pytest.mark.parametrize("khz", [87500, 112500])
def test_a_network_on_the_board(khz: int, tmp_path: Path) -> None:
    """By the serial line and the SDRAM: bits of the reference, cycles of the memory that the target's file describes.

    A second time; and again after a reset in the middle of a run.
    """
    graph = random_network("dense" if khz > 100000 else "conv", 8, 1)
    job = ulx3s.Job.of(graph)
    simulator = ulx3s.built(tmp_path, khz)
    once = [*job.start(), "i", *job.read(), "r 20"]
    script = ["n", "r 0", "r 4", *job.stream(), *once, *once, *job.start(), "x 40", "r c", *job.stream(), *once]
    code, words, said = ulx3s.run(simulator, script, tmp_path)
    assert code == 0, said
    assert words[:2] == [0x454B4F31, 4 | 4 << 8 | 1 << 16]
    tflite.write(graph, tmp_path / "net.tflite")
    (expected,) = reference_outputs(tmp_path / "net.tflite", [job.x])
    size = len(job.read()) + 1
    timing = MemoryTiming.of(target.load("ulx3s").programmable)
    program = simulator_of.built(ulx3s.MACHINE, Silent())
    modelled = verilator.run(program, job.program.stream(), job.program.inputs, job.program.outputs, [job.x], 1, timing)
    cycles = int(modelled.log[-1][0])
    for start in (2, 2 + size, 3 + 2 * size):
        assert np.array_equal(job.output(words[start : start + size - 1]), expected[0])
        assert words[start + size - 1] == pytest.approx(cycles, rel=0.03)


@needs_verilator
@pytest.mark.parametrize("khz", [75000, 87500, 100000, 112500])
def test_the_board_is_clean(khz: int, tmp_path: Path) -> None:
    files = map(str, [*ulx3s.sources(), ulx3s.HERE / "ecp5_cells.sv"])
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "--top-module", "ek_ulx3s_top", f"-GCLOCK_KHZ={khz}", *files],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr


@needs_yosys
def test_the_board_has_no_latches_and_undriven_signals(tmp_path: Path) -> None:
    script = (
        f"read_verilog -sv {' '.join(map(str, ulx3s.sources()))}; read_verilog -lib -specify +/ecp5/cells_sim.v "
        "+/ecp5/cells_bb.v; hierarchy -check -top ek_ulx3s_top; proc; check -assert; stat"
    )
    done = subprocess.run(["yosys", "-Q", "-p", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "$dff" in done.stdout and not re.search(r"\$(d|ad|sr)?latch", done.stdout)
