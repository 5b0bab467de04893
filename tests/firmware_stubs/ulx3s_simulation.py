"""The board ULX3S in simulation: its top, with an SDRAM that checks its data sheet, behind the serial line."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit import resources
from edgekit.codegen.lower import lowered
from edgekit.codegen.schedule.overlay import Machine, OverlayProgram, schedule
from edgekit.graph import Graph

RTL = resources.folder("firmware_stubs") / "fpga"
HERE = Path(__file__).parent / "fpga"
MACHINE = Machine(4, 4, True, 32, 8, mem_bits=16)
MEMORY, ACTIVATIONS = 0x800000, 0x80000
BIT = 4
"""Cycles of a bit of the serial line."""
BENCH = ("ecp5_cells.sv", "sdram_chip.sv", "ulx3s_board.sv")


def sources() -> list[Path]:
    """The RTL of the accelerator and of the board."""
    return [*sorted(RTL.glob("*.sv")), *sorted((RTL / "ulx3s").glob("*.sv"))]


def built(folder: Path, khz: int, main: str = "serial_bench.cpp", machine: Machine = MACHINE) -> Path:
    """Compile the board with a clock."""
    given = machine.parameters()
    flags = [f"-G{name}={given[name]}" for name in ("IC", "OC", "PACKED", "ACT_KIB", "STREAM_KIB")]
    start = 210 * khz // 1000
    defines = f"-DMODEL=Vulx3s_board -DSDRAM -DCYCLES={BIT} -DSTART={start} -O1"
    command = [
        "verilator", "--cc", "--exe", "--build", "-Wno-fatal", "-O3", "-DEK_BOARD", "-DEK_ASSERT", "--assert",
        f"-GCYCLES={BIT}", f"-GCLOCK_KHZ={khz}", *flags, "-CFLAGS", defines, "--top-module", "ulx3s_board", "-j", "2",
        *map(str, sources()), *(str(HERE / name) for name in BENCH), str(HERE / main),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / "obj_dir" / "Vulx3s_board"


def writes(data: bytes, at: int) -> list[str]:
    """Lines of a script that write bytes."""
    padded = data + b"\0" * (-len(data) % 4)
    return [f"w {at + 4 * n:x} {word:x}" for n, word in enumerate(np.frombuffer(padded, "<u4"))]


@dataclass(frozen=True)
class Job:
    """A network for the board, and one sample."""

    program: OverlayProgram
    x: NDArray[np.int8]

    @staticmethod
    def of(graph: Graph, seed: int = 0) -> Job:
        """A network of one input and one output."""
        program = schedule(lowered(graph), MACHINE)  # type: ignore[arg-type]
        (source,) = program.inputs
        return Job(program, np.random.default_rng(seed).integers(-128, 128, (1, *source.shape), dtype=np.int8))

    def stream(self) -> list[str]:
        """Lines that write the stream into the SDRAM."""
        return writes(self.program.stream(), MEMORY)

    def start(self) -> list[str]:
        """Lines that write the input and start."""
        (source,) = self.program.inputs
        return [
            *writes(source.packed(self.x[0]), ACTIVATIONS + 4 * source.base), "w 10 0",
            f"w 14 {len(self.program.stream()) // 2:x}", "w 8 1",
        ]  # fmt: skip

    def read(self) -> list[str]:
        """Lines that read the output."""
        (result,) = self.program.outputs
        return [f"r {ACTIVATIONS + 4 * (result.base + n):x}" for n in range(result.words)]

    def output(self, words: Sequence[int]) -> NDArray[np.int8]:
        """The output of the words that were read."""
        (result,) = self.program.outputs
        return result.unpacked(np.array(words, "<u4").tobytes())


def run(simulator: Path, script: Sequence[str], folder: Path) -> tuple[int, list[int], str]:
    """Run a script; return exit code, the words that were read, and what was said."""
    (folder / "script").write_text("\n".join(script))
    done = subprocess.run(
        [str(simulator), "script", "result"], cwd=folder, capture_output=True, text=True, check=False
    )  # fmt: skip
    result = folder / "result"
    words = [int(line, 16) for line in result.read_text().split()] if result.is_file() else []
    return done.returncode, words, done.stdout + done.stderr
