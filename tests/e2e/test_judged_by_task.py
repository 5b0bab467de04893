"""Commands judge a network by its task where nothing else is asked: a regression of rows, with groups."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.api.diagnose import diagnose
from tests.e2e.command import Result, edgekit, refused
from tests.e2e.detector_files import detector
from tests.networks import hearing
from tests.networks.regression import written

RECIPE = """schema = 1
description = "int8, bounded"
needs_data = true
[[pass]]
name = "quantize"
[bounds]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("rows"))


def compiled(place: Path, model: str, out: str, *more: str) -> Result:
    given = ("--task", "mm.toml", "--data", "rows.csv", "-t", "host", "-o", out)
    return edgekit("compile", f"{model}.tflite", *given, *more, cwd=place)


def test_compile_reports_the_tasks_metric_by_group_and_warns_of_its_cost(place: Path) -> None:
    made = compiled(place, "ill", "ill", "-r", "int8", "--json").json["bundles"][0]
    (mae,) = made["metrics"]
    assert made["accuracy"] is None and mae["name"] == "mae" and mae["samples"] == 300
    assert [(row["name"], row["samples"]) for row in mae["groups"]] == [("north", 200), ("south", 100)]
    weighed = sum(row["after"]["value"] * row["samples"] for row in mae["groups"]) / 300
    assert weighed == pytest.approx(mae["after"]["value"])
    for row in mae["groups"]:
        assert row["before"]["low"] <= row["before"]["value"] <= row["before"]["high"] < 1
        assert 0.5 < row["drop"]["low"] < row["drop"]["value"] < row["drop"]["high"]
    said = compiled(place, "ill", "said", "-r", "int8")
    assert "warning: the recipe costs" in said.err and "of mae" in said.err
    assert "edgekit diagnose ill.tflite --data rows.csv --task mm.toml --metric mae --fix" in said.err
    well = compiled(place, "well", "well", "-r", "int8")
    assert "mae (300 samples): " in well.out + well.err


def test_a_budget_bounds_the_tasks_metric_without_its_name(place: Path) -> None:
    refused(compiled(place, "ill", "none", "-r", "int8", "--budget", "metric-drop=0.1"), 5, "of mae", "metric-drop=0.1")
    assert not (place / "none").exists()
    assert compiled(place, "well", "kept", "-r", "int8", "--budget", "metric-drop=0.1").code == 0


@pytest.mark.parametrize(
    ("bounds", "code", "words"),
    [
        ('metric = "mae"\nmetric_group_drop = 0.1', 5, ("costs group ", " of mae", "metric_group_drop=0.1")),
        ('metric = "mae"\nmetric_drop = 0.1', 5, ("of mae", "metric_drop=0.1")),
        ("accuracy_drop = 1", 2, ("needs labels", "metric and metric_drop")),
        ("metric_group_drop = 0.1", 2, ("metric_group_drop",)),
        ('metric = "mae"\nmetric_group_drop = -1', 2, ("metric_group_drop is -1",)),
    ],
)
def test_a_recipe_bounds_a_metric_of_all_or_of_any_group(
    place: Path, bounds: str, code: int, words: tuple[str, ...]
) -> None:
    (place / "bounded.toml").write_text(RECIPE + bounds + "\n")
    refused(compiled(place, "ill", "bounded", "-r", "bounded.toml"), code, *words)
    assert not (place / "bounded").exists()


def test_bounds_on_groups_need_groups_and_hold_of_a_healthy_network(place: Path) -> None:
    (place / "held.toml").write_text(RECIPE + 'metric = "mae"\nmetric_group_drop = 0.2\n')
    assert compiled(place, "well", "held", "-r", "held.toml").code == 0
    given = ("--task", "mm.toml", "--data", "rows.npz", "-t", "host", "-r", "held.toml")
    refused(edgekit("compile", "well.tflite", *given, cwd=place), 2, "metric_group_drop, which needs groups")


def test_mixed_precision_keeps_what_the_task_is_judged_by(place: Path) -> None:
    made = compiled(place, "ill", "mixed", "-r", "mixed", "--json").json["bundles"][0]
    (searched,) = [row for row in made["passes"] if row["name"] == "mixed_precision"]
    assert searched["metric"] == "mae"
    before = made["metrics"][0]["before"]["value"]
    assert searched["lost"] <= 0.005 * before < searched["lost_before"]


