"""Weights in float16: constants become float16, followed by a DEQUANTIZE, as TensorFlow's converter writes them.

LiteRT turns such constants back into float32 when it loads the network, GPUs and Core ML take them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, Operator, Tensor
from edgekit.graph.edit import uses

LEAST_ELEMENTS = 128
"""A smaller constant stays: its DEQUANTIZE and tensor would take more bytes than it saves."""
MOST_ERROR = 2.0**-8
"""Error of a constant in float16, relative (Euclidean norms), up to which it is stored so. Rounding costs at most
2^-11; more means that values lie below 6.1e-5, where float16 loses bits. At 2^-8 three bits are lost, and what is left
is as exact as int8."""
TAKEN = frozenset({
    "ADD", "BATCH_MATMUL", "CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "DIV", "EMBEDDING_LOOKUP", "FULLY_CONNECTED",
    "GATHER", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SUB", "TRANSPOSE_CONV",
})  # fmt: skip
"""Operators whose constants may be results of a DEQUANTIZE."""


@dataclass(frozen=True)
class Kept:
    """A constant that stays in float32. ``operator`` is the index of the first operator that reads it."""

    operator: int
    op: str
    name: str
    reason: str


def halved(graph: Graph) -> tuple[Graph, list[Kept]]:
    """Return the Graph with float16 constants, and the constants that stay in float32 though they are large enough.

    Only the main subgraph changes. A constant keeps its index; the DEQUANTIZE makes a new tensor, which its readers
    read instead.
    """
    tensors, readers = list(graph.tensors), uses(graph)
    behind: dict[int, int] = {}
    kept: list[Kept] = []
    for index, tensor in enumerate(graph.tensors):
        if tensor.data is None or tensor.dtype != "float32" or tensor.sparsity is not None:
            continue
        by = [number for number, _ in readers.get(index, ())]
        if tensor.elements < LEAST_ELEMENTS or not by or index in graph.main.outputs:
            continue
        others = [n for n in by if graph.operators[n].op not in TAKEN or graph.operators[n].custom]
        first = (others or by)[0]
        reason = "LiteRT wants the constant itself" if others else ""
        values = tensor.array()
        if not reason:
            with np.errstate(over="ignore"):
                half = values.astype(np.float16)
            reason = _beyond(values, half)
        if reason:
            kept.append(Kept(first, graph.operators[first].op, tensor.name, reason))
            continue
        tensors[index] = replace(tensor, dtype="float16", data=half.reshape(-1).view(np.uint8))
        tensors.append(replace(tensor, name=f"{tensor.name}_dequant", data=None))
        behind[index] = len(tensors) - 1
    return _rewired(graph, tensors, behind), sorted(kept, key=lambda one: one.operator)


def _beyond(values: NDArray[np.float32], half: NDArray[np.float16]) -> str:
    """Why values cannot be kept in float16; empty if they can."""
    largest = float(np.max(np.abs(values)))
    if not np.isfinite(largest):
        return "it has values that are not finite"
    if not np.isfinite(half).all():
        return f"its values reach {largest:.2g}, the largest float16 is 65504"
    norm = float(np.linalg.norm(values.astype(np.float64)))
    if norm and float(np.linalg.norm(half.astype(np.float64) - values)) > MOST_ERROR * norm:
        return f"its values are at most {largest:.2g}, too small for float16"
    return ""


def _rewired(graph: Graph, tensors: list[Tensor], behind: dict[int, int]) -> Graph:
    operators: list[Operator] = []
    placed: set[int] = set()
    for operator in graph.operators:
        for index in operator.inputs:
            if index in behind and index not in placed:
                placed.add(index)
                operators.append(Operator("DEQUANTIZE", (index,), (behind[index],)))
        operators.append(replace(operator, inputs=tuple(behind.get(i, i) for i in operator.inputs)))
    main = replace(graph.main, tensors=tensors, operators=operators)
    return replace(graph, subgraphs=[main, *graph.subgraphs[1:]])
