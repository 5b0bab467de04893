"""The examples that hear keep their promises, on an emulated board."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.examples.demos import decided

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.emulator]


def test_a_broken_machine_is_heard(tmp_path: Path) -> None:
    found = decided("anomaly", tmp_path)
    assert [one["sample"] for one in found if not one["anomalous"]] == ["normal.wav"]


def test_words_are_understood(tmp_path: Path) -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    assert len(decided("speech_commands", tmp_path)) >= 10
