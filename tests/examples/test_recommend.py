"""The example of a network that recommends keeps its promises, on an emulated board."""

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

EXAMPLE = Path(__file__).parents[2] / "examples" / "recommend"


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.emulator
def test_films_are_found_with_int8_tables(tmp_path: Path) -> None:
    needed("tensorflow", "train")
    try:
        tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi4"))
    except ToolMissing as error:
        pytest.skip(str(error))
    command = [sys.executable, EXAMPLE / "demo.py", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall("^   ok  ", done.stdout, re.MULTILINE)) == 4
    rows = [json.loads(line) for line in (tmp_path / "decided.jsonl").read_text().splitlines()]
    assert [len(row["ranked"]) for row in rows] == [5] * 4
