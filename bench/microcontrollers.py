"""int8 networks as C on every emulated microcontroller core; rewrites the tables of docs/microcontrollers.md.

    make bench-microcontrollers

Compiles each network of ``../shared/models`` for each board that it fits, which proves it bit for bit against LiteRT's
reference kernels, and profiles it in the emulator. Takes about ten minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import page

from edgekit import target
from edgekit.api.compile import compile
from edgekit.api.profile import profile
from edgekit.backends.c99 import C99, emit
from edgekit.codegen.schedule.mcu import memory, streams
from edgekit.errors import EdgekitError
from edgekit.graph import Graph
from edgekit.graph.stats import statistics
from edgekit.profiling import Profile
from edgekit.readers import ReadOptions
from edgekit.readers.tflite import TFLiteReader

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "microcontrollers.md"
MODELS = ROOT.parent / "shared" / "models"
TINY, MICRO = MODELS / "mlperf_tiny", MODELS / "tflite_micro"
NETWORKS = [
    TINY / "ic_resnet8_int8.tflite", TINY / "kws_int8.tflite", TINY / "ad01_int8.tflite",
    MICRO / "person_detect.tflite", MICRO / "keyword_scrambled_8bit.tflite", MICRO / "hello_world_int8.tflite",
]  # fmt: skip
BOARDS = ("nucleo-l4r5zi", "stm32h7a3", "nucleo-u575", "ra8d1", "mps3-an547", "pico", "pico2", "esp32-c3")
TIMED = BOARDS[:5]
"""Boards whose cycles are in the table."""
HEADS = {"person_detect": 55_296, "ic_resnet8_int8": 49_152, "kws_int8": 16_000, "ad01_int8": 768}
"""Bytes of the non-persistent arena that the interpreter of the package tflite-micro reports for each network."""


@dataclass(frozen=True)
class Result:
    """A network on a board: what was proven, profile, footprint, seconds of compiling and proving."""

    words: str
    profile: Profile | None = None
    footprint: dict[str, int] | None = None
    seconds: float = 0.0


def main() -> int:
    if not MODELS.is_dir():
        print("this needs ../shared/models")
        return 4
    results: dict[tuple[str, str, str], Result] = {}
    for model in NETWORKS:
        for board in BOARDS:
            for optimize in ("ram", "speed") if board in TIMED and model.stem in HEADS else ("ram",):
                results[model.stem, board, optimize] = emulated(model, board, optimize)
                print(model.stem, board, optimize, results[model.stem, board, optimize].words, flush=True)
    tables = {"proofs": proofs(results), "cycles": cycles(results), "memory": memories(results)}
    page.write(PAGE, tables)
    return 0


def emulated(model: Path, board: str, optimize: str) -> Result:
    """Compile, prove and profile a network."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        try:
            (made,) = compile(model, targets=[board], changes=[f"c99.optimize={optimize}"], out=folder)
        except EdgekitError as error:
            return Result(error.message)
        seconds = time.monotonic() - start
        seen = profile(made.path, on="emulator")
        return Result(made.parity.words(), seen, made.manifest["footprint"], seconds)


def proofs(results: dict[tuple[str, str, str], Result]) -> str:
    """Which network was proven on which board, and the longest that it took."""
    lines = ["| Network | " + " | ".join(BOARDS) + " |", "|---|" + "---|" * len(BOARDS)]
    for model in NETWORKS:
        cells = []
        for board in BOARDS:
            one = results[model.stem, board, "ram"]
            cells.append(f"exact, {one.seconds:.0f} s" if "0 LSB" in one.words else one.words)
        lines.append(f"| {model.stem} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cycles(results: dict[tuple[str, str, str], Result]) -> str:
    """Cycles per MAC without wait states, and instructions per MAC."""
    lines = ["| Network | `c99.optimize` | " + " | ".join(_core(board) for board in TIMED) + " |"]
    lines.append("|---|---|" + "---:|" * len(TIMED))
    for model in NETWORKS:
        for optimize in ("speed", "ram") if model.stem in HEADS else ():
            cells = [_per_mac(model, results[model.stem, board, optimize]) for board in TIMED]
            lines.append(f"| {model.stem} | {optimize} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _core(board: str) -> str:
    return target.load(board).processor.core.removeprefix("Cortex-")


def _per_mac(model: Path, result: Result) -> str:
    if result.profile is None or result.profile.zero_wait_cycles is None or result.profile.instructions is None:
        return result.words
    macs = statistics(_graph(model)).macs
    return f"{result.profile.zero_wait_cycles.value / macs:.2f} ({result.profile.instructions / macs:.2f})"


def memories(results: dict[tuple[str, str, str], Result]) -> str:
    """Arenas on the Cortex-M4 beside TensorFlow Lite Micro's; the sizes of code and stack: worst case, and in use."""
    lines = [
        "| Network | TFLM's head | arena, `ram` | ratio | lower bound | arena, `speed` | ratio | code "
        "| worst-case stack | painted | written in |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    board = target.load(BOARDS[0])
    for model in NETWORKS:
        if (head := HEADS.get(model.stem)) is None:
            continue
        start = time.monotonic()
        backend = C99().configured({"optimize": "ram"})
        plan = backend.plan(_graph(model), board)
        assert not isinstance(plan, list)
        source = emit.source(backend.arranged(plan), "model")
        seconds = time.monotonic() - start
        bound, fast = streams.lower_bound(plan.program), memory.plan(plan.program).arena
        one = results[model.stem, board.name, "ram"]
        assert one.footprint is not None and one.profile is not None
        arena = source.memory.arena
        cells = [
            f"{head:,}", f"{arena:,}", f"{arena / head:.2f}", f"{bound:,}", f"{fast:,}", f"{fast / head:.2f}",
            f"{one.footprint['text_bytes']:,}", f"{one.footprint['stack_bytes']:,}",
            f"{one.footprint['stack_used_bytes']:,}", f"{seconds:.1f} s",
        ]  # fmt: skip
        lines.append(f"| {model.stem} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _graph(model: Path) -> Graph:
    return TFLiteReader().read(model, ReadOptions())


if __name__ == "__main__":
    sys.exit(main())
