"""GPUs through the command line: shared float networks proven on PoCL, profiled, refused where they must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.tools import toolchain
from tests.e2e.command import edgekit, refused

needs_pocl = pytest.mark.skipif(not toolchain.load("pocl").found(), reason="PoCL is not installed")


@needs_pocl
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "board", "recipe"),
    [
        ("mlperf_tiny/ic_resnet8_fp32", "mali-g610", "as-is"),
        ("mlperf_tiny/ic_resnet8_fp32", "adreno-740", "float16"),
        ("mlperf_tiny/ad01_fp32", "mali-t860", "as-is"),
        ("mlperf_tiny/kws_fp32", "adreno-740", "float32"),
        ("tflite_micro/hello_world_float", "mali-g610", "as-is"),
    ],
)
def test_shared_float_networks(models: Path, tmp_path: Path, name: str, board: str, recipe: str) -> None:
    model = models / f"{name}.tflite"
    (made,) = edgekit(
        "compile", model, "--target", board, "--recipe", recipe, "--out", tmp_path, "--json"
    ).json["bundles"]  # fmt: skip
    assert made["backend"] == "opencl" and made["parity"]["on"] == "pocl" and made["parity"]["by"] == "network"
    assert made["parity"]["max_relative"] < 1e-5 and made["parity"]["top1_flips"] == 0
    assert edgekit("verify", made["path"], "--json").json["ok"]
    profile: Any = edgekit("profile", made["path"], "--on", "pocl", "--json").json
    assert profile["source"] == "emulator" and profile["target"] == board
    for row in profile["operators"]:
        assert row["index"] is not None and row["kernels"] and row["bound"] in ("compute", "memory", "overhead")
        assert row["counts"]["launches"] >= 1 and row["counts"]["written_bytes"] > 0
        assert row["counts"]["flops"] >= 2 * row["macs"]
    assert sum(row["latency_ms"] for row in profile["operators"]) == pytest.approx(profile["latency_ms"]["value"])


def test_integer_networks_are_refused(models: Path, tmp_path: Path) -> None:
    for name in ("kws_int8", "kws_fp32"):  # the second has integer weights
        model = models / "mlperf_tiny" / f"{name}.tflite"
        result = edgekit("compile", model, "--target", "mali-g610", "--out", tmp_path)
        refused(result, 3, "mali-g610", "--recipe float16 or float32")
    assert list(tmp_path.iterdir()) == []


def test_a_board_is_told_from_a_gpu(models: Path, tmp_path: Path) -> None:
    model = models / "mlperf_tiny" / "ic_resnet8_fp32.tflite"
    refused(
        edgekit("compile", model, "--target", "rpi5", "--backend", "opencl", "--out", tmp_path),
        2, "the backend 'opencl' does not support rpi5",
    )  # fmt: skip
    estimate = edgekit("profile", model, "--target", "adreno-740", "--json").json
    assert estimate["source"] == "estimate" and estimate["latency_ms"]["low"] < estimate["latency_ms"]["high"]


@needs_pocl
def test_other_runners_name_the_one_that_can(models: Path, tmp_path: Path) -> None:
    model = models / "tflite_micro" / "hello_world_float.tflite"
    (made,) = edgekit("compile", model, "--target", "mali-t860", "--out", tmp_path, "--json").json["bundles"]
    for runner, word in (("emulator", "no emulator"), ("host", "compiled for aarch64")):
        refused(edgekit("profile", made["path"], "--on", runner), 6, word, "--on pocl")
    (ran,) = [edgekit("run", made["path"], "--data", "random", "--limit", "3", "--json").json]
    assert ran["on"] == "pocl" and ran["samples"] == 3 and ran["latency_ms"] is None
