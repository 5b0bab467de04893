"""``compress --metric``: a detector and a regression, judged by what they are for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.e2e.detector_files import detector
from tests.networks.small import classifier, dense, digits


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    rng = np.random.default_rng(3)
    detector(folder / "detector", rng)
    weights = rng.normal(size=(2, 4)).astype(np.float32)
    tflite.write(dense(weights, np.zeros(2, np.float32)), folder / "numbers.tflite")
    rows = rng.normal(size=(240, 4)).astype(np.float32)
    np.savez(folder / "numbers.npz", x=rows, y=rows @ weights.T + rng.normal(0, 0.3, (240, 2)))
    np.savez(folder / "bare.npz", x=rows)
    tflite.write(classifier(folder), folder / "digits.tflite")
    x, y = digits(120, seed=7)
    np.savez(folder / "digits.npz", x=x, y=y)
    return folder


def searched(place: Path, model: str, data: str, *more: str) -> tuple[str, ...]:
    return ("compress", model, "--data", data, "--target", "host", "--trials", "5", "--finalists", "2", *more)


def test_a_detector_is_judged_by_its_boxes(place: Path) -> None:
    given = searched(
        place, "detector/model.tflite", "detector/photos/boxes.json", "--metric", "ap50", "-o", "boxes",
        "--budget", "metric-drop=0.3", "--plot", "boxes.svg",
    )  # fmt: skip
    done = edgekit(*given, cwd=place)
    said = done.out + done.err
    assert "ap50" in said and "ap50 lost" in said and "accuracy" not in said and "points" not in said, said
    front = json.loads((place / "boxes" / "front.json").read_text())
    assert front["metric"] == "ap50" and front["best"]
    assert len(front["finalists"]) == 3
    for row in front["finalists"]:
        assert row["accuracy"] is None
        metric = row["metric"]
        assert metric["name"] == "ap50" and metric["samples"] == front["data"]["test"]["samples"] == 30
        assert 0 < metric["after"]["low"] <= metric["after"]["value"] <= metric["after"]["high"] <= 1
        assert row["budgets"]["metric-drop"]["value"] == pytest.approx(metric["drop"]["value"])
        assert row["budgets"]["metric-drop"]["holds"]
    for one in front["search"]["candidates"]:
        assert list(one["drops"]) == ["metric-drop"]
    assert (place / "boxes.svg").read_text().count("<path") > 3


def test_a_regression_on_rows_and_the_bound_of_its_recipe(place: Path) -> None:
    given = searched(
        place, "numbers.tflite", "numbers.npz", "--metric", "mae", "-o", "rows", "--budget", "metric-drop=0.05"
    )
    front = edgekit(*given, "--json", cwd=place).json
    whole = front["finalists"][0]["metric"]
    assert not whole["higher_is_better"] and whole["drop"]["value"] == 0
    assert whole["after"]["value"] == pytest.approx(0.3 * (2 / np.pi) ** 0.5, abs=0.05)
    assert front["ok"]
    path = place / next(row["recipe"] for row in front["finalists"] if row["recipe"])
    text = path.read_text()
    assert 'metric = "mae"' in text and "metric_drop = 0.05" in text and "--metric mae" in text
    again = ("compile", "numbers.tflite", "-t", "host", "--data", "numbers.npz", "-o", "again", "--json", "-r")
    made = edgekit(*again, str(path), cwd=place).json["bundles"][0]
    assert made["metrics"][0]["name"] == "mae"
    tight = place / "tight.toml"
    tight.write_text(
        'schema = 1\ndescription = "x"\n[[pass]]\nname = "quantize"\nweights = "int4"\n'
        '[bounds]\nmetric = "mae"\nmetric_drop = 0.00001\n'
    )
    refused(edgekit(*again, str(tight), cwd=place), 5, "more than its bound metric_drop=1e-05")
    wrong = place / "wrong.toml"
    wrong.write_text(text.replace('"mae"', '"os:system"'))
    refused(edgekit(*again, str(wrong), cwd=place), 2, "metric is one of")


@pytest.mark.parametrize(
    ("model", "data", "more", "words"),
    [
        ("numbers.tflite", "bare.npz", ("--metric", "mae"), "needs to know what is right"),
        ("numbers.tflite", "numbers.npz", ("--metric", "ap50"), "it is for detectors"),
        ("digits.tflite", "digits.npz", ("--metric", "mae"), "each of the first output's 10"),
        ("digits.tflite", "digits.npz", ("--metric", "map"), "there is no metric 'map'"),
        ("digits.tflite", "digits.npz", ("--budget", "metric-drop=1"), "name one with --metric"),
        ("digits.tflite", "digits.npz", ("--metric", "f1", "--budget", "class-drop=1"), "bound metric-drop"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    place: Path, model: str, data: str, more: tuple[str, ...], words: str
) -> None:
    refused(edgekit(*searched(place, model, data, "-o", "none", *more), cwd=place), 2, words)
