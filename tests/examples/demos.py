"""Runs an example as a user would, on an emulated board."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit import target
from edgekit.errors import ToolMissing
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.installed import needed

EXAMPLES = Path(__file__).parents[2] / "examples"


def decided(name: str, out: Path, board: str = "rpi4", lines: str = "decided.jsonl") -> list[dict[str, Any]]:
    """Run an example, which must keep its four promises; return what was decided, as it wrote it to ``lines``."""
    needed("tensorflow", "train")
    if reason := lacking(board):
        pytest.skip(reason)
    command = [sys.executable, EXAMPLES / name / "demo.py", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall("^   ok  ", done.stdout, re.MULTILINE)) == 4
    return [json.loads(line) for line in (out / lines).read_text().splitlines()]


def lacking(board: str) -> str:
    """What is missing to emulate a board, in words; empty if nothing is."""
    try:
        tracing.emulator("qemu-aarch64"), sysroot.get(target.load(board))
    except ToolMissing as error:
        return str(error)
    return ""
