"""A small int8 network of everything that becomes a layer for high-level synthesis, with two outputs."""

from __future__ import annotations

import numpy as np

from edgekit.graph import Graph, Quantization
from tests.backends.overlay_networks import Integers
from tests.networks.building import RELU


def streamed(seed: int = 4) -> Graph:
    """``[1, 8, 8, 2]``: CONV, DEPTHWISE, ADD, MAX_POOL, TANH, FULLY_CONNECTED and SOFTMAX to 3; AVERAGE_POOL to 4."""
    b = Integers(seed)
    x = b.fed(1, 8, 8, 2)
    weights, bias, spread = b.products(x, (4, 3, 3, 2), 4, 0)
    conv = b.made(
        "CONV_2D", (x, weights, bias), (1, 8, 8, 4), b.scale(spread / 50), options="Conv2D", strideH=1, strideW=1,
        padding=0, dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=RELU,
    )  # fmt: skip
    weights, bias, spread = b.products(conv, (1, 3, 3, 4), 4, 3)
    deep = b.made(
        "DEPTHWISE_CONV_2D", (conv, weights, bias), (1, 8, 8, 4), b.scale(spread / 50), options="DepthwiseConv2D",
        strideH=1, strideW=1, padding=0, dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=0,
        depthMultiplier=1,
    )  # fmt: skip
    scale = b.tensors[deep].quantization
    total = b.made("ADD", (conv, deep), (1, 8, 8, 4), scale, options="Add", fusedActivationFunction=0)
    pooled = b.made(
        "MAX_POOL_2D", (total,), (1, 4, 4, 4), scale, options="Pool2D", filterHeight=2, filterWidth=2, strideH=2,
        strideW=2, padding=1,
    )  # fmt: skip
    mean = b.made(
        "AVERAGE_POOL_2D", (pooled,), (1, 1, 1, 4), scale, options="Pool2D", filterHeight=4, filterWidth=4, strideH=4,
        strideW=4, padding=1,
    )  # fmt: skip
    fixed = Quantization(np.array([1 / 128], np.float32), np.array([0]))
    squashed = b.made("TANH", (pooled,), (1, 4, 4, 4), fixed)
    shape = b.constant(np.array([1, 64], np.int32))
    flat = b.made("RESHAPE", (squashed, shape), (1, 64), fixed, options="Reshape", newShape=[1, 64])
    weights, bias, spread = b.products(flat, (3, 64), 3, 0)
    dense = b.made("FULLY_CONNECTED", (flat, weights, bias), (1, 3), b.scale(spread / 50), options="FullyConnected")
    shares = Quantization(np.array([1 / 256], np.float32), np.array([-128]))
    y = b.made("SOFTMAX", (dense,), (1, 3), shares, options="Softmax", beta=1.0)
    return b.graph((x,), (y, mean))
