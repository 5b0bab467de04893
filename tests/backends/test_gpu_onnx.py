"""ONNX's operators on GPUs: TVM's loops as kernels, on PoCL and on the stand-in for CUDA's driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit import sandbox, target
from edgekit.api.compile import compile
from edgekit.backends import unsupported
from edgekit.backends.cuda import CUDA
from edgekit.backends.opencl import OpenCL
from edgekit.graph import Graph, tflite
from edgekit.onnx import convert
from tests.installed import needed
from tests.readers.onnx_models import node, save, value

needed("tvm", "tvm")


def graph(folder: Path, nodes: list, inputs: list, outputs: list) -> Graph:
    path = save(folder / "net.onnx", nodes, inputs, outputs, [], opset=18)
    (found,) = convert.graphs([path.read_bytes()], ["net.onnx"], sandbox.Limits())
    assert isinstance(found, Graph), found
    return found


@pytest.mark.slow
@pytest.mark.parametrize("board", ["mali-g610", "jetson-orin-nano"])
def test_floats_integers_and_booleans(board: str, tmp_path: Path) -> None:
    nodes = [
        node("Mish", ["x"], ["m"]),
        node("Softmax", ["m"], ["s"], axis=1),
        node("Hardmax", ["s"], ["h"], axis=-1),
        node("Greater", ["m", "x"], ["g"]),
        node("Where", ["g", "h", "s"], ["w"]),
        node("LpPool", ["w"], ["y"], kernel_shape=[2, 2]),
        node("ArgMax", ["w"], ["a"], axis=1, keepdims=0),
    ]
    net = graph(tmp_path, nodes, [value("x", [1, 3, 6, 6])], [value("y", [1, 3, 5, 5]), value("a", [1, 6, 6], 7)])
    tflite.write(net, tmp_path / "net.tflite")
    (made,) = compile(tmp_path / "net.tflite", targets=[board], out=tmp_path / "build")
    assert made.parity.ok, made.parity.words()
    again = compile(tmp_path / "net.tflite", targets=[board], out=tmp_path / "again")[0]
    assert again.manifest["files"] == made.manifest["files"]


@pytest.mark.parametrize("backend", [OpenCL(), CUDA()], ids=["opencl", "cuda"])
def test_what_a_gpu_has_not_is_refused_by_name(backend: OpenCL | CUDA, tmp_path: Path) -> None:
    net = graph(tmp_path, [node("Mish", ["x"], ["y"])], [value("x", [4], 11)], [value("y", [4], 11)])
    (only,) = unsupported(backend, net, target.load("jetson-orin-nano"))
    assert only.operator == "ONNX_Mish" and "float64" in only.reason and "tvm" in only.remedy
