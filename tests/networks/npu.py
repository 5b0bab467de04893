"""Networks that an Ethos-U takes in part."""

from __future__ import annotations

import numpy as np

from edgekit.graph import Graph, Quantization
from tests.networks.small import Builder

SCALE = Quantization(np.array([0.05], np.float32), np.array([3]))


def conv(b: Builder, x: int, stride: int, rng: np.random.Generator) -> int:
    """A padded 5x5 convolution of int8, 4 channels; on Ethos-U55 one with a stride above 3 stays on the core."""
    _, rows, columns, depth = b.tensors[x].shape
    each = Quantization(np.full(4, 0.01, np.float32), np.zeros(4, np.int64))
    weights = b.constant(rng.integers(-90, 90, (4, 5, 5, depth), np.int8), quantization=each)
    bias = b.constant(
        rng.integers(-500, 500, 4, np.int32), quantization=Quantization(each.scale * 0.05, each.zero_point)
    )
    shape = (1, -(-rows // stride), -(-columns // stride), 4)
    y = b.add(
        "CONV_2D", (x, weights, bias), shape, "int8", options="Conv2D", strideH=stride, strideW=stride,
        dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip
    b.tensors[y].quantization = SCALE
    return y


def mixed() -> Graph:
    """Four convolutions: NPU, core, NPU, core."""
    b, rng = Builder(), np.random.default_rng(0)
    x = y = b.tensor((1, 24, 24, 3), "int8", name="x", quantization=SCALE)
    for stride in (1, 4, 1, 4):
        y = conv(b, y, stride, rng)
    return b.graph((x,), (y,))