def test_run_and_compare_show_it(place: Path) -> None:
    bundle = compiled(place, "well", "shown", "-r", "int8", "--json").json["bundles"][0]
    ran = edgekit("run", bundle["path"], "--data", "rows.csv", "--json", cwd=place).json
    assert ran["accuracy"] is None and ran["metric"]["name"] == "mae" and not ran["metric"]["higher_is_better"]
    assert ran["metric"]["value"] == pytest.approx(bundle["metrics"][0]["after"]["value"])
    assert ran["metric"]["low"] < ran["metric"]["value"] < ran["metric"]["high"] and ran["metric"]["samples"] == 300
    assert "mae (300 samples): " in edgekit("run", bundle["path"], "--data", "rows.csv", cwd=place).out
    assert edgekit("run", bundle["path"], "--json", cwd=place).json["metric"] is None
    assert "mae 0." in edgekit("compare", bundle["path"], cwd=place).out
    (row,) = edgekit("compare", bundle["path"], "--json", cwd=place).json["rows"]
    assert row["metrics"][0]["name"] == "mae"


def test_compress_judges_by_it(place: Path) -> None:
    given = (
        "--task",
        "mm.toml",
        "--data",
        "rows.csv",
        "-t",
        "host",
        "--trials",
        "2",
        "--finalists",
        "1",
        "-o",
        "found",
    )
    done = edgekit("compress", "well.tflite", *given, "-o", "found", "--budget", "metric-drop=5", cwd=place)
    assert "mae lost" in done.out, done.err
    front = json.loads((place / "found" / "front.json").read_text())
    assert front["metric"] == "mae"
    refused(
        edgekit("compress", "well.tflite", *given, "--budget", "accuracy-drop=1", cwd=place), 2, "--metric mae judges"
    )


def test_a_detector_is_judged_by_its_boxes(tmp_path: Path) -> None:
    detector(tmp_path, np.random.default_rng(3))
    given = ("--data", "photos/boxes.json", "-t", "host", "-o", "out", "-r", "int8", "--json")
    bundle = edgekit("compile", "model.tflite", *given, cwd=tmp_path).json["bundles"][0]
    assert [one["name"] for one in bundle["metrics"]] == ["ap50"]
    ran = edgekit("run", bundle["path"], "--data", "photos/boxes.json", "--json", cwd=tmp_path).json
    assert ran["metric"]["name"] == "ap50"
    assert ran["metric"]["value"] == pytest.approx(bundle["metrics"][0]["after"]["value"])
    unannotated = edgekit("run", bundle["path"], "--data", "photos", "--json", cwd=tmp_path).json
    assert unannotated["metric"] is None


def test_samples_on_which_it_has_no_value_are_no_reason_to_stop(tmp_path: Path) -> None:
    """Recordings of a machine that is well calibrate, and say nothing of the area under the curve."""
    model, data = hearing.written(tmp_path, "anomaly"), tmp_path / "data"
    (data / "normal").mkdir(parents=True)
    for number in range(2):
        (data / "normal" / f"{number}.wav").write_bytes(hearing.wav(hearing.tone(500, 2500, number)))
    given = (model, "--data", data, "-r", "int8", "-o", tmp_path / "out")
    made = edgekit("compile", *given, "-t", "host", "--backend", "c99")
    assert made.code == 0 and "auc is not defined on these samples" in made.err and "auc" not in made.out
    words = "auc is not defined on these samples"
    refused(edgekit("compile", *given, "-t", "host", "--budget", "metric-drop=0.1"), 2, words)
    refused(edgekit("diagnose", *given, "--metric", "auc"), 2, words)
    found = edgekit("diagnose", *given)
    assert found.code == 0 and "auc is not defined on these samples" in found.err and "healthy" in found.out


def test_a_fix_is_searched_for_on_samples_that_say_what_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of them may be of one class."""
    monkeypatch.setattr("edgekit.api.diagnose.search_samples", lambda graph: 1)
    model, data = hearing.written(tmp_path, "anomaly"), hearing.recordings(tmp_path / "data", "anomaly")
    found = diagnose(model, data=str(data), fix=True, target="host", out=tmp_path / "out")
    assert found.fixed is not None and found.fixed.cure.real.mark is not None
