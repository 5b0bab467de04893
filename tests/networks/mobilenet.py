"""MobileNetV2 (Sandler et al. 2018) with random weights."""

from __future__ import annotations

import numpy as np

from edgekit.graph import Graph
from tests.networks.building import RELU6, Pictures


def mobilenet_v2(size: int) -> Graph:
    """MobileNetV2 (Sandler et al. 2018, table 2), width 1.0, 1000 classes, weights drawn."""
    n = Pictures()
    x = n.conv(n.tensor((1, size, size, 3)), 32, strides=(2, 2), activation=RELU6)
    for expansion, channels, repeats, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for number in range(repeats):
            depth = n.tensors[x].shape[3]
            inner = n.conv(x, depth * expansion, (1, 1), activation=RELU6) if expansion > 1 else x
            step = stride if number == 0 else 1
            made = n.conv(n.depthwise(inner, strides=(step, step), activation=RELU6), channels, (1, 1))
            x = n.add2("ADD", x, made) if number else made
    x = n.conv(x, 1280, (1, 1), activation=RELU6)
    axes = n.constant(np.array([1, 2], np.int32))
    x = n.add("MEAN", (x, axes), (1, 1280), options="Reducer", keepDims=False)
    x = n.add("SOFTMAX", (n.dense(x, 1000),), (1, 1000), options="Softmax", beta=1.0)
    return n.graph((0,), (x,))
