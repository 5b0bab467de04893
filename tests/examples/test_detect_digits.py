"""The example of a detector keeps its promises, on an emulated board."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit import target
from edgekit.errors import ToolMissing
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.installed import needed

EXAMPLE = Path(__file__).parents[2] / "examples" / "detect_digits"


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.emulator
def test_digits_are_found_in_int8_with_the_cure(tmp_path: Path) -> None:
    needed("tensorflow", "train")
    try:
        tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi5"))
    except ToolMissing as error:
        pytest.skip(str(error))
    command = [sys.executable, EXAMPLE / "demo.py", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall("^   ok  ", done.stdout, re.MULTILINE)) == 4
    rows = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    truth = json.loads((tmp_path / "photos" / "boxes.json").read_text())["annotations"]
    found = sum(len(row["detections"]) for row in rows)
    assert len(rows) == 4 and 0.6 * len(truth) <= found <= 1.4 * len(truth)
