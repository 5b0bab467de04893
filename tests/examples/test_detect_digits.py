"""The example of a detector keeps its promises, on an emulated board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import edgekit
from tests.examples.demos import decided

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.emulator]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The example's folder, and what it decided."""
    folder = tmp_path_factory.mktemp("detect_digits")
    return folder, decided("detect_digits", folder, "rpi5", "found.jsonl")


def test_digits_are_found_in_int8_with_the_cure(made: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, rows = made
    truth = json.loads((folder / "photos" / "boxes.json").read_text())["annotations"]
    found = sum(len(row["detections"]) for row in rows)
    assert len(rows) == 4 and 0.6 * len(truth) <= found <= 1.4 * len(truth)


def test_diagnose_finds_the_cure_by_average_precision(made: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = made
    data = ("--data", "calibration/boxes.json", "--test", "test/boxes.json", "--recipe", "plain.toml")
    found = edgekit("diagnose", "detector.keras", *data, "--fix", "--target", "rpi5", "--json", cwd=folder).json
    assert found["metric"] == "ap50" and not found["healthy"]
    (judged,) = found["metrics"]
    assert judged["drop"]["low"] > 0.5 and judged["samples"] == 80
    assert found["findings"][0]["cause"] == "joint_scale" and found["findings"][0]["op"] == "CONCATENATION"
    fix = found["fix"]
    assert fix["metric"] == "ap50" and fix["bundle"]["parity"]["ok"] and fix["bundle"]["parity"]["on"] == "emulator"
    assert [step["name"] for step in fix["bundle"]["passes"]] == ["split_scales", "mixed_precision"]
    (after,) = fix["bundle"]["metrics"]
    assert after["drop"]["value"] <= found["max_drop"] < 0.01
