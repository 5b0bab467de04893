"""Repairs: bring what older converters wrote into the form that today's runtimes accept.

Each repair says what it did, in words, for ``Graph.notes``; none changes what the network computes.
"""

from __future__ import annotations

from dataclasses import replace

from edgekit.graph.ir import Graph


def repair(graph: Graph) -> list[str]:
    """Repair ``graph`` in place; return one note per kind of repair."""
    notes = []
    if count := _quantized_dimension(graph):
        notes.append(f"{count} tensors had a quantized dimension that does not exist; repaired")
    return notes


def _quantized_dimension(graph: Graph) -> int:
    """Old converters wrote the weights' ``quantized_dimension`` (3) beside a single scale and for 1-D biases,
    where it means nothing or can only be dimension 0; LiteRT 2.3 refuses both."""
    count = 0
    for subgraph in graph.subgraphs:
        for tensor in subgraph.tensors:
            q = tensor.quantization
            if q is None or q.axis == 0:
                continue
            only_dimension = len(tensor.shape) == 1 and q.scale.size == tensor.shape[0]
            if q.scale.size <= 1 or only_dimension:
                tensor.quantization = replace(q, axis=0)
                count += 1
    return count
