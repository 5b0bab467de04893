"""Small ONNX models for tests, built with onnx.helper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.graph import Graph

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


def scores(path: Path, last: str = "Reshape") -> Path:
    """A detector of nothing: scores of 1e-5 from a sigmoid, then moved (``last``), or put beside other values."""
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["a"]), node("Sigmoid", ["a"], ["s"])]
    nodes.append(node("Concat", ["s", "a"], ["y"], axis=1) if last == "Concat" else node("Reshape", ["s", "to"], ["y"]))
    low = numpy_helper.from_array(np.full(64, -11, np.float32), "b")
    weights = [weight("w", 8, 64), low, numpy_helper.from_array(np.array([1, 8, 8], np.int64), "to")]
    return save(path, nodes, [value("x", [1, 8])], [value("y", [1, 128] if last == "Concat" else [1, 8, 8])], weights)


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


def exported(graph: Graph, path: Path) -> Path:
    """A float residual network of convolutions as PyTorch or Keras would export it: channels first, float32."""
    nodes, weights, names = [], [], {graph.main.inputs[0]: "image"}
    for number, operator in enumerate(graph.operators):
        out, given = f"t{number}", [names[i] for i in operator.inputs if i in names]
        constants = [graph.tensors[i].array() for i in operator.inputs if i not in names]
        if operator.op == "CONV_2D":
            weights.append(numpy_helper.from_array(constants[0].transpose(0, 3, 1, 2).copy(), f"w{number}"))
            weights.append(numpy_helper.from_array(constants[1], f"b{number}"))
            stride = [operator.options.strideH, operator.options.strideW]
            given += [f"w{number}", f"b{number}"]
            nodes.append(node("Conv", given, [out], auto_pad="SAME_UPPER", strides=stride))
        elif operator.op == "FULLY_CONNECTED":
            weights += [numpy_helper.from_array(c, f"{n}{number}") for n, c in zip("wb", constants, strict=True)]
            nodes.append(node("Gemm", [*given, f"w{number}", f"b{number}"], [out], transB=1))
        else:
            kind = {"ADD": "Add", "AVERAGE_POOL_2D": "GlobalAveragePool", "RESHAPE": "Flatten", "SOFTMAX": "Softmax"}
            nodes.append(node(kind[operator.op], given, [out]))
        if getattr(operator.options, "fusedActivationFunction", 0) == 1:
            nodes.append(node("Relu", [out], [f"r{number}"]))
            out = f"r{number}"
        names[operator.outputs[0]] = out
    _, height, width, channels = graph.inputs[0].shape
    shape = [1, channels, height, width]
    classes = graph.outputs[0].shape[-1]
    output = names[graph.main.outputs[0]]
    return save(path, nodes, [value("image", shape)], [value(output, [1, classes])], weights)
