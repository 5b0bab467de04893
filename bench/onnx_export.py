"""Write a float TFLite network as ONNX, so that ONNX Runtime can be measured on the same network.

Only for benchmarks: covers convolutional classifiers (CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, pooling,
MEAN, PAD, RESHAPE, SOFTMAX), which is what is measured. Activations are laid out NCHW, as ONNX Runtime likes them;
the network's own input stays as TFLite has it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.graph import Graph, Operator

SAME = 0
RELU, RELU6 = 1, 3
"""TFLite's Padding and ActivationFunctionType."""


def export(graph: Graph, path: Path) -> None:
    """Write ``graph`` to ``path``; raises KeyError for an operator that is not covered."""
    Exporter(graph).write(path)


class Exporter:
    """Nodes and constants as they accumulate; tensor ``i`` of the Graph is called ``t<i>``."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def write(self, path: Path) -> None:
        (source,), (result,) = self.graph.main.inputs, self.graph.main.outputs
        self.node("Transpose", ["input"], name(source), perm=[0, 3, 1, 2])
        for operator in self.graph.operators:
            OPERATORS[operator.op](self, operator)
        shapes = [list(self.graph.tensors[i].shape) for i in (source, result)]
        made = helper.make_graph(
            self.nodes, "network",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shapes[0])],
            [helper.make_tensor_value_info(name(result), TensorProto.FLOAT, shapes[1])],
            self.constants,
        )  # fmt: skip
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))

    def constant(self, label: str, values: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), label))
        return label

    def array(self, index: int) -> NDArray[Any]:
        return self.graph.tensors[index].array()

    def shape(self, index: int) -> tuple[int, ...]:
        return self.graph.tensors[index].shape

    def activated(self, operator: Operator, make: Callable[[str], None]) -> None:
        """Let ``make`` append a node with the output it is given, and append the fused activation."""
        output, kind = name(operator.outputs[0]), operator.options.fusedActivationFunction
        make(output + "_raw" if kind else output)
        if kind == RELU:
            self.node("Relu", [output + "_raw"], output)
        elif kind == RELU6:
            zero, six = (self.constant(f"{output}_{v}", np.float32(v)) for v in (0, 6))
            self.node("Clip", [output + "_raw", zero, six], output)

    def convolution(self, operator: Operator) -> None:
        source, weights = operator.inputs[:2]
        options, kernel = operator.options, self.array(weights)
        depthwise = operator.op == "DEPTHWISE_CONV_2D"
        window = kernel.shape[1:3]
        values = kernel.transpose(3, 0, 1, 2) if depthwise else kernel.transpose(0, 3, 1, 2)
        inputs = [
            name(source),
            self.constant(f"w{operator.outputs[0]}", values),
            self.bias(operator, len(values)),
        ]
        attributes = {
            "kernel_shape": list(window), "strides": [options.strideH, options.strideW],
            "pads": self.pads(operator, window), "group": kernel.shape[3] if depthwise else 1,
        }  # fmt: skip
        self.activated(operator, lambda output: self.node("Conv", inputs, output, **attributes))

    def bias(self, operator: Operator, channels: int) -> str:
        """The bias; zeros where the operator has none."""
        index = operator.inputs[2] if len(operator.inputs) > 2 else -1
        return self.constant(f"b{operator.outputs[0]}", self.array(index) if index >= 0 else np.zeros(channels, "f4"))

    def pads(self, operator: Operator, window: tuple[int, ...]) -> list[int]:
        """ONNX's pads [top, left, bottom, right] of TFLite's SAME or VALID."""
        options = operator.options
        if options.padding != SAME:
            return [0, 0, 0, 0]
        sizes = zip(self.shape(operator.inputs[0])[1:3], self.shape(operator.outputs[0])[1:3], strict=True)
        strides = options.strideH, options.strideW
        total = [max(0, (out - 1) * s + k - size) for (size, out), s, k in zip(sizes, strides, window, strict=True)]
        return [total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2]

    def pool(self, operator: Operator) -> None:
        options = operator.options
        window = options.filterHeight, options.filterWidth
        attributes = {
            "kernel_shape": list(window), "strides": [options.strideH, options.strideW],
            "pads": self.pads(operator, window),
        }  # fmt: skip
        op = "MaxPool" if operator.op == "MAX_POOL_2D" else "AveragePool"
        self.activated(operator, lambda output: self.node(op, [name(operator.inputs[0])], output, **attributes))

    def dense(self, operator: Operator) -> None:
        source, weights = operator.inputs[:2]
        inputs = [
            name(source),
            self.constant(f"w{operator.outputs[0]}", self.array(weights)),
            self.bias(operator, self.shape(weights)[0]),
        ]
        self.activated(operator, lambda output: self.node("Gemm", inputs, output, transB=1))

    def add(self, operator: Operator) -> None:
        inputs = [name(i) for i in operator.inputs]
        self.activated(operator, lambda output: self.node("Add", inputs, output))

    def mean(self, operator: Operator) -> None:
        assert set(self.array(operator.inputs[1]).tolist()) == {1, 2}
        output = name(operator.outputs[0])
        keep = int(bool(operator.options.keepDims))
        self.node("ReduceMean", [name(operator.inputs[0])], output, axes=[2, 3], keepdims=keep)

    def pad(self, operator: Operator) -> None:
        before, after = self.array(operator.inputs[1]).T[:, [0, 3, 1, 2]].astype(np.int64)
        pads = self.constant(f"p{operator.outputs[0]}", np.concatenate([before, after]))
        self.node("Pad", [name(operator.inputs[0]), pads], name(operator.outputs[0]))

    def reshape(self, operator: Operator) -> None:
        """Flattening goes through NHWC, in whose order the dense layer's weights are."""
        source = name(operator.inputs[0])
        if len(self.shape(operator.inputs[0])) == 4:
            self.node("Transpose", [source], source + "_nhwc", perm=[0, 2, 3, 1])
            source += "_nhwc"
        shape = self.constant(f"s{operator.outputs[0]}", np.array(self.shape(operator.outputs[0]), np.int64))
        self.node("Reshape", [source, shape], name(operator.outputs[0]))

    def softmax(self, operator: Operator) -> None:
        self.node("Softmax", [name(operator.inputs[0])], name(operator.outputs[0]), axis=-1)


def name(index: int) -> str:
    return f"t{index}"


OPERATORS: dict[str, Callable[[Exporter, Operator], None]] = {
    "CONV_2D": Exporter.convolution,
    "DEPTHWISE_CONV_2D": Exporter.convolution,
    "MAX_POOL_2D": Exporter.pool,
    "AVERAGE_POOL_2D": Exporter.pool,
    "FULLY_CONNECTED": Exporter.dense,
    "ADD": Exporter.add,
    "MEAN": Exporter.mean,
    "PAD": Exporter.pad,
    "RESHAPE": Exporter.reshape,
    "SOFTMAX": Exporter.softmax,
}
