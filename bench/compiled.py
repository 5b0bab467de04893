"""Compiled networks (``--backend tvm``) beside LiteRT, and what ``--backend auto`` keeps; tables of docs/benchmarks.md.

    python bench/compiled.py [host] [threads] [boards]

On this machine all run in edgekit's C runner, in turns, pinned to one core (``threads``: on two); for the boards the
emulator counts. Needs
``make demo``, ``../shared/models`` and the extra ``train``; leaves out what is not there. About ten minutes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from latency import runner_burst
from networks import DEMO, MOBILENET, ROOT, SHARED, Network
from page import write

import edgekit
from edgekit import bundle as bundles
from edgekit.profiling import registry
from edgekit.runners import RunOptions, Trace, once
from edgekit.runners.emulator import EmulatorRunner

FOLDER = ROOT / "build" / "bench" / "tvm"
BACKENDS = "litert", "tvm"
ROUNDS = 9
BURST_MS = 200
GEOMETRIC = {"fp32": 1.0, "int8": 0.9}
WORST, AUTO = 1.25, 1.03
"""What TVM may take of LiteRT's time, in the mean over the networks and for any; ``auto`` of the best backend's."""


@dataclass(frozen=True)
class Turns:
    """One network: the microseconds of LiteRT, TVM and what ``auto`` ``kept``, one of each a round."""

    name: str
    dtype: str
    kept: str
    rounds: Sequence[tuple[float, float, float]]

    @property
    def medians(self) -> tuple[float, float, float]:
        litert, tvm, auto = (statistics.median(column) for column in zip(*self.rounds, strict=True))
        return litert, tvm, auto

    @property
    def ratio(self) -> float:
        """TVM over LiteRT, within a round."""
        return statistics.median(tvm / litert for litert, tvm, _ in self.rounds)

    @property
    def auto(self) -> float:
        """What ``auto`` kept over the backend that was the faster one here."""
        litert, tvm, _ = self.medians
        best = 0 if litert < tvm else 1
        return statistics.median(turn[2] / turn[best] for turn in self.rounds)


def models() -> Iterator[tuple[str, str, Path, str]]:
    """Name, dtype, file and recipe of each network."""
    for name, stem in (("ResNet-8", "ic_resnet8"), ("DS-CNN", "kws"), ("autoencoder", "ad01")):
        for dtype in ("fp32", "int8"):
            yield name, dtype, SHARED / f"{stem}_{dtype}.tflite", "float32" if dtype == "fp32" else "as-is"
    for name, path in (
        ("MNIST example", DEMO / "mnist.keras"),
        ("MobileNetV2 96", mobilenet(96)),
        ("MobileNetV2 224", mobilenet(224)),
    ):
        for dtype, recipe in (("fp32", "float32"), ("int8", "int8")):
            yield name, dtype, path, recipe


def mobilenet(size: int) -> Path:
    """MobileNetV2 for pictures of that size, with random weights."""
    path = FOLDER / f"mobilenetv2_{size}.keras"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        text = MOBILENET.replace("MobileNetV2(", f"MobileNetV2(({size}, {size}, 3), ").replace("224", str(size))
        subprocess.run([sys.executable, "-c", text, str(path)], stderr=subprocess.DEVNULL, check=True)
    return path


def bundle(path: Path, recipe: str, board: str, backend: str) -> Path:
    """The network's bundle; LiteRT's is kept from an earlier run, what edgekit itself makes is made anew."""
    made = FOLDER / backend / f"{path.stem}.{recipe}.{board}"
    if not made.is_dir() or backend != "litert":
        data = "random" if recipe == "int8" else None
        edgekit.compile(
            path, targets=[board], recipe=recipe, backend=backend, data=data, database=None, out=made.parent,
            threads=1 if backend == "auto" else None,
        )  # fmt: skip
    return made


def transformed(path: Path, recipe: str) -> tuple[Path, str]:
    """The network after its recipe, as LiteRT's bundle holds it, and the recipe that leaves it unchanged.

    TensorFlow then reads a Keras model for only one of three bundles.
    """
    if path.suffix == ".tflite":
        return path, recipe
    made = FOLDER / "transformed" / f"{path.stem}.{recipe}.tflite"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes((bundle(path, recipe, "host", "litert") / "model.tflite").read_bytes())
    return made, "as-is"


def host() -> Iterator[Turns]:
    """Measure all networks that are there."""
    cores = os.sched_getaffinity(0)
    for name, dtype, source, recipe in models():
        if not source.is_file():
            continue
        path, plan = transformed(source, recipe)
        made = [bundle(path, plan, "host", backend) for backend in (*BACKENDS, "auto")]
        three = [Network(name, dtype, folder, None) for folder in made]
        os.sched_setaffinity(0, {max(cores)})
        try:
            repeat = max(10, int(BURST_MS / runner_burst(three[0], 10)))
            rounds = [tuple(runner_burst(one, repeat) * 1e3 for one in three) for _ in range(ROUNDS)]
        finally:
            os.sched_setaffinity(0, cores)
        yield Turns(name, dtype, bundles.load(made[2]).manifest["backend"], rounds)  # type: ignore[arg-type]


def host_table(turns: Sequence[Turns]) -> str:
    lines = ["| network | dtype | LiteRT µs | TVM µs | TVM / LiteRT | `auto` kept | `auto` / best |"]
    lines.append("|---|---|---:|---:|---:|---|---:|")
    for one in turns:
        litert, tvm, _ = one.medians
        lines.append(
            f"| {one.name} | {one.dtype} | {litert:.1f} | {tvm:.1f} | {one.ratio:.2f} | {one.kept} | {one.auto:.3f} |"
        )
    means = geometric_means(turns)
    lines += [f"| geometric mean {dtype} | | | | {mean:.2f} | | |" for dtype, mean in means.items()]
    return "\n".join(lines)


def geometric_means(turns: Sequence[Turns]) -> dict[str, float]:
    """Of TVM over LiteRT, by dtype."""
    found: dict[str, list[float]] = {}
    for one in turns:
        found.setdefault(one.dtype, []).append(one.ratio)
    return {dtype: statistics.geometric_mean(ratios) for dtype, ratios in found.items()}


def missed(turns: Sequence[Turns]) -> list[str]:
    """What is over its limit, in words."""
    over = [
        f"geometric mean {dtype}: {mean:.2f} of LiteRT's time"
        for dtype, mean in geometric_means(turns).items()
        if mean > GEOMETRIC[dtype]
    ]
    over += [f"{one.name} {one.dtype}: {one.ratio:.2f} of LiteRT's time" for one in turns if one.ratio > WORST]
    return over + [f"{one.name} {one.dtype}: auto takes {one.auto:.3f}" for one in turns if one.auto > AUTO]


def threads_table() -> str:
    """One and two threads of both backends on this machine, in turns; four on a Raspberry Pi 5, by the emulator."""
    lines = ["| network | dtype | where | threads | LiteRT ms | TVM ms | TVM / LiteRT | TVM / TVM with one thread |"]
    lines.append("|---|---|---|---:|---:|---:|---:|---:|")
    for name, dtype, source, recipe in models():
        if "MobileNet" not in name:
            continue
        path, plan = transformed(source, recipe)
        pair = [Network(name, dtype, bundle(path, plan, "host", backend), None) for backend in BACKENDS]
        repeat = max(30, int(BURST_MS / runner_burst(pair[0], 10)))
        rounds = [[runner_burst(one, repeat, n) for n in (1, 2) for one in pair] for _ in range(ROUNDS)]
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        over = [statistics.median(row[2 * n + 1] / row[2 * n] for row in rounds) for n in (0, 1)]
        gain = statistics.median(row[3] / row[1] for row in rounds)
        for n, gained in ((1, 1.0), (2, gain)):
            litert, tvm = medians[2 * n - 2 : 2 * n]
            lines.append(
                f"| {name} | {dtype} | host | {n} | {litert:.2f} | {tvm:.2f} | {over[n - 1]:.2f} | {gained:.2f} |"
            )
        boards = [bundle(path, plan, "rpi5", backend) for backend in BACKENDS]
        alone = emulated(boards[1])[1]
        for n in (1, 4):
            litert, tvm = (emulated(one, n)[1] for one in boards)
            ratios = f"{tvm / litert:.2f} | {tvm / alone:.2f}"
            lines.append(f"| {name} | {dtype} | rpi5, emulator | {n} | {litert:.2f} | {tvm:.2f} | {ratios} |")
    return "\n".join(lines)


def boards_table() -> str:
    lines = ["| network | board | LiteRT million instructions, ms | TVM million instructions, ms | TVM / LiteRT, ms |"]
    lines.append("|---|---|---:|---:|---:|")
    ratios: dict[str, list[float]] = {}
    for name, dtype, source, recipe in models():
        if not source.is_file() or "224" in name:
            continue
        path, plan = transformed(source, recipe)
        for board in ("rpi4", "rpi5"):
            found = [emulated(bundle(path, plan, board, backend)) for backend in BACKENDS]
            ratio = found[1][1] / found[0][1]
            ratios.setdefault(f"{dtype} {board}", []).append(ratio)
            cells = [f"{trace.counts['instructions'] / 1e6:.2f}, {ms:.3f}" for trace, ms in found]
            lines.append(f"| {name} {dtype} | {board} | {cells[0]} | {cells[1]} | {ratio:.2f} |")
    for kind, values in sorted(ratios.items()):
        lines.append(f"| geometric mean {kind} | | | | {statistics.geometric_mean(values):.2f} |")
    return "\n".join(lines)


def emulated(path: Path, threads: int = 1) -> tuple[Trace, float]:
    """What the emulator counts in one inference, and the cost model's ms."""
    with bundles.opened(path) as found:
        rng = np.random.default_rng(0)
        inputs = [rng.integers(-100, 100, (1, *t.shape)).astype(t.dtype) for t in found.graph.inputs]
        trace = once(EmulatorRunner(), found, inputs, RunOptions(profile=True)).trace
        return trace, registry.observed(found.graph, trace, found.target, {"threads": threads}).latency_ms.value


if __name__ == "__main__":
    makers = {"host": lambda: host_table(list(host())), "threads": threads_table, "boards": boards_table}
    for part in sys.argv[1:] or list(makers):
        print(table := makers[part]())
        write(ROOT / "docs" / "benchmarks.md", {f"compiled-{part}": table})
