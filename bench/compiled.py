"""Compiled networks (``--backend tvm``) beside LiteRT; prints the tables of docs/benchmarks.md.

    python bench/compiled.py [host] [boards]

On this machine both run in edgekit's C runner, in turns, pinned to one core; for the boards the emulator counts. Needs
``make demo``, ``../shared/models`` and the extra ``train``; leaves out what is not there. About five minutes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from latency import runner_burst
from networks import DEMO, MOBILENET, ROOT, SHARED, Network

import edgekit
from edgekit import bundle as bundles
from edgekit.profiling.cycles import EmulatedCost
from edgekit.runners import RunOptions, Trace
from edgekit.runners.emulator import EmulatorRunner

FOLDER = ROOT / "build" / "bench" / "tvm"
BACKENDS = "litert", "tvm"
ROUNDS = 7


def models() -> Iterator[tuple[str, Path, str]]:
    """Name, file and recipe of each network, float and int8."""
    for name, stem in (("ResNet-8", "ic_resnet8"), ("DS-CNN", "kws"), ("auto-encoder", "ad01")):
        for dtype in ("fp32", "int8"):
            yield f"{name} {dtype}", SHARED / f"{stem}_{dtype}.tflite", "float32" if dtype == "fp32" else "as-is"
    for name, path in (
        ("MNIST example", DEMO / "mnist.keras"),
        ("MobileNetV2 96", mobilenet(96)),
        ("MobileNetV2 224", mobilenet(224)),
    ):
        for recipe in ("float32", "int8"):
            yield f"{name} {'fp32' if recipe == 'float32' else 'int8'}", path, recipe


def mobilenet(size: int) -> Path:
    """MobileNetV2 for pictures of that size, with random weights."""
    path = FOLDER / f"mobilenetv2_{size}.keras"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        text = MOBILENET.replace("MobileNetV2(", f"MobileNetV2(({size}, {size}, 3), ").replace("224", str(size))
        subprocess.run([sys.executable, "-c", text, str(path)], stderr=subprocess.DEVNULL, check=True)
    return path


def bundle(path: Path, recipe: str, board: str, backend: str) -> Path:
    """The network's bundle."""
    made = FOLDER / backend / f"{path.stem}.{recipe}.{board}"
    if not made.is_dir() or backend == "tvm":
        data = "random" if recipe == "int8" else None
        edgekit.compile(path, targets=[board], recipe=recipe, backend=backend, data=data, out=made.parent)
    return made


def host() -> Iterator[str]:
    yield "| network | LiteRT µs | TVM µs | TVM / LiteRT |"
    yield "|---|---:|---:|---:|"
    cores = os.sched_getaffinity(0)
    ratios: dict[str, list[float]] = {"fp32": [], "int8": []}
    for name, path, recipe in models():
        if not path.is_file():
            continue
        pair = [Network(name, "", bundle(path, recipe, "host", backend), None) for backend in BACKENDS]
        os.sched_setaffinity(0, {max(cores)})
        repeat = max(10, int(200 / runner_burst(pair[0], 10)))
        times = [[runner_burst(network, repeat) * 1e3 for network in pair] for _ in range(ROUNDS)]
        os.sched_setaffinity(0, cores)
        litert, tvm = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(b / a for a, b in times)
        ratios[name.split()[-1]].append(ratio)
        yield f"| {name} | {litert:.1f} | {tvm:.1f} | {ratio:.2f} |"
    for dtype, found in ratios.items():
        yield f"| geometric mean {dtype} | | | {statistics.geometric_mean(found):.2f} |"


def boards() -> Iterator[str]:
    yield "| network | board | LiteRT million instructions, ms | TVM million instructions, ms | TVM / LiteRT, ms |"
    yield "|---|---|---:|---:|---:|"
    ratios: dict[str, list[float]] = {}
    for name, path, recipe in models():
        if not path.is_file() or "224" in name:
            continue
        for board in ("rpi4", "rpi5"):
            found = [emulated(bundle(path, recipe, board, backend)) for backend in BACKENDS]
            ratio = found[1][1] / found[0][1]
            ratios.setdefault(f"{name.split()[-1]} {board}", []).append(ratio)
            cells = [f"{trace.counts['instructions'] / 1e6:.2f}, {ms:.3f}" for trace, ms in found]
            yield f"| {name} | {board} | {cells[0]} | {cells[1]} | {ratio:.2f} |"
    for kind, values in sorted(ratios.items()):
        yield f"| geometric mean {kind} | | | | {statistics.geometric_mean(values):.2f} |"


def emulated(path: Path) -> tuple[Trace, float]:
    """What the emulator counts in one inference, and the cost model's ms."""
    with bundles.opened(path) as found:
        rng = np.random.default_rng(0)
        inputs = [rng.integers(-100, 100, (1, *t.shape)).astype(t.dtype) for t in found.graph.inputs]
        trace = EmulatorRunner().run(found, inputs, RunOptions(profile=True)).trace
        return trace, EmulatedCost().profile(found.graph, trace, found.target, {"threads": 1}).latency_ms.value


if __name__ == "__main__":
    for part in sys.argv[1:] or ["host", "boards"]:
        for line in {"host": host, "boards": boards}[part]():
            print(line, flush=True)
