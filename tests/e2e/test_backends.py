"""``--backend auto`` keeps the fastest backend that passes parity, and says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit import bundle
from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.installed import needed
from tests.networks.small import convolutional, unary

needed("tvm", "tvm")


@pytest.mark.emulator
@pytest.mark.slow
def test_auto_compares_by_the_best_evidence(tmp_path: Path) -> None:
    tflite.write(
        convolutional(np.random.default_rng(0).normal(size=(10, 577)).astype(np.float32)), tmp_path / "n.tflite"
    )
    done = edgekit("compile", "n.tflite", "-t", "rpi5", "-t", "host", "--backend", "auto", "--json", cwd=tmp_path)
    for entry in done.json["bundles"]:
        choice = entry["choice"]
        times = {c["backend"]: c["latency_ms"] for c in choice["candidates"]}
        assert set(times) == {"litert", "tvm", "c99"}
        assert all(value > 0 for value in times.values())
        assert entry["backend"] == min(times, key=times.__getitem__)
        assert choice["evidence"] == ("emulator" if entry["target"] == "rpi5" else "host")
        made = bundle.load(tmp_path / entry["path"])
        assert made.manifest["choice"] == choice
        assert not made.damaged()
    assert sorted(p.name for p in (tmp_path / "build").iterdir()) == ["n.as-is.host", "n.as-is.rpi5"]


@pytest.mark.emulator
def test_what_only_one_can_needs_no_comparison(tmp_path: Path) -> None:
    tflite.write(unary("SIGN", (1, 8)), tmp_path / "c.tflite")
    done = edgekit("compile", "c.tflite", "-t", "host", "--backend", "auto", "--json", cwd=tmp_path)
    (entry,) = done.json["bundles"]
    assert entry["backend"] == "litert"
    assert entry["choice"]["evidence"] == "only one could"
    assert "SIGN" in next(c["reason"] for c in entry["choice"]["candidates"] if c["backend"] == "tvm")


def test_an_unknown_backend_is_one_line(tmp_path: Path) -> None:
    tflite.write(unary("SIGN", (1, 8)), tmp_path / "c.tflite")
    done = edgekit("compile", "c.tflite", "-t", "host", "--backend", "tvn", cwd=tmp_path)
    refused(done, 2, "tvn")
