"""The cycle models beside figures that others measured on boards; prints the tables of docs/cycle-models.md.

    python bench/mcu_boards.py FOLDER

FOLDER has the networks of MLPerf Tiny in int8: ``ad01_int8.tflite``, ``ic_resnet8_int8.tflite``, ``kws_int8.tflite``.
Compiles each for each board, runs it in the emulator and applies the cost model. Takes about two minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit import target
from edgekit.backends import Request
from edgekit.backends.c99 import C99, Optimize
from edgekit.backends.c99 import Plan as Planned
from edgekit.bundle import Bundle
from edgekit.graph import tflite
from edgekit.graph.stats import statistics
from edgekit.profiling import Profile, registry
from edgekit.runners import RunOptions, get, once

NETWORKS = {"AD": "ad01_int8", "IC": "ic_resnet8_int8", "KWS": "kws_int8"}
BOARDS = ("nucleo-l4r5zi", "stm32h7a3", "nucleo-u575", "ra8d1", "mps3-an547", "pico", "esp32-c3")


@dataclass(frozen=True)
class Measured:
    """Published latencies of MLPerf Tiny, ms: anomaly detection, image classification, keyword spotting."""

    board: str
    clock_mhz: float
    runtime: str
    latency_ms: tuple[float, float, float]


PUBLISHED = [
    Measured("NUCLEO-L4R5ZI (M4)", 120, "TFLM 2.3.1, reference submission (v0.5)", (10.0516, 704.2254, 181.9174)),
    Measured("NUCLEO-L4R5ZI (M4)", 120, "microTVM (v1.0)", (11.718, 389.2565, 144.03)),
    Measured("NUCLEO-L4R5ZI (M4)", 120, "microTVM, CMSIS-NN (v1.0)", (8.605, 389.5598, 99.8104)),
    Measured("NUCLEO-L4R5ZI (M4)", 120, "ONNC, Zephyr (v1.1)", (8.006, 296.5599, 93.6417)),
    Measured("NUCLEO-L4R5ZI (M4)", 120, "X-CUBE-AI 7.3 (v1.0)", (7.5786, 226.9117, 75.0582)),
    Measured("NUCLEO-L4R5ZI (M4)", 120, "X-CUBE-AI 9.0 (v1.2)", (5.2608, 165.1255, 43.1872)),
    Measured("NUCLEO-L4R5ZI-P (M4)", 120, "X-CUBE-AI 10.2 (v1.3)", (4.7937, 165.6726, 43.4179)),
    Measured("NUCLEO-H7A3ZI-Q (M7)", 280, "X-CUBE-AI 7.3 (v1.0)", (1.8258, 54.3449, 16.7597)),
    Measured("NUCLEO-H7A3ZI-Q (M7)", 280, "X-CUBE-AI 9.0 (v1.2)", (1.2255, 40.8447, 11.3179)),
    Measured("NUCLEO-U575ZI-Q (M33)", 160, "X-CUBE-AI 7.3 (v1.0)", (4.8494, 139.7038, 44.2321)),
    Measured("NUCLEO-U575ZI-Q (M33)", 160, "X-CUBE-AI 10.2 (v1.3)", (3.2095, 109.493, 28.9948)),
    Measured("nRF5340 DK (M33)", 128, "microTVM, CMSIS-NN (v1.0)", (6.2665, 316.1555, 76.0861)),
    Measured("EK-RA6M4 (M33)", 200, "TFLM (v0.7)", (4.6131, 246.1841, 50.5715)),
    Measured("EK-RA8D1 (M85)", 480, "TFLM (v1.2)", (0.5307, 8.4783, 3.4649)),
]


def emulate(model: Path, board: str, folder: Path) -> Profile:
    """Compile a network, run one inference in the emulator and profile it."""
    place = folder / f"{model.stem}.{board}"
    (place / "artifact").mkdir(parents=True)
    graph, where, backend = tflite.read(model), target.load(board), C99(Optimize.SPEED)
    tflite.write(graph, place / "model.tflite")
    planned = backend.plan(graph, where)
    assert isinstance(planned, Planned), planned
    artifact = backend.build(planned, Request(place / "model.tflite", place / "artifact"))
    manifest = {"target": board, "backend": "c99", "runtime": "c99", "execution": artifact.execution.json()}
    inputs = [np.zeros((1, *tensor.shape), tensor.dtype) for tensor in graph.inputs]
    run = once(get("emulator"), Bundle(place, manifest), inputs, RunOptions(profile=True))
    return registry.observed(graph, run.trace, where, run.conditions)


def measured(macs: dict[str, int]) -> Iterator[str]:
    """The published figures as cycles per MAC, waits for flash included."""
    yield "| Board | Runtime | AD | IC | KWS |"
    yield "|---|---|---:|---:|---:|"
    for row in PUBLISHED:
        each = zip(row.latency_ms, macs.values(), strict=True)
        cells = [f"{ms * row.clock_mhz * 1e3 / count:.2f}" for ms, count in each]
        yield f"| {row.board} | {row.runtime} | {' | '.join(cells)} |"


def predicted(models: dict[str, Path]) -> Iterator[str]:
    """The cost model's figures for edgekit's kernels."""
    yield "| Target | Network | instructions | cycles, no wait states | interval | cycles | latency ms | energy mJ |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    with tempfile.TemporaryDirectory() as scratch:
        for board in BOARDS:
            for name, model in models.items():
                found = emulate(model, board, Path(scratch))
                assert found.zero_wait_cycles and found.macs and found.cycles and found.instructions
                zero = found.zero_wait_cycles.scaled(1 / found.macs)
                ms, mj = found.latency_ms, found.energy_mj
                yield (
                    f"| `{board}` | {name} | {found.instructions / found.macs:.2f} | {zero.value:.2f} "
                    f"| {zero.low:.2f} to {zero.high:.2f} | {found.cycles / found.macs:.2f} "
                    f"| {ms.value:.3g} ({ms.low:.3g} to {ms.high:.3g}) "
                    f"| {mj.value:.3g} ({mj.low:.3g} to {mj.high:.3g}) |"
                )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    models = {name: next(folder.rglob(f"{stem}.tflite")) for name, stem in NETWORKS.items()}
    macs = {name: sum(row.macs for row in statistics(tflite.read(path)).operators) for name, path in models.items()}
    for line in (*measured(macs), ""):
        print(line)
    for line in predicted(models):
        print(line, flush=True)
