"""The benchmark of compression runs: really trained, really measured, a little of everything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installed import needed

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.tensorflow
def test_quick() -> None:
    needed("tensorflow", "train")
    page = (ROOT / "docs" / "compression.md").read_text()
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "compression.py", "--quick"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    accuracy = {row[1]: float(row[2]) for row in rows if re.fullmatch(r"[\d.]+", row[2]) and row[0] == "MNIST example"}
    assert accuracy["float32"] > 60  # 800 digits, once
    assert accuracy["`quantize`: int8"] > accuracy["float32"] - 3
    assert accuracy["`prune`, then `distil`"] > 50
    sizes = {row[1]: float(row[6]) for row in rows if len(row) == 9 and row[6].isdecimal()}
    assert sizes["`prune`, `distil`, then `quantize`: int8"] < sizes["`quantize`: int8"] < sizes["float32"] / 3
    costs = {row[1]: row for row in rows if row[1] in ("Keras, `model.fit`", "edgekit, `finetune`")}
    assert all(float(row[2]) > 0 for row in costs.values())
    assert len(costs) == 2
    assert (ROOT / "docs" / "compression.md").read_text() == page
