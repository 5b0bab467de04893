"""What the command line calls "ok" is true: networks that an artifact's arithmetic cannot hold are refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import ToolMissing
from edgekit.graph import Graph, tflite
from edgekit.tools import toolchain
from tests.e2e.command import edgekit, refused
from tests.networks.small import MODELS, Builder

CASES = MODELS.parent / "cases"
HALVES = [("mali-g610", "opencl-f16", "pocl"), ("jetson-orin-nano", "cuda-f16", "nvrtc"),
          ("jetson-orin-nano", "tensorrt-f16", ""), ("ios", "coreml", "coremltools")]  # fmt: skip
rng = np.random.default_rng(5)


def root_mean_square(gain: float) -> Graph:
    """A root-mean-square norm behind a dense layer: whatever ``gain``, the outputs are near 1, its squares are not."""
    b = Builder()
    x = b.tensor((1, 32), name="x")
    weights, zeros = (rng.normal(size=(32, 32)) * gain).astype(np.float32), np.zeros(32, np.float32)
    y = b.add("FULLY_CONNECTED", (x, b.constant(weights), b.constant(zeros)), (1, 32), options="FullyConnected")
    square = b.add("MUL", (y, y), (1, 32), options="Mul")
    mean = b.add("MEAN", (square, b.constant(np.array([1], np.int32))), (1, 1), options="Reducer", keepDims=True)
    scale = b.add("RSQRT", (mean,), (1, 1))
    return b.graph((x,), (b.add("MUL", (y, scale), (1, 32), options="Mul"),))


def needs(tool: str) -> None:
    try:
        if tool:
            toolchain.load(tool).find()
    except ToolMissing as error:
        pytest.skip(error.message)


@pytest.mark.parametrize(("board", "backend", "tool"), HALVES)
def test_overflow_of_float16_is_refused_by_name(board: str, backend: str, tool: str, tmp_path: Path) -> None:
    needs(tool)
    recipe = "float16" if backend == "coreml" else "as-is"
    tflite.write(root_mean_square(100), tmp_path / "big.tflite")
    tflite.write(root_mean_square(1), tmp_path / "small.tflite")
    arguments = ["--target", board, "--backend", backend, "--recipe", recipe, "--out", tmp_path / "out"]
    result = edgekit("compile", tmp_path / "big.tflite", *arguments)
    refused(
        result,
        5,
        "MUL (t4)" if backend == "coreml" else "operator 1 MUL (",
        "leaves float16: its values reach",
        "no bundle was written",
    )
    assert not (tmp_path / "out").exists()
    (made,) = edgekit("compile", tmp_path / "small.tflite", *arguments, "--json").json["bundles"]
    assert made["parity"]["ok"] and made["parity"]["by"] == "network"
    if way_out := re.search(r"--backend (\S+) computes in float32", result.err):
        assert way_out[1] == backend.removesuffix("-f16")
        again = [*arguments, "--backend", way_out[1], "--json"]
        assert edgekit("compile", tmp_path / "big.tflite", *again).json["bundles"][0]["parity"]["ok"]


@pytest.mark.slow
@pytest.mark.parametrize(("board", "backend", "tool"), HALVES[:3])
@pytest.mark.parametrize(("name", "options"), [("norm_big.tflite", ["--shape", "1x16x64"]), ("layernorm.onnx", [])])
def test_shared_cases_beyond_float16(
    name: str, options: list[str], board: str, backend: str, tool: str, tmp_path: Path
) -> None:
    needs(tool)
    if not (CASES / name).is_file():
        pytest.skip("the shared cases are not there")
    result = edgekit("compile", CASES / name, *options, "--target", board, "--backend", backend, "--out", tmp_path)
    refused(result, 5, "leaves float16")


def test_a_network_without_a_number_is_not_ok(tmp_path: Path) -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    y = b.add("ADD", (x, b.constant(np.full(4, -100, np.float32))), (1, 4), options="Add")
    tflite.write(b.graph((x,), (b.add("SQRT", (y,), (1, 4)),)), tmp_path / "net.tflite")
    result = edgekit("compile", tmp_path / "net.tflite", "--target", "host", "--out", tmp_path / "out")
    refused(result, 5, "makes NaN on every sample", "pass --data")
    assert "16 of 16 golden samples give NaN or infinity, as the network itself does" in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("board", ["host", "rpi4"])
@pytest.mark.parametrize(
    "name", ["ad01_fp32.tflite", "ic_resnet8_fp32.tflite", "kws_fp32.tflite", "../onnx/magika.onnx"]
)
def test_dynamic_range_of_sound_networks_is_ok(models: Path, name: str, board: str, tmp_path: Path) -> None:
    """XNNPACK's rounding of activations is not the reference's; both are about as far from float arithmetic."""
    arguments = ["--target", board, "--recipe", "int8-dynamic", "--out", tmp_path, "--json"]
    (made,) = edgekit("compile", models / "mlperf_tiny" / name, *arguments).json["bundles"]
    assert made["parity"]["ok"] and made["parity"]["max_relative"] < 0.05
