"""Fit a calibration to the user's own board, by measuring a handful of small networks on it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit import bundle as bundles
from edgekit import target as targets
from edgekit.api.compile import compile
from edgekit.api.profile import profile
from edgekit.errors import UsageError
from edgekit.files.documents import write_text
from edgekit.graph import tflite
from edgekit.profiling import Figure
from edgekit.profiling.calibrated import calibration
from edgekit.profiling.calibrated.calibration import Calibration
from edgekit.profiling.calibrated.probes import PROBES
from edgekit.profiling.calibrated.update import updated
from edgekit.profiling.calibrated.work import works
from edgekit.profiling.dtypes import Dtype
from edgekit.progress import Progress, Silent

RECIPES = {Dtype.FLOAT32: ("as-is", None), Dtype.INT8: ("int8", "random")}
REPEAT = 20


@dataclass(frozen=True)
class Probe:
    """One measured network: before, what the calibration of the board's kind expected, ms."""

    name: str
    expected_ms: Figure
    measured_ms: Figure


@dataclass(frozen=True)
class Calibrated:
    """The board's calibration, where it was written, and what it rests on."""

    path: Path
    calibration: Calibration
    probes: tuple[Probe, ...]


def calibrate(
    on: str,
    *,
    target: str,
    out: str | Path,
    dtype: str = Dtype.FLOAT32,
    threads: int | None = None,
    repeat: int = REPEAT,
    probes: Sequence[str] = tuple(PROBES),
    progress: Progress = Silent(),
) -> Calibrated:
    """Measure edgekit's small networks on a board, and fit its costs.

    :param on: the board, as for ``profile`` (``ssh://user@host``). :param target: its kind; its calibration of LiteRT
        is where the fit begins. :param out: the file to write, for ``profile --calibration``.
    :param threads: default: all cores. :param probes: names of the networks to measure.
    :raises UsageError: if nothing was measured on boards of that kind, or ``on`` is no device.
    """
    board = targets.load(target)
    if on in ("estimate", "emulator"):
        raise UsageError(f"--on {on} measures nothing", "name a board: --on ssh://user@host")
    if dtype not in RECIPES:
        raise UsageError(f"boards are not calibrated for {dtype}", f"known: {', '.join(RECIPES)}")
    choice = calibration.choose(target, "litert", Dtype(dtype))
    if choice is None:
        raise UsageError(
            f"nothing was measured on any {target} in {dtype}, so there is nothing to begin with",
            "edgekit targets show lists what is known of a target",
        )
    threads = threads or board.cores
    measured, found = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in probes:
            progress.step(f"measure {name}")
            path = Path(folder) / f"{name}.tflite"
            tflite.write(PROBES[name](), path)
            recipe, data = RECIPES[Dtype(dtype)]
            (made,) = compile(path, targets=[target], recipe=recipe, data=data, backend="litert", out=folder)
            expected = profile(made.path, threads=threads).latency_ms
            latency = profile(made.path, on=on, threads=threads, repeat=repeat).latency_ms
            found.append(Probe(name, expected, latency))
            with bundles.opened(made.path) as bundle:
                measured.append((works(bundle.graph), latency.value))
    fresh = updated(choice.calibration, measured, threads, on)
    destination = Path(out)
    write_text(destination, calibration.text(fresh))
    return Calibrated(destination, fresh, tuple(found))
