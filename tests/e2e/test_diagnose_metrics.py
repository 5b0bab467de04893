"""``diagnose`` by the metric of a task, from the command line: a regression, one's own metric, a detector."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.command import edgekit, refused
from tests.e2e.detector_files import detector
from tests.networks.regression import written


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("rows"))


@pytest.mark.parametrize("data", ["rows.npz", "rows.csv", "whole.npz"])
def test_a_regression_is_judged_in_its_unit_and_cured(rows: Path, data: str) -> None:
    """The task's own metric, with the interval of the paired difference; the cure is bounded by it, too."""
    out = Path(f"out-{data}")
    asked = ("diagnose", "ill.tflite", "--task", "mm.toml", "--data", data, "--max-drop", "0.1", "-o", out)
    found = edgekit(*asked, "--fix", "--json", cwd=rows).json
    (judged,) = found["metrics"]
    assert found["metric"] == judged["name"] == "mae" and not judged["higher_is_better"] and judged["samples"] == 300
    assert 0.1 < judged["before"]["value"] < 0.4 and found["accuracy"] == {"float": None, "quantized": None}
    assert found["lost"] == pytest.approx(judged["drop"]["value"]) and found["lost"] > 1
    assert 0.5 < judged["drop"]["low"] < judged["drop"]["value"] < judged["drop"]["high"]
    assert not found["healthy"] and found["findings"][0]["cause"] == "outlier_channels"
    fix = found["fix"]
    assert fix["metric"] == "mae" and fix["lost"] <= 0.1 < fix["lost_before"] and fix["scaled_channels"]
    (after,) = fix["bundle"]["metrics"]
    assert after["name"] == "mae" and after["drop"]["value"] <= 0.1
    assert "--task mm.toml" in fix["command"]
    again = edgekit(*fix["command"].split()[1:], "--out", f"again-{data}", "--json", cwd=rows).json["bundles"][0]
    assert (rows / again["path"] / "model.tflite").read_bytes() == (
        rows / fix["bundle"]["path"] / "model.tflite"
    ).read_bytes()


def test_what_is_lost_of_a_metric_is_said_with_its_interval(rows: Path) -> None:
    asked = ("diagnose", "ill.tflite", "--data", "rows.npz", "--metric", "own:near", "--plot", "own.svg")
    done = edgekit(*asked, cwd=rows)
    assert done.code == 5 and "Traceback" not in done.err
    assert "own:near 0.9" in done.out and "it loses 0." in done.out and " of own:near (0." in done.out
    assert "points" not in done.out and (rows / "own.svg").is_file()
    well = edgekit(
        "diagnose", "well.tflite", "--data", "rows.npz", "--metric", "own:near", "--max-drop", "0.2", cwd=rows
    )
    assert well.code == 0 and "healthy, nothing to do" in well.out


def test_a_bound_by_default_is_half_a_percent_of_what_the_float_network_reaches(rows: Path) -> None:
    asked = ("diagnose", "well.tflite", "--task", "mm.toml", "--data", "rows.npz", "--max-drop")
    found = edgekit(*asked, "1e9", "--json", cwd=rows).json
    assert found["healthy"] and found["max_drop"] == 1e9
    done = edgekit(*asked[:-1], "--json", cwd=rows)
    assert f'"max_drop": {found["metrics"][0]["before"]["value"] * 0.005:.4g}'[:16] in done.out, done.out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--data", "rows.npz", "--metric", "ap50"), "ap50: it is for detectors"),
        (("--data", "bare.npz", "--metric", "mae"), "--test or --data with x and y"),
        (("--data", "rows.npz", "--metric", "nothing"), "there is no metric 'nothing'"),
        (("--data", "rows.npz", "--metric", "auc"), "--metric auc: y must be classes"),
        (("--data", "rows.npz", "--max-drop", "101"), "it is in points, 0 to 100"),
        (("--data", "rows.npz", "--metric", "mae", "--max-drop", "nan"), "it is in mae, 0 or more"),
    ],
)
def test_what_cannot_be_judged_is_refused(rows: Path, more: tuple[str, ...], words: str) -> None:
    refused(edgekit("diagnose", "well.tflite", *more, cwd=rows), 2, words)


def test_a_detector_is_judged_by_its_boxes(tmp_path: Path) -> None:
    """Without ``--metric``: the task of the model's folder says that it is a detector, and its photos have boxes."""
    detector(tmp_path, np.random.default_rng(3))
    found = edgekit(
        "diagnose", "model.tflite", "--data", "photos/boxes.json", "--max-drop", "1", "--json", cwd=tmp_path
    )
    (judged,) = found.json["metrics"]
    assert found.json["metric"] == judged["name"] == "ap50" and found.json["healthy"] and judged["samples"] == 90
    assert 0 < judged["before"]["value"] <= 1 and math.isfinite(found.json["lost"])
