"""A network whose operators depend on one another: what is folded together, read twice, renamed."""

from __future__ import annotations

import numpy as np

from edgekit.graph import Graph
from tests.networks.building import RELU, RELU6, Pictures


def chains() -> Graph:
    """What is folded together, read twice, renamed, or an input and an output at once."""
    n = Pictures()
    a, b = n.tensor((1, 8, 9, 16)), n.tensor((1, 12))
    first = n.conv(a, 16, activation=RELU)
    left = n.conv(first, 16)
    sum_ = n.add2("ADD", left, first, RELU)  # folded: the convolution's output comes first
    right = n.conv(sum_, 16, (1, 1))
    other = n.add2("ADD", sum_, right, RELU6)  # folded: it comes second
    twice = n.conv(other, 16)
    n.add2("ADD", twice, twice)  # not folded
    both = n.conv(other, 16)
    n.add2("ADD", n.conv(other, 16, strides=(1, 1)), both)  # either of the two could take the other
    n.conv(n.depthwise(first, activation=RELU6), 24, (1, 1))
    flat = n.reshape(other, 1, 8 * 9 * 16)
    n.dense(flat, 10)
    n.conv(n.reshape(first, 1, 9, 8, 16), 8)  # a new shape that is padded
    n.conv(n.reshape(b, 1, 2, 2, 3), 4, (2, 2))
    row = n.add("SQUEEZE", (n.reshape(b, 1, 1, 12),), (1, 12), options="Squeeze", squeezeDims=[1])
    n.dense(n.add("EXPAND_DIMS", (row, n.constant(np.array(1, np.int32))), (1, 1, 12), options="ExpandDims"), 6)
    n.add("SOFTMAX", (n.dense(b, 5),), (1, 5), options="Softmax", beta=1.0)
    graph = n.all_results(a, b)
    main = graph.main
    main.outputs = (*main.outputs, first, b)  # an inner value too, and an input that is an output
    return graph
