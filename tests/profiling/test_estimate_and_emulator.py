"""Two independent models of one board agree: the emulator's latency lies inside the estimate's interval."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.api.compile import compile
from edgekit.api.profile import profile

NETWORKS = (
    "mlperf_tiny/ad01_int8",
    "mlperf_tiny/kws_fp32",
    "mlperf_tiny/ic_resnet8_int8",
    "tflite_micro/person_detect",
)


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("name", NETWORKS)
def test_the_emulator_lies_inside_the_estimate(models: Path, tmp_path: Path, name: str) -> None:
    for made in compile(models / f"{name}.tflite", targets=["rpi4", "rpi5"], out=tmp_path):
        estimate, emulated = (profile(made.path, on=where).latency_ms for where in ("estimate", "emulator"))
        assert estimate.low <= emulated.value <= estimate.high, made.target


@pytest.mark.emulator
@pytest.mark.parametrize("name", ["mlperf_tiny/ad01_fp32", "mlperf_tiny/ic_resnet8_fp32"])
def test_so_it_does_with_int16_activations(models: Path, tmp_path: Path, name: str) -> None:
    options = {"targets": ["rpi4"], "recipe": "int8-w-int16-a", "data": "random"}
    (made,) = compile(models / f"{name}.tflite", out=tmp_path, **options)
    estimate, emulated = (profile(made.path, on=where).latency_ms for where in ("estimate", "emulator"))
    assert estimate.low <= emulated.value <= estimate.high
