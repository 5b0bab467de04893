"""Networks with control flow."""

from __future__ import annotations

import numpy as np

from edgekit.graph import Graph, Operator, Subgraph, tflite
from tests.networks.small import Builder


def loop(start: int | None, end: int) -> Graph:
    """``while i < end: i += 1; x = W x`` from ``start`` (None: an input of the network)."""
    cond, body, main = Builder(), Builder(), Builder()
    i, x = cond.tensor((), "int32"), cond.tensor((1, 3))
    less = cond.add("LESS", (i, cond.constant(np.array(end, np.int32))), (), "bool", options="Less")
    condition = Subgraph("cond", cond.tensors, cond.operators, (i, x), (less,))
    j, y = body.tensor((), "int32"), body.tensor((1, 3))
    more = body.add("ADD", (j, body.constant(np.array(1, np.int32))), (), "int32", options="Add")
    weights = body.constant(2 * np.eye(3, dtype=np.float32))
    twice = body.add("FULLY_CONNECTED", (y, weights, -1), (1, 3), options="FullyConnected")
    inside = Subgraph("body", body.tensors, body.operators, (j, y), (more, twice))
    given = main.tensor((1, 3), name="x")
    first = main.tensor((), "int32", name="i") if start is None else main.constant(np.array(start, np.int32))
    last, out = main.tensor((), "int32"), main.tensor((1, 3), name="out")
    options = tflite.schema().WhileOptionsT(condSubgraphIndex=1, bodySubgraphIndex=2)
    main.operators.append(Operator("WHILE", (first, given), (last, out), options))
    inputs = (given, first) if start is None else (given,)
    return Graph([Subgraph("main", main.tensors, main.operators, inputs, (out,)), condition, inside])
