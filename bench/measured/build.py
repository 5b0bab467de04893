"""A described network as a float32 Graph, with random weights scaled so that activations keep their spread.

Batch norms are folded, as the converter leaves them: weights have the spread that a batch norm, which has seen data,
would leave (He et al. 2015), with biases near zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench.measured.net import Net, Node
from edgekit.graph import Graph, Operator, Subgraph, Tensor, tflite

SEED = 0
ACTIVATIONS = {"relu": "RELU", "relu6": "RELU6", "sigmoid": "LOGISTIC", "hard_swish": "HARD_SWISH", "gelu": "GELU",
               "leaky": "LEAKY_RELU", "tanh": "TANH"}  # fmt: skip
FUSED = {"": 0, "relu": 1, "relu6": 3}
PADDINGS = {"same": 0, "valid": 1}


class _Builder:
    def __init__(self, net: Net) -> None:
        self.random = np.random.default_rng(SEED)
        self.tensors = [Tensor(f"v{v.id}", (1, *v.shape), "float32") for v in net.values]
        self.operators: list[Operator] = []

    def values(self, *shape: int, fan_in: int) -> int:
        data = (self.random.standard_normal(shape) * math.sqrt(2 / fan_in)).astype("<f4")
        return self.constant(data)

    def constant(self, data: np.ndarray[Any, Any]) -> int:
        kind = "int32" if data.dtype.kind == "i" else "float32"
        raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        self.tensors.append(Tensor(f"c{len(self.tensors)}", data.shape, kind, data=raw))
        return len(self.tensors) - 1

    def ints(self, *numbers: int) -> int:
        return self.constant(np.array(numbers, "<i4"))

    def fresh(self, *shape: int) -> int:
        self.tensors.append(Tensor(f"t{len(self.tensors)}", (1, *shape), "float32"))
        return len(self.tensors) - 1

    def add(self, op: str, inputs: tuple[int, ...], output: int, options: Any = None, **fields: Any) -> int:
        made = getattr(tflite.schema(), options)() if options else None
        for name, value in fields.items():
            setattr(made, name, value)
        self.operators.append(Operator(op, inputs, (output,), made))
        return output

    def node(self, node: Node) -> None:
        getattr(self, f"_{node.kind}")(node, node.inputs, node.output.id, node.options)

    def _window(self, options: dict[str, Any]) -> dict[str, int]:
        return {
            "padding": PADDINGS[options["padding"]], "strideH": options["stride"], "strideW": options["stride"],
            "dilationHFactor": options["dilation"], "dilationWFactor": options["dilation"],
            "fusedActivationFunction": FUSED[options["act"]],
        }  # fmt: skip

    def _conv(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        filters, depth = node.output.channels, self.tensors[inputs[0]].shape[-1] // options["groups"]
        kh, kw = options["kernel"]
        weights = self.values(filters, kh, kw, depth, fan_in=kh * kw * depth)
        bias = self.constant(np.zeros(filters, "<f4"))
        self.add("CONV_2D", (*inputs, weights, bias), out, "Conv2DOptionsT", **self._window(options))

    def _depthwise(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        kh, kw = options["kernel"]
        weights = self.values(1, kh, kw, node.output.channels, fan_in=kh * kw)
        bias = self.constant(np.zeros(node.output.channels, "<f4"))
        self.add("DEPTHWISE_CONV_2D", (*inputs, weights, bias), out, "DepthwiseConv2DOptionsT", depthMultiplier=1,
                 **self._window(options))  # fmt: skip

    def _dense(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        depth = self.tensors[inputs[0]].shape[-1]
        weights = self.values(node.output.channels, depth, fan_in=depth)
        bias = self.constant(np.zeros(node.output.channels, "<f4"))
        self.add("FULLY_CONNECTED", (*inputs, weights, bias), out, "FullyConnectedOptionsT",
                 fusedActivationFunction=FUSED[options["act"]], keepNumDims=len(node.output.shape) > 1)  # fmt: skip

    def _act(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        if options["name"] == "hard_sigmoid":  # relu6(x + 3) / 6
            shifted = self.fresh(*node.output.shape)
            three, sixth = (self.constant(np.array([v], "<f4")) for v in (3.0, 1 / 6))
            self.add("ADD", (*inputs, three), shifted, "AddOptionsT", fusedActivationFunction=FUSED["relu6"])
            self.add("MUL", (shifted, sixth), out, "MulOptionsT")
        elif options["name"] == "leaky":
            self.add("LEAKY_RELU", inputs, out, "LeakyReluOptionsT", alpha=0.1)
        else:
            self.add(ACTIVATIONS[options["name"]], inputs, out)

    def _add(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        self.add("ADD", inputs, out, "AddOptionsT", fusedActivationFunction=FUSED[options["act"]])

    def _multiply(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        self.add("MUL", inputs, out, "MulOptionsT")

    def _concat(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        self.add("CONCATENATION", inputs, out, "ConcatenationOptionsT", axis=len(node.output.shape))

    def _split(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        rank = len(node.output.shape)
        begin = self.ints(*[0] * rank, options["start"])
        self.add("SLICE", (*inputs, begin, self.ints(1, *node.output.shape)), out, "SliceOptionsT")

    def _pool(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        op = "MAX_POOL_2D" if options["by"] == "max" else "AVERAGE_POOL_2D"
        self.add(op, inputs, out, "Pool2DOptionsT", padding=PADDINGS[options["padding"]], strideH=options["stride"],
                 strideW=options["stride"], filterHeight=options["kernel"], filterWidth=options["kernel"])  # fmt: skip

    def _mean(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        self.add("MEAN", (*inputs, self.ints(1, 2)), out, "ReducerOptionsT", keepDims=options["keep"])

    def _resize(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        size = self.ints(*node.output.shape[:2])
        if options["by"] == "nearest":
            self.add("RESIZE_NEAREST_NEIGHBOR", (*inputs, size), out, "ResizeNearestNeighborOptionsT")
        else:
            self.add("RESIZE_BILINEAR", (*inputs, size), out, "ResizeBilinearOptionsT", halfPixelCenters=True)

    def _reshape(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        self.add("RESHAPE", (*inputs, self.ints(1, *node.output.shape)), out, "ReshapeOptionsT")

    def _transpose(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        order = self.ints(0, *(axis + 1 for axis in options["order"]))
        self.add("TRANSPOSE", (*inputs, order), out, "TransposeOptionsT")

    def _matmul(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        self.add("BATCH_MATMUL", inputs, out, "BatchMatMulOptionsT", adjY=options["transposed"])

    def _softmax(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        self.add("SOFTMAX", inputs, out, "SoftmaxOptionsT", beta=1.0)

    def _layer_norm(self, node: Node, inputs: tuple[int, ...], out: int, options: dict[str, Any]) -> None:
        shape = node.output.shape
        row, axis = (*shape[:-1], 1), self.ints(len(shape))
        mean, centred, square, variance, root, normal = (
            self.fresh(*size) for size in (row, shape, shape, row, row, shape)
        )
        self.add("MEAN", (*inputs, axis), mean, "ReducerOptionsT", keepDims=True)
        self.add("SUB", (*inputs, mean), centred, "SubOptionsT")
        self.add("MUL", (centred, centred), square, "MulOptionsT")
        self.add("MEAN", (square, axis), variance, "ReducerOptionsT", keepDims=True)
        self.add("RSQRT", (variance,), root)
        self.add("MUL", (centred, root), normal, "MulOptionsT")
        gain = self.constant(np.ones(shape[-1], "<f4"))
        self.add("MUL", (normal, gain), out, "MulOptionsT")


def build(net: Net) -> Graph:
    """Return the network as a Graph; its outputs are those of the description, or what nothing reads."""
    builder = _Builder(net)
    for node in net.nodes:
        builder.node(node)
    read = {i for node in net.nodes for i in node.inputs}
    outputs = [v.id for v in net.outputs] or [n.output.id for n in net.nodes if n.output.id not in read]
    return Graph([Subgraph("main", builder.tensors, builder.operators, (net.input.id,), tuple(outputs))])
