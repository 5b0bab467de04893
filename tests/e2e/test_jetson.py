"""Jetson's GPUs through the command line: shared networks as CUDA kernels and as a hand-over to TensorRT."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.backends.cuda import CUBIN, cubin
from edgekit.tools import toolchain
from tests.e2e.command import edgekit, refused

BOARDS = {"jetson-orin-nano": "sm_87", "jetson-agx-xavier": "sm_72"}
needs_nvrtc = pytest.mark.skipif(
    not (toolchain.load("nvrtc").found() and toolchain.load("host-cxx").found()), reason="no NVRTC or no C++ compiler"
)


@needs_nvrtc
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "recipe"),
    [("ic_resnet8_fp32", "as-is"), ("ic_resnet8_fp32", "float16"), ("kws_fp32", "float32"), ("ad01_fp32", "as-is")],
)
def test_shared_float_networks_as_kernels(models: Path, tmp_path: Path, name: str, recipe: str) -> None:
    model = models / "mlperf_tiny" / f"{name}.tflite"
    both = [part for board in BOARDS for part in ("--target", board)]
    bundles = edgekit("compile", model, *both, "--recipe", recipe, "--out", tmp_path, "--json").json["bundles"]
    assert [made["target"] for made in bundles] == list(BOARDS)
    for made in bundles:
        assert made["backend"] == "cuda" and made["parity"]["on"] == "cuda-emulator"
        assert made["parity"]["by"] == "network" and made["parity"]["max_relative"] < 1e-5
        assert made["parity"]["top1_flips"] == 0
        image = (Path(made["path"]) / "artifact" / CUBIN).read_bytes()
        assert cubin.read(image).arch == BOARDS[made["target"]]
    assert edgekit("verify", bundles[0]["path"], "--json").json["ok"]
    profile = edgekit("profile", bundles[1]["path"], "--on", "cuda-emulator", "--json").json
    assert profile["source"] == "emulator" and profile["target"] == "jetson-agx-xavier"
    for row in profile["operators"]:
        assert row["index"] is not None and row["counts"]["launches"] >= 1 and row["counts"]["flops"] >= 2 * row["macs"]


@pytest.mark.parametrize(
    ("name", "recipe", "backend", "precision"),
    [("ic_resnet8_fp32", "as-is", "tensorrt", "float32"), ("ic_resnet8_int8", "symmetric", "tensorrt", "int8"),
     ("ic_resnet8_fp32", "as-is", "tensorrt-f16", "float16"), ("kws_int8", "symmetric", "tensorrt", "int8")],
)  # fmt: skip
def test_shared_networks_for_tensorrt(
    models: Path, tmp_path: Path, name: str, recipe: str, backend: str, precision: str
) -> None:
    model = models / "mlperf_tiny" / f"{name}.tflite"
    (made,) = edgekit(
        "compile", model, "--target", "jetson-orin-nano", "--backend", backend, "--recipe", recipe, "--out", tmp_path,
        "--json",
    ).json["bundles"]  # fmt: skip
    assert made["backend"] == backend and made["parity"]["ok"] and made["parity"]["on"] == "onnx"
    if precision == "float32":
        assert made["parity"]["max_relative"] < 1e-5
    artifact = Path(made["path"]) / "artifact"
    assert json.loads((artifact / "shapes.json").read_text())["precision"] == precision
    assert sorted(p.name for p in artifact.iterdir()) == ["build.sh", "check.py", "model.onnx", "shapes.json"]
    assert "sh artifact/build.sh" in (Path(made["path"]) / "README.md").read_text()
    assert edgekit("verify", made["path"], "--json").json["ok"]
    refused(edgekit("verify", made["path"], "--on", "ssh://nobody@127.0.0.1"), 6, "built and checked on the device")
    refused(edgekit("profile", made["path"], "--on", "onnx"), 2, "measures no time")


def test_integer_networks_are_refused_with_the_cure(models: Path, tmp_path: Path) -> None:
    model = models / "mlperf_tiny" / "ic_resnet8_int8.tflite"
    for backend, words in (("cuda", ("integer networks", "float16 or float32")),
                           ("tensorrt", ("zero point", "--recipe symmetric"))):  # fmt: skip
        result = edgekit(
            "compile", model, "--target", "jetson-orin-nano", "--backend", backend, "--out", tmp_path / "b"
        )
        refused(result, 3, *words)
    refused(
        edgekit("compile", model, "--target", "jetson-agx-xavier", "--out", tmp_path / "b"), 3, "--recipe symmetric"
    )
    assert not (tmp_path / "b").exists() or list((tmp_path / "b").iterdir()) == []


@needs_nvrtc
def test_without_a_gpu_one_line_says_so(models: Path, tmp_path: Path) -> None:
    model = models / "tflite_micro" / "hello_world_float.tflite"
    (made,) = edgekit("compile", model, "--target", "jetson-orin-nano", "--out", tmp_path, "--json").json["bundles"]
    result = edgekit("profile", made["path"], "--on", "host-gpu", "--json")
    if result.code == 0:  # there is one
        assert result.json["source"] == "host" or result.json["source"] == "device"
        return
    refused(result, 4, "libcuda.so.1", "cuda-emulator")
