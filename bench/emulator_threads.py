"""Fits the emulator's constants of the Raspberry Pis to figures for 1 to 4 threads; prints docs/emulator.md's table.

    python bench/emulator_threads.py FOLDER

Builds EfficientDet-Lite 0, 2 and 4 and MobileNets with random weights (needs the ``train`` extra) in FOLDER, runs
each in the emulator, and fits ``cycles.core_factor``, ``exposure``, ``exposure_all_cores`` and ``fork_join_us``. What
is in FOLDER is not made again. EfficientDet-Lite 4 takes no part in the fit: it judges. Takes a quarter of an hour.

The detectors that were measured end with TFLite's DETECTION_POSTPROCESS, which ours lack: it runs on one thread, and
its time per anchor is fitted, too.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from emulator_boards import PUBLISHED, XNNPACK, at_clock, build, emulate
from numpy.typing import NDArray
from scipy.optimize import least_squares

from edgekit import resources, target
from edgekit.files.documents import read_toml
from edgekit.profiling import cycles
from edgekit.runners import Trace
from edgekit.target import Target

ANCHORS = {"lite0": 19206, "lite2": 37629, "lite4": 76725}
"""Three scales and three ratios on five maps of 320, 448 and 640 pixels (Tan et al. 2020)."""
MEASURED = {
    ("rpi5", "lite0", "fp32"): (104.012, 72.882, 64.303, 62.245),
    ("rpi5", "lite0", "int8"): (44.198, 29.299, 24.78, 22.877),
    ("rpi5", "lite2", "fp32"): (328.918, 220.233, 189.058, 180.557),
    ("rpi5", "lite2", "int8"): (123.805, 77.021, 62.476, 55.593),
    ("rpi5", "lite4", "int8"): (550.061, 320.747, 250.394, 216.473),
    ("rpi4", "lite0", "fp32"): (328.651, 210.164, 182.026, 175.845),
    ("rpi4", "lite0", "int8"): (197.751, 116.99, 90.833, 78.009),
    ("rpi4", "lite2", "fp32"): (1048.77, 649.241, 552.839, 533.455),
    ("rpi4", "lite2", "int8"): (601.72, 339.004, 252.515, 214.182),
    ("rpi4", "lite4", "int8"): (2988.07, 1590.05, 1145.18, 952.455),
}
"""Milliseconds of 1, 2, 3 and 4 threads: NobuoTsukamoto/benchmarks (MIT), TFLite 2.18 with XNNPACK, mean of 50."""
JUDGES = "lite4"
COVERAGE: float = read_toml(resources.folder("targets") / "costs" / "cycles.toml")["coefficients"]["coverage"]
START, LEAST, MOST = (1.2, 0.5, 0.8, 20.0, 0.5), (0.8, 0.0, 0.0, 5.0, 0.0), (2.5, 1.0, 1.0, 60.0, 3.0)
WEIGHT = 2.0
"""Of a MobileNet's one figure beside a detector's four."""


@dataclass(frozen=True)
class Run:
    """A network that was emulated for a board, with what others measured.

    :param board: at the clock of the measured one. :param operators: cycles, and among how many threads they can be
        shared. :param ms: by the number of threads. :param anchors: of a detector.
    """

    name: str
    board: Target
    operators: list[tuple[cycles.Cycles, int]]
    ms: dict[int, float]
    anchors: int = 0

    @classmethod
    def of(cls, name: str, board: Target, trace: Trace, ms: dict[int, float], anchors: int = 0) -> Run:
        """With the cycles of a trace."""
        found, _ = cycles.counted(trace, board, COVERAGE)
        return cls(name, board, [(c, op.threads) for c, op in zip(found, trace.operators, strict=True)], ms, anchors)

    @property
    def judges(self) -> bool:
        return JUDGES in self.name


def emulated(model: Path, board: str) -> Trace:
    """The trace of one inference, kept beside the model."""
    kept = model.with_suffix(f".{board}.pickle")
    if not kept.exists():
        with tempfile.TemporaryDirectory() as scratch:
            kept.write_bytes(pickle.dumps(emulate(model, board, Path(scratch))[1]))
    trace: Trace = pickle.loads(kept.read_bytes())  # our own, made a moment ago
    return trace


def runs(board: str, folder: Path) -> Iterator[Run]:
    """All networks that were measured on a board."""
    for (on, size, dtype), ms in MEASURED.items():
        if on == board:
            name = f"efficientdet-{size}-{dtype}"
            model = folder / f"{name}.tflite"
            if not model.exists():
                script = Path(__file__).with_name("measured_networks.py")
                subprocess.run([sys.executable, script, name, model], check=True, capture_output=True)
            yield Run.of(name, target.load(board), emulated(model, board), dict(enumerate(ms, 1)), ANCHORS[size])
    for published in PUBLISHED:
        if published.target == board and published.source == XNNPACK:
            for network, ms_ in published.latency_ms.items():
                trace = emulated(build(network, folder), board)
                yield Run.of(
                    network, at_clock(target.load(board), published.clock_mhz), trace, {published.threads: ms_}
                )


def predicted(run: Run, constants: NDArray[np.float64]) -> dict[int, float]:
    """Milliseconds by the number of threads, DETECTION_POSTPROCESS included."""
    factor, exposure, all_cores, fork, post = map(float, constants)
    assert run.board.cycles is not None
    model = replace(
        run.board.cycles, core_factor=factor, exposure=exposure, exposure_all_cores=all_cores, fork_join_us=fork
    )
    board = replace(run.board, cycles=model)
    whole = {n: sum(cycles.taken(c, board, min(n, most)).whole for c, most in run.operators) for n in run.ms}
    return {n: cycles_ / board.processor.hertz * 1e3 + post * run.anchors / 1e3 for n, cycles_ in whole.items()}


def fitted(networks: list[Run]) -> NDArray[np.float64]:
    """The constants that come closest, in the logarithm; far ones count less than their square."""

    def away(constants: NDArray[np.float64]) -> list[float]:
        found = []
        for run in networks:
            if not run.judges:
                for n, ms in predicted(run, constants).items():
                    found.append((1 if run.anchors else WEIGHT) * float(np.log(ms / run.ms[n])))
        return found

    best: NDArray[np.float64] = least_squares(away, START, bounds=(LEAST, MOST), loss="soft_l1", f_scale=0.1).x
    return best


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    print("| board | network | measured ms, 1 to 4 threads | predicted / measured |\n|---|---|---|---|")
    said = []
    for board in ("rpi4", "rpi5"):
        networks = list(runs(board, folder))
        constants = fitted(networks)
        for run in networks:
            over = predicted(run, constants)
            measured = ", ".join(f"{ms:.4g}" for ms in run.ms.values())
            ratios = ", ".join(f"{over[n] / ms:.2f}" for n, ms in run.ms.items())
            print(f"| {board} | {run.name}{' (judges)' * run.judges} | {measured} | {ratios} |", flush=True)
        factor, exposure, all_cores, fork, post = constants
        said.append(
            f"{board}: core_factor = {factor:.2f}, exposure = {exposure:.2f}, exposure_all_cores = {all_cores:.2f}, "
            f"fork_join_us = {fork:.0f}; DETECTION_POSTPROCESS {post:.2f} us per anchor"
        )
    print("\n".join(["", *said]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
