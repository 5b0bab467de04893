"""Plots: real files of each format, the same bytes each time, refusals before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit import target
from edgekit.data import picture
from edgekit.errors import UsageError
from edgekit.profiling import plot, registry
from tests.networks.small import dense

PROFILE = registry.estimate(dense(np.ones((8, 8), np.float32), np.zeros(8, np.float32)), target.load("rpi4"), {})
MAGIC = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}


@pytest.mark.parametrize("ending", picture.FORMATS)
def test_formats(tmp_path: Path, ending: str) -> None:
    first, second = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    plot.draw(PROFILE, first)
    plot.draw(PROFILE, second)
    assert first.read_bytes().startswith(MAGIC[ending])
    assert first.read_bytes() == second.read_bytes()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot plot"):
        picture.check_plot(tmp_path / "x.bmp")
    with pytest.raises(UsageError, match="no folder"):
        picture.check_plot(tmp_path / "nowhere" / "x.svg")
