"""Trainings in processes of their own, for tests to kill; what is below a process, and whether it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.graph import tflite
from tests.networks.small import classifier, digits

PROGRAM = Path(__file__).with_name("train_once.py")


def start(folder: Path, out: str, *, workers: int | str = 1, epochs: int = 40) -> subprocess.Popen[str]:
    """Train in a process of its own."""
    model, samples = folder / "model.tflite", folder / "data.npz"
    if not model.exists():
        x, y = digits(400, 1)
        np.savez(samples, x=x[..., None], y=y)
        tflite.write(classifier(folder, 300), model)
    command = [sys.executable, str(PROGRAM), str(model), str(samples), str(folder / out), str(workers), str(epochs)]
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=os.environ | {"PYTHONPATH": root})


def until(true: Callable[[], Any], seconds: float = 300) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError("it never happened")


def below(pid: int) -> list[int]:
    """All descendants of a process."""
    try:
        direct = [int(p) for file in Path(f"/proc/{pid}/task").glob("*/children") for p in file.read_text().split()]
    except OSError:
        return []
    return [p for child in direct for p in (child, *below(child))]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
