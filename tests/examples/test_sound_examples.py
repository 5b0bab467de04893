"""The examples that hear keep their promises, on an emulated board."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit import target
from edgekit.errors import ToolMissing
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.installed import needed

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.emulator]


def decided(name: str, out: Path) -> list[dict[str, object]]:
    """Run an example; return what was decided on the board."""
    needed("tensorflow", "train")
    try:
        tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi4"))
    except ToolMissing as error:
        pytest.skip(str(error))
    command = [sys.executable, EXAMPLES / name / "demo.py", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall("^   ok  ", done.stdout, re.MULTILINE)) == 4
    return [json.loads(line) for line in (out / "decided.jsonl").read_text().splitlines()]


def test_a_broken_machine_is_heard(tmp_path: Path) -> None:
    found = decided("anomaly", tmp_path)
    assert [one["sample"] for one in found if not one["anomalous"]] == ["normal.wav"]


def test_words_are_understood(tmp_path: Path) -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    assert len(decided("speech_commands", tmp_path)) >= 10
