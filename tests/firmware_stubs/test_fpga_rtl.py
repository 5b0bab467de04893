"""RTL of FPGAs by itself: lint, latches, what is proven of the FIFO, a board that is spoken to by its serial line."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgekit import resources
from edgekit.codegen.lower import lowered
from edgekit.codegen.schedule.overlay import Machine, schedule
from edgekit.graph import tflite
from edgekit.reference.litert import reference_outputs
from edgekit.tools import toolchain
from tests.backends.overlay_networks import random_network

RTL = resources.folder("firmware_stubs") / "fpga"
HERE = Path(__file__).parent / "fpga"
CONFIGURATIONS = [
    (4, 4, 1, 4), (8, 4, 0, 4), (8, 8, 1, 4), (8, 8, 1, 8), (16, 8, 0, 4), (16, 8, 0, 8), (16, 16, 1, 4), (16, 16, 1, 8)
]  # fmt: skip
"""Input lanes, output lanes, two products per multiplier, lanes of requantization."""
needs_verilator = pytest.mark.skipif(not toolchain.load("verilator").found(), reason="Verilator is not installed")
needs_yosys = pytest.mark.skipif(not toolchain.load("yosys").found(), reason="yosys is not installed")


def sources() -> list[str]:
    return sorted(map(str, RTL.glob("*.sv")))


def run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


@needs_verilator
@pytest.mark.parametrize("top", ["ek_pins", "ek_uart_top"])
@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
def test_the_rtl_is_clean(configuration: tuple[int, int, int, int], top: str, tmp_path: Path) -> None:
    flags = [f"-G{name}={value}" for name, value in zip(("IC", "OC", "PACKED", "LANES"), configuration, strict=True)]
    said = run(["verilator", "--lint-only", "-Wall", "--top-module", top, *flags, *sources()], tmp_path)
    assert "Warning" not in said


@needs_yosys
@pytest.mark.parametrize("top", ["ek_pins", "ek_uart_top"])
def test_there_are_no_latches_and_undriven_signals(top: str, tmp_path: Path) -> None:
    script = f"read_verilog -sv {' '.join(sources())}; hierarchy -check -top {top}; proc; check -assert; stat"
    said = run(["yosys", "-Q", "-p", script], tmp_path)
    assert "$dff" in said and not re.search(r"\$(d|ad|sr)?latch", said)


@needs_yosys
@pytest.mark.parametrize("machine", [Machine(lanes=8), Machine(4, 4, True, 32, 8)], ids=["16x8", "4x4"])
def test_multipliers_are_those_that_are_told(machine: Machine, tmp_path: Path) -> None:
    parameters = " ".join(f"-chparam {name} {value}" for name, value in machine.parameters().items())
    script = f"read_verilog -sv {' '.join(sources())}; hierarchy -check -top ek_pins {parameters}; proc; flatten; opt"
    said = run(["yosys", "-Q", "-p", f"{script}; wreduce; opt; stat"], tmp_path)
    (made,) = re.findall(r"\$mul +(\d+)", said.rpartition("Printing statistics")[2])
    assert int(made) == machine.multipliers


@needs_yosys
def test_a_latch_is_found(tmp_path: Path) -> None:
    (tmp_path / "m.sv").write_text(
        "module m(input logic a, b, output logic c); always_comb if (a) c = b; else c = c; endmodule"
    )
    done = subprocess.run(
        ["yosys", "-Q", "-p", "read_verilog -sv m.sv; proc; check -assert; stat"], cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0 or "latch" in done.stdout


FAULTS = {
    "": 0, "fetch = some && !held[BW]/fetch = some": 1, "used[0] && !fetch/used[0]": 1, "DEPTH - 4/DEPTH - 1": 1,
    "out_data <= buffered/out_data <= ~buffered": 1, "fetches <= {fetches[0], fetch}/fetches <= {1'b1, fetch}": 1,
}  # fmt: skip
"""Changes to the FIFO, and what yosys then exits with."""


@needs_yosys
@pytest.mark.parametrize("fault", FAULTS)
def test_the_fifo_keeps_the_order_of_words(fault: str, tmp_path: Path) -> None:
    """Proven for every sequence of eighteen cycles after a reset, whatever state was before it."""
    text = (RTL / "ek_fifo.sv").read_text()
    if fault:
        before, after = fault.split("/")
        assert text.count(before) >= 1
        text = text.replace(before, after, 1)
    (tmp_path / "ek_fifo.sv").write_text(text)
    script = (
        f"read_verilog -sv -formal {RTL / 'ek_ram.sv'} ek_fifo.sv {HERE / 'fifo_order.sv'}; prep -top fifo_order; "
        "flatten; memory_map; async2sync; "
        "sat -verify -prove-asserts -seq 18 -prove-skip 1 -set-at 1 rst 1 -set-def-inputs"
    )
    done = subprocess.run(["yosys", "-q", "-p", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == FAULTS[fault], done.stderr


BOARD = Machine(4, 4, True, 32, 8)
MEMORY, ACTIVATIONS = 0x800000, 0x80000


def words(data: bytes, at: int) -> list[str]:
    padded = data + b"\0" * (-len(data) % 4)
    return [f"w {at + 4 * n:x} {word:x}" for n, word in enumerate(np.frombuffer(padded, "<u4"))]


@pytest.mark.slow
@needs_verilator
@pytest.mark.emulator
def test_a_network_on_a_board_with_a_serial_line(tmp_path: Path) -> None:
    """By UART and AXI4-Lite: a network's stream and input go in, its output comes out; also after a reset."""
    graph = random_network("conv", 8, 1)
    program = schedule(lowered(graph), BOARD)  # type: ignore[arg-type]
    stream, (source,), (result,) = program.stream(), program.inputs, program.outputs
    x = np.random.default_rng(0).integers(-128, 128, (1, *source.shape), dtype=np.int8)
    load = [
        *words(stream, MEMORY), *words(source.packed(x[0]), ACTIVATIONS + 4 * source.base), "w 10 0",
        f"w 14 {len(stream) // 4:x}", "w 8 1",
    ]  # fmt: skip
    read = [f"r {ACTIVATIONS + 4 * (result.base + n):x}" for n in range(result.words)]
    again = load[len(words(stream, MEMORY)) :]
    script = ["n", "r 0", "r 4", *load, "i", *read, *again, "x 40", "r c", *again, "i", *read, "r c"]
    (tmp_path / "script").write_text("\n".join(script))
    defines = "-DMODEL=Vek_uart_top -DCYCLES=4 -DSTART=200"
    flags = ["-GCYCLES=4", "-CFLAGS", defines, "--top-module", "ek_uart_top", "-O3", "--noassert", "-j", "2"]
    run(["verilator", "--cc", "--exe", "--build", *flags, *sources(), str(HERE / "serial_bench.cpp")], tmp_path)
    run(["obj_dir/Vek_uart_top", "script", "result"], tmp_path)
    said = [int(line, 16) for line in (tmp_path / "result").read_text().split()]
    assert said[:2] == [0x454B4F31, 4 | 4 << 8 | 1 << 16]
    assert len(said) == 4 + 2 * len(read) and said[2 + len(read)] == said[-1] == 0
    tflite.write(graph, tmp_path / "net.tflite")
    (expected,) = reference_outputs(tmp_path / "net.tflite", [x])
    for start in (2, 3 + len(read)):
        image = np.array(said[start : start + len(read)], "<u4").tobytes()
        assert np.array_equal(result.unpacked(image), expected[0])
