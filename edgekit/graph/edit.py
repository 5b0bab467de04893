"""Small changes that passes make to Graphs. Nothing here changes the Graph that it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph.ir import Graph, Subgraph, Tensor


def constant(name: str, values: NDArray[Any]) -> Tensor:
    """Return a constant tensor with these values, in their dtype (float32, int32, ...)."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    data = np.ascontiguousarray(little).reshape(-1).view(np.uint8)
    return Tensor(name, values.shape, str(values.dtype), data=data)


def with_values(tensor: Tensor, values: NDArray[np.float32]) -> Tensor:
    """Return ``tensor`` as a float32 constant with these values, without quantization."""
    data = np.ascontiguousarray(values, "<f4").reshape(-1).view(np.uint8)
    return replace(tensor, dtype="float32", shape=values.shape, quantization=None, data=data)


def uses(graph: Graph) -> dict[int, list[tuple[int, int]]]:
    """For each tensor of the main subgraph: the ``(operator, position)`` pairs that read it."""
    found: dict[int, list[tuple[int, int]]] = {}
    for number, operator in enumerate(graph.operators):
        for position, index in enumerate(operator.inputs):
            found.setdefault(index, []).append((number, position))
    return found


def folded(graph: Graph) -> frozenset[int]:
    """The tensors that DENSIFY and DEQUANTIZE make of constants: as good as constants (sparse and float16 weights)."""
    found: set[int] = set()
    for operator in graph.operators:
        constant = (graph.tensors[j].data is not None or j in found for j in operator.inputs if j >= 0)
        if operator.op in ("DENSIFY", "DEQUANTIZE") and all(constant):
            found.update(operator.outputs)
    return frozenset(found)


def used(subgraph: Subgraph) -> set[int]:
    """Return the tensors that an operator names, and the subgraph's inputs and outputs."""
    found = {*subgraph.inputs, *subgraph.outputs}
    for operator in subgraph.operators:
        found.update(operator.inputs, operator.outputs, operator.intermediates)
    return found - {-1}


def compact(graph: Graph) -> Graph:
    """Return the Graph without tensors that nothing uses any more, so that their data is not written."""
    subgraphs, signatures = [], list(graph.signatures)
    for number, subgraph in enumerate(graph.subgraphs):
        place = {old: new for new, old in enumerate(sorted(used(subgraph)))} | {-1: -1}

        def moved(indices: tuple[int, ...], place: dict[int, int] = place) -> tuple[int, ...]:
            return tuple(place[index] for index in indices)

        operators = [
            replace(o, inputs=moved(o.inputs), outputs=moved(o.outputs), intermediates=moved(o.intermediates))
            for o in subgraph.operators
        ]
        tensors = [subgraph.tensors[old] for old in place if old >= 0]
        inputs, outputs = moved(subgraph.inputs), moved(subgraph.outputs)
        subgraphs.append(replace(subgraph, tensors=tensors, operators=operators, inputs=inputs, outputs=outputs))
        for index, signature in enumerate(signatures):
            if signature.subgraph == number:
                names = [{n: place[t] for n, t in side.items()} for side in (signature.inputs, signature.outputs)]
                signatures[index] = replace(signature, inputs=names[0], outputs=names[1])
    return replace(graph, subgraphs=subgraphs, signatures=signatures)
