"""Small networks to measure on a board: each is limited by another kind of work, all take milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgekit.graph import Graph, Operator, Subgraph, Tensor, tflite

SEED = 0
RELU = 1


class _Net:
    """Collects float32 operators with random weights; methods take and return a tensor's index."""

    def __init__(self, *shape: int) -> None:
        self.random = np.random.default_rng(SEED)
        self.tensors: list[Tensor] = [Tensor("input", (1, *shape), "float32")]
        self.operators: list[Operator] = []

    def constant(self, *shape: int) -> int:
        scale = 1 / math.sqrt(max(1, math.prod(shape[1:])))
        data = (self.random.standard_normal(shape) * scale).astype("<f4")
        self.tensors.append(Tensor(f"c{len(self.tensors)}", shape, "float32", data=data.reshape(-1).view(np.uint8)))
        return len(self.tensors) - 1

    def add(self, op: str, inputs: tuple[int, ...], shape: tuple[int, ...], options: object = None) -> int:
        self.tensors.append(Tensor(f"t{len(self.tensors)}", shape, "float32"))
        self.operators.append(Operator(op, inputs, (len(self.tensors) - 1,), options))
        return len(self.tensors) - 1

    def conv(self, x: int, filters: int, kernel: int = 1) -> int:
        options = tflite.schema().Conv2DOptionsT()
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = RELU
        shape = self.tensors[x].shape
        weights = self.constant(filters, kernel, kernel, shape[-1])
        return self.add("CONV_2D", (x, weights, self.constant(filters)), (*shape[:-1], filters), options)

    def depthwise(self, x: int, kernel: int = 3) -> int:
        options = tflite.schema().DepthwiseConv2DOptionsT()
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
        options.depthMultiplier, options.fusedActivationFunction = 1, RELU
        shape = self.tensors[x].shape
        weights = self.constant(1, kernel, kernel, shape[-1])
        return self.add("DEPTHWISE_CONV_2D", (x, weights, self.constant(shape[-1])), shape, options)

    def plus(self, x: int, y: int) -> int:
        return self.add("ADD", (x, y), self.tensors[x].shape, tflite.schema().AddOptionsT())

    def dense(self, x: int, units: int) -> int:
        shape = self.tensors[x].shape
        weights = self.constant(units, shape[-1])
        options = tflite.schema().FullyConnectedOptionsT()
        return self.add("FULLY_CONNECTED", (x, weights, self.constant(units)), (1, units), options)

    def graph(self, output: int) -> Graph:
        return Graph([Subgraph("main", self.tensors, self.operators, (0,), (output,))])


def _pointwise() -> Graph:
    """Products of matrices: wide channels on small maps."""
    net, x = _Net(28, 28, 128), 0
    for _ in range(4):
        x = net.conv(x, 128)
    return net.graph(x)


def _spatial() -> Graph:
    """3x3 convolutions, whose input is gathered."""
    net, x = _Net(28, 28, 48), 0
    for _ in range(3):
        x = net.conv(x, 48, 3)
    return net.graph(x)


def _separable() -> Graph:
    """Large maps with few channels: depthwise convolutions, elements read and written."""
    net, x = _Net(56, 56, 32), 0
    for _ in range(3):
        y = net.conv(net.depthwise(x), 32)
        x = net.plus(x, y)
    return net.graph(x)


def _dense() -> Graph:
    """Weights that are read once and used once."""
    net = _Net(512)
    return net.graph(net.dense(net.dense(0, 1024), 512))


def _deep() -> Graph:
    """Many small operators: what dispatching them costs."""
    net, x = _Net(7, 7, 16), 0
    for _ in range(40):
        x = net.conv(x, 16)
    return net.graph(x)


PROBES: dict[str, Callable[[], Graph]] = {
    "pointwise": _pointwise, "spatial": _spatial, "separable": _separable, "dense": _dense, "deep": _deep,
}  # fmt: skip
