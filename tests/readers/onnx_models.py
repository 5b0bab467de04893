"""Small ONNX models for tests, built with onnx.helper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_random = np.random.default_rng(0)
node = helper.make_node


def weight(name: str, *shape: int) -> Any:
    return numpy_helper.from_array((_random.normal(size=shape) * 0.3).astype(np.float32), name)


def value(name: str, shape: list[int | str] | None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def save(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: list[Any], opset: int = 15,
    domains: tuple[str, ...] = (), **kwargs: Any,
) -> Path:  # fmt: skip
    graph = helper.make_graph(nodes, "net", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path), **kwargs)
    return path


def residual(path: Path) -> Path:
    """Image classifier: strided convolution, batch norm, depthwise convolution, residual, pooling, dense."""
    nodes = [
        node("Conv", ["image", "w1"], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "variance"], ["n1"]),
        node("Relu", ["n1"], ["r1"]),
        node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], group=8),
        node("Clip", ["c2", "zero", "six"], ["r2"]),
        node("Add", ["r1", "r2"], ["a2"]),
        node("GlobalAveragePool", ["a2"], ["p3"]),
        node("Flatten", ["p3"], ["f3"]),
        node("Gemm", ["f3", "w4", "b4"], ["d4"], transB=1),
        node("Softmax", ["d4"], ["label"]),
    ]
    norm = [weight(name, 8) for name in ("scale", "shift", "mean")]
    norm.append(numpy_helper.from_array(np.linspace(0.5, 2, 8, dtype=np.float32), "variance"))
    bounds = [numpy_helper.from_array(np.float32(v), n) for n, v in (("zero", 0), ("six", 6))]
    weights = [weight("w1", 8, 3, 3, 3), weight("w2", 8, 1, 3, 3), weight("b2", 8), weight("w4", 5, 8), weight("b4", 5)]
    return save(path, nodes, [value("image", ["N", 3, 16, 20])], [value("label", ["N", 5])], weights + norm + bounds)


def segmenter(path: Path) -> Path:
    """Image to image: the output is an image too, 4 channels, 8x8 (4x4 would make layouts hard to tell)."""
    nodes = [node("Conv", ["image", "w", "b"], ["c"], pads=[1, 1, 1, 1]), node("Relu", ["c"], ["mask"])]
    weights = [weight("w", 8, 8, 3, 3), weight("b", 8)]
    return save(path, nodes, [value("image", [1, 8, 8, 8])], [value("mask", [1, 8, 8, 8])], weights)


def two(path: Path) -> Path:
    """Two inputs with one dynamic batch, two outputs; the first output does not come last."""
    nodes = [
        node("MatMul", ["a", "w"], ["m"]),
        node("Add", ["m", "b"], ["sum"]),
        node("Sigmoid", ["sum"], ["gate"]),
    ]
    inputs = [value("a", ["batch", 6]), value("b", ["batch", 4])]
    return save(path, nodes, inputs, [value("gate", None), value("sum", None)], [weight("w", 6, 4)])


def relu(path: Path, shape: list[int | str] | None, **kwargs: Any) -> Path:
    return save(path, [node("Relu", ["x"], ["y"])], [value("x", shape)], [value("y", shape)], [], **kwargs)


def external(path: Path, location: str) -> Path:
    """A model whose one weight, 4x4 floats, lies in the file ``location``."""
    tensor = weight("w", 4, 4)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", "0"), ("length", "64")):
        tensor.external_data.add(key=key, value=text)
    return save(path, [node("MatMul", ["x", "w"], ["y"])], [value("x", [1, 4])], [value("y", [1, 4])], [tensor])
