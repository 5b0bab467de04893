"""The example of a detector keeps its promises; int8 keeps its average precision, or says if not.

Its boxes, in pixels, and its scores are in one output. It is trained once for all tests: by the example, where that can
be run on an emulated board.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit.graph import tflite
from edgekit.progress import Silent
from tests.examples.demos import decided, lacking
from tests.installed import needed
from tests.networks.detector import average_precision, scenes

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]
PLAIN = """schema = 1
description = "int8 without split_scales"
needs_data = true
[[pass]]
name = "quantize"
"""


BOARD = "rpi5"
SETS = (3, 4, 5, 6)
"""Seeds of scenes to judge by: precision is read at 101 recalls, so that in one set a box can be worth a point."""


class Warnings(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder where the example ran, and what it found in each photo."""
    folder = tmp_path_factory.mktemp("example")
    return folder, decided("detect_digits", folder, BOARD, "found.jsonl")


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``detector.keras``, ``scenes.npz`` for the ranges, ``test*.npz`` to judge by, ``plain.toml``."""
    needed("tensorflow", "train")
    folder = tmp_path_factory.mktemp("detector")
    if lacking(BOARD):
        program = Path(__file__).parents[1] / "networks" / "detector.py"
        subprocess.run([sys.executable, str(program), str(folder)], check=True, stdout=subprocess.DEVNULL, timeout=600)
    else:
        ran, _ = request.getfixturevalue("example")
        shutil.copyfile(ran / "detector.keras", folder / "detector.keras")
    np.savez(folder / "scenes.npz", x=scenes(100, seed=2)[0])
    for seed in SETS:
        np.savez(folder / f"test{seed}.npz", x=scenes(600, seed)[0])
    (folder / "plain.toml").write_text(PLAIN)
    return folder


@pytest.mark.emulator
def test_digits_are_found_in_int8_with_the_cure(example: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, rows = example
    truth = json.loads((folder / "photos" / "boxes.json").read_text())["annotations"]
    found = sum(len(row["detections"]) for row in rows)
    assert len(rows) == 4 and 0.6 * len(truth) <= found <= 1.4 * len(truth)


def precision(folder: Path, bundle: Path) -> float:
    """The mean over the sets."""
    return float(np.mean([precision_of(folder, bundle, seed) for seed in SETS]))


def precision_of(folder: Path, bundle: Path, seed: int) -> float:
    edgekit.run(bundle, data=str(folder / f"test{seed}.npz"), save=bundle.parent / "outputs.npz")
    with np.load(bundle.parent / "outputs.npz") as archive:
        outputs = archive["output0"]
    (tensor,) = tflite.read(bundle / "model.tflite").outputs
    if tensor.quantization is not None and tensor.has_scale:
        outputs = tensor.quantization.dequantize(outputs)
    return average_precision(outputs.reshape(len(outputs), -1, 5), scenes(600, seed)[1])


def made(folder: Path, out: Path, recipe: str) -> tuple[Path, list[str]]:
    progress = Warnings()
    data = None if recipe == "as-is" else str(folder / "scenes.npz")
    bundle = edgekit.compile(
        folder / "detector.keras", recipe=recipe, targets=["host"], data=data, out=out, progress=progress
    )[0]
    return Path(bundle.path), progress.said


def test_int8_is_within_a_point_of_float(trained: Path, tmp_path: Path) -> None:
    real = precision(trained, made(trained, tmp_path, "as-is")[0])
    assert real > 0.9
    bundle, said = made(trained, tmp_path, "int8")
    assert precision(trained, bundle) > real - 0.01
    assert any("channel 4 of axis 2" in words and "CONCATENATION" in words for words in said)


def test_one_scale_for_all_is_said_and_cured(trained: Path, tmp_path: Path) -> None:
    real = precision(trained, made(trained, tmp_path, "as-is")[0])
    bundle, said = made(trained, tmp_path, str(trained / "plain.toml"))
    assert precision(trained, bundle) < 0.5
    assert any("channel 4 of axis 2 span less than 4 steps, under one scale that CONCATENATION" in w for w in said)
    found = edgekit.diagnose(
        trained / "detector.keras", data=str(trained / "scenes.npz"), recipe=str(trained / "plain.toml"), fix=True,
        out=tmp_path / "fixed",
    )  # fmt: skip
    assert not found.diagnosis.healthy
    assert found.diagnosis.findings[0].cause == "joint_scale" and found.diagnosis.findings[0].op == "CONCATENATION"
    assert found.fixed is not None
    assert precision(trained, Path(found.fixed.bundle.path)) > real - 0.01
