"""Recurrent operators with 8-bit weights: LiteRT computes them as hybrid operators, with float activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgekit.graph import Graph, Quantization, Tensor

WEIGHTS = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": range(1, 9),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 9), *range(18, 26)),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (1, 2),
    "BIDIRECTIONAL_SEQUENCE_RNN": (1, 2, 5, 6),
}
"""Positions of the weights among the operands.

Source: TFLite's kernels ``unidirectional_sequence_lstm.cc`` and so on.
"""
_OTHERS = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (9, 10, 11, 16),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (9, 10, 11, 16, 26, 27, 28, 33),
}
"""Positions of peephole and projection weights, which the kernels take in the same type only.

An operator that has them stays in float.
"""
_LARGEST = 127


def hybrid(graph: Graph) -> tuple[Graph, int]:
    """Return the Graph with int8 weights, one scale per tensor, in recurrent operators that compute in float32.

    :returns: the Graph, and how many operators were changed.
    """
    tensors, count = list(graph.tensors), 0
    for operator in graph.operators:
        others = [operator.inputs[k] for k in _OTHERS.get(operator.op, ()) if k < len(operator.inputs)]
        indices = [i for k in WEIGHTS.get(operator.op, ()) if (i := operator.inputs[k]) >= 0]
        if not indices or any(i >= 0 for i in others):
            continue
        if any(tensors[i].data is None or tensors[i].dtype != "float32" for i in indices):
            continue
        for index in indices:
            tensors[index] = _rounded(tensors[index])
        count += 1
    if not count:
        return graph, 0
    main = replace(graph.main, tensors=tensors)
    return replace(graph, subgraphs=[main, *graph.subgraphs[1:]]), count


def _rounded(tensor: Tensor) -> Tensor:
    values = tensor.array()
    scale = max(float(np.abs(values).max(initial=0.0)), 1e-12) / _LARGEST
    quantization = Quantization(np.array([scale], np.float32), np.zeros(1, np.int64))
    data = quantization.quantize(values, "int8").reshape(-1).view(np.uint8)
    return replace(tensor, dtype="int8", quantization=quantization, data=data)
