"""A model that TFLite cannot take, through the command line: compiled through TVM's ONNX frontend and proven."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.bundle import load
from tests.e2e.command import edgekit, refused
from tests.readers import onnx_models
from tests.readers.onnx_models import node, value


@pytest.fixture(scope="module")
def swish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2], name="stem"),
        node("Swish", ["c"], ["s"], name="swish"),
        node("GlobalAveragePool", ["s"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "m"], ["y"], transB=1),
    ]
    weights = [onnx_models.weight("w", 8, 3, 3, 3), onnx_models.weight("m", 5, 8)]
    path = tmp_path_factory.mktemp("onnx") / "swish.onnx"
    return onnx_models.save(path, nodes, [value("x", ["N", 3, 16, 16])], [value("y", ["N", 5])], weights, opset=24)


@pytest.mark.slow
def test_it_is_compiled_and_proven(swish: Path, tmp_path: Path) -> None:
    done = edgekit("compile", swish, "--target", "host", "--target", "rpi4", "--out", tmp_path, "--json")
    for entry in done.json["bundles"]:
        assert entry["backend"] == "tvm" and entry["parity"]["ok"]
        assert entry["parity"]["max_relative"] < 1e-4
        assert "read as ONNX operators, because" in entry["notes"][0] and "Swish" in entry["notes"][0]
    operators = edgekit("profile", load(tmp_path / "swish.as-is.host").path, "--on", "host", "--json").json["operators"]
    assert [o["op"] for o in operators][:2] == ["ONNX_Conv", "ONNX_Swish"]
    assert operators[0]["macs"] == 8 * 8 * 8 * 27


@pytest.mark.slow
def test_it_is_compiled_for_gpus(swish: Path, tmp_path: Path) -> None:
    done = edgekit(
        "compile", swish, "--target", "mali-g610", "--target", "jetson-orin-nano", "--out", tmp_path, "--json"
    )
    assert [entry["backend"] for entry in done.json["bundles"]] == ["opencl", "cuda"]
    for entry in done.json["bundles"]:
        assert entry["parity"]["ok"] and entry["parity"]["max_relative"] < 1e-4
    operators = edgekit("profile", load(tmp_path / "swish.as-is.mali-g610").path, "--on", "pocl", "--json").json[
        "operators"
    ]
    assert {"ONNX_Conv", "ONNX_Swish"} <= {o["op"] for o in operators}


@pytest.mark.slow
def test_what_it_cannot_be_is_told_in_one_line(swish: Path, tmp_path: Path) -> None:
    call = ("compile", swish, "--out", tmp_path, "--target")
    refused(edgekit(*call, "host", "--backend", "litert"), 3, "ONNX_Conv", "operator of ONNX")
    refused(edgekit(*call, "mali-g610", "--backend", "opencl-f16"), 3, "ONNX_Conv", "keep their float32")
    refused(edgekit(*call, "host", "--recipe", "int8", "--data", "random"), 3, "int8", "as-is or float32")
    assert not list(tmp_path.iterdir())
