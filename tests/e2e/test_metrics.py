"""``compile --metric``: a network judged by its task's metrics, before and after a recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import tflite
from edgekit.metrics.tasks import NAMES, registry
from tests.e2e.command import edgekit, refused
from tests.networks.small import classifier, dense, digits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metrics")
    tflite.write(classifier(folder), folder / "digits.tflite")
    x, y = digits(200, seed=7)
    np.savez(folder / "digits.npz", x=x, y=y)
    np.savez(folder / "bare.npz", x=x)
    weights = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    tflite.write(dense(weights, np.zeros(2, np.float32)), folder / "numbers.tflite")
    rows = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    np.savez(folder / "numbers.npz", x=rows, y=rows @ weights.T + 0.5)
    (folder / "own.py").write_text(
        "import numpy as np\n"
        "def near(outputs, y):\n    return (np.abs(outputs[0].reshape(y.shape) - y) < 0.6).all(axis=1)\n"
        "def short(outputs, y):\n    return [1.0]\n"
    )
    return folder


def compiled(folder: Path, model: str, data: str, *more: str) -> dict:
    bundle = edgekit("compile", model, "-t", "host", "--data", data, "-o", "out", "--json", *more, cwd=folder)
    return bundle.json["bundles"][0]


def test_a_classifier_before_and_after_int8(folder: Path) -> None:
    metrics = [each for name in ("top1", "top5", "f1", "auc") for each in ("--metric", name)]
    made = compiled(folder, "digits.tflite", "digits.npz", "-r", "int8", *metrics)
    found = {row["name"]: row for row in made["metrics"]}
    assert list(found) == ["top1", "top5", "f1", "auc"]
    assert found["top1"]["before"]["value"] == pytest.approx(made["accuracy"]["float"])
    assert found["top1"]["after"]["value"] == pytest.approx(made["accuracy"]["compiled"])
    for row in found.values():
        assert row["samples"] == 200
        assert row["higher_is_better"]
        assert row["after"]["low"] <= row["after"]["value"] <= row["after"]["high"] <= 1
        assert row["drop"]["value"] == pytest.approx(row["before"]["value"] - row["after"]["value"])
        assert row["drop"]["low"] <= row["drop"]["value"] <= row["drop"]["high"] < 0.05
    assert found["auc"]["before"]["value"] > 0.97
    assert found["top5"]["before"]["value"] >= found["top1"]["before"]["value"]


def test_a_regression_and_ones_own_metric(folder: Path) -> None:
    named = ["--metric", "mae", "--metric", "rmse", "--metric", "own:near"]
    made = compiled(folder, "numbers.tflite", "numbers.npz", *named)
    absolute, squared, near = made["metrics"]
    assert made["accuracy"] is None
    assert absolute["before"]["value"] == pytest.approx(0.5, abs=1e-4)
    assert squared["before"]["value"] == pytest.approx(0.5, abs=1e-4)
    assert not absolute["higher_is_better"]
    assert near["after"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    said = edgekit(
        "compile", "numbers.tflite", "-t", "host", "--data", "numbers.npz", "-o", "said", "--metric", "mae", cwd=folder
    )
    assert "mae (50 samples): 0.5 before, 0.5 compiled" in said.out + said.err


@pytest.mark.parametrize(
    ("model", "data", "metric", "words"),
    [
        ("digits.tflite", "digits.npz", "map", "top1, top5, f1, auc, mae"),
        ("digits.tflite", "digits.npz", "nowhere:mine", "No module named 'nowhere'"),
        ("digits.tflite", "digits.npz", "own:missing", "has no attribute 'missing'"),
        ("numbers.tflite", "numbers.npz", "own:short", "there are 50 samples"),
        ("digits.tflite", "bare.npz", "f1", "--test or --data with x and y"),
        ("digits.tflite", "digits.npz", "mae", "each of the first output's 10"),
        ("digits.tflite", "digits.npz", "miou", "[samples, height, width]"),
        ("numbers.tflite", "numbers.npz", "auc", "y must be classes"),
    ],
)
def test_metrics_that_do_not_fit_are_refused(folder: Path, model: str, data: str, metric: str, words: str) -> None:
    done = edgekit("compile", model, "-t", "host", "--data", data, "--metric", metric, "-o", "none", cwd=folder)
    refused(done, 2, words)
    assert not (folder / "none").exists() or not any((folder / "none").iterdir())


def test_the_help_names_every_metric() -> None:
    assert tuple(registry.METRICS) == NAMES
