"""The example of a detector keeps its promises, on an emulated board."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.examples.demos import decided


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.emulator
def test_digits_are_found_in_int8_with_the_cure(tmp_path: Path) -> None:
    rows = decided("detect_digits", tmp_path, "rpi5", "found.jsonl")
    truth = json.loads((tmp_path / "photos" / "boxes.json").read_text())["annotations"]
    found = sum(len(row["detections"]) for row in rows)
    assert len(rows) == 4 and 0.6 * len(truth) <= found <= 1.4 * len(truth)
