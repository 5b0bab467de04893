"""Every shared network, in any format, becomes a proven bundle for a Raspberry Pi 4."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import SHARED_TFLITE
from tests.e2e.command import edgekit

pytestmark = pytest.mark.emulator


@pytest.mark.parametrize("path", SHARED_TFLITE, ids=lambda p: p.stem)
def test_tflite(path: Path, tmp_path: Path) -> None:
    made = edgekit("compile", path, "-t", "rpi4", "-o", tmp_path, "--json").json["bundles"][0]
    assert made["parity"]["ok"]
    verified = edgekit("verify", made["path"], "--on", "emulator", "--json").json
    assert verified["ok"]
    assert verified["parity"]["on"] == "emulator"


@pytest.mark.slow
@pytest.mark.tensorflow
def test_legacy_h5(models: Path, tmp_path: Path) -> None:
    """The .h5 gives the network that MLPerf's own conversion gave."""
    model = models / "mlperf_tiny" / "ic_resnet8.h5"
    made = edgekit("compile", model, "-t", "rpi4", "-o", tmp_path, "--json").json["bundles"][0]
    assert made["parity"]["ok"]
    assert made["parity"]["max_relative"] < 1e-4
    assert edgekit("inspect", made["path"], "--json").json["macs"] == 12_501_632


@pytest.mark.slow
@pytest.mark.usefixtures("onnx_converter")
def test_onnx(models: Path, tmp_path: Path) -> None:
    model = models / "onnx" / "magika.onnx"
    made = edgekit("compile", model, "-t", "rpi4", "-o", tmp_path, "--json").json["bundles"][0]
    assert made["parity"]["ok"]
    assert edgekit("verify", made["path"], "--json").json["ok"]
