"""The oracle for hybrid operators: float activations, integer weights.

Runtimes quantize the activations of such an operator on the fly, each in its own way: LiteRT's reference kernels
symmetrically, XNNPACK asymmetrically, some compilers not at all. None of them is right and the others wrong. What all
of them approximate is float arithmetic with the weights as they are stored, so that is the oracle here, and what
rounding the activations to 8 bits costs (:func:`rounded`) is what an artifact may be off by.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.graph import Graph
from edgekit.graph.edit import with_values
from edgekit.graph.floats import real_values

_INTEGER_WEIGHTS = ("int8", "uint8", "int4", "int2")
_BY_ROW = ("FULLY_CONNECTED", "BATCH_MATMUL")
"""Operators whose activations have one scale per row; the others have one per batch item."""


def is_hybrid(graph: Graph) -> bool:
    """True if an operator computes float results with integer weights."""
    return any(hybrid(graph, number) for number in range(len(graph.operators)))


def hybrid(graph: Graph, number: int) -> bool:
    """True if the operator computes float results with integer weights.

    A DEQUANTIZE does not compute with them, and operators of ONNX say themselves how their activations are rounded.
    """
    operator = graph.operators[number]
    if operator.op == "DEQUANTIZE" or operator.custom or not operator.outputs:
        return False
    if graph.tensors[operator.outputs[0]].dtype != "float32":
        return False
    return any(
        i >= 0 and graph.tensors[i].data is not None and graph.tensors[i].dtype in _INTEGER_WEIGHTS
        for i in operator.inputs
    )


def with_float_weights(graph: Graph) -> Graph | None:
    """Return the Graph with float32 weights in its hybrid operators; None if that is impossible.

    Tensors keep their indices, operators their places; new constants come behind the tensors.
    """
    tensors, operators = list(graph.tensors), list(graph.operators)
    made: dict[int, int] = {}
    for number, operator in enumerate(operators):
        if not hybrid(graph, number):
            continue
        inputs = []
        for index in operator.inputs:
            tensor = graph.tensors[index] if index >= 0 else None
            if tensor is None or tensor.data is None or tensor.dtype not in _INTEGER_WEIGHTS:
                inputs.append(index)
                continue
            if index not in made:
                if tensor.sparsity is not None:
                    return None
                try:
                    tensors.append(with_values(tensor, real_values(tensor)))
                except ModelError:
                    return None
                made[index] = len(tensors) - 1
            inputs.append(made[index])
        operators[number] = replace(operator, inputs=tuple(inputs))
    main = replace(graph.main, tensors=tensors, operators=operators)
    return replace(graph, subgraphs=[main, *graph.subgraphs[1:]])


def rounded(graph: Graph, values: dict[int, NDArray[np.generic]]) -> dict[int, NDArray[np.generic]]:
    """Round the activations that hybrid operators read to 8 bits, as XNNPACK does.

    The range of a row (or a batch item) is widened to hold 0 and divided into 255 steps, with 0 on one of them.

    :param values: of tensors by their index, ``[samples, *shape]``.
    :returns: the same with other values where a hybrid operator reads them.
    """
    result = dict(values)
    for number, operator in enumerate(graph.operators):
        if not hybrid(graph, number):
            continue
        for index in operator.inputs:
            if index in values and values[index].dtype == np.float32:
                result[index] = _rounded(values[index], by_row=operator.op in _BY_ROW)
    return result


def _rounded(values: NDArray[np.generic], by_row: bool) -> NDArray[np.generic]:
    kept = values.shape[:-1] if by_row else values.shape[:2]
    rows: NDArray[np.float64] = values.astype(np.float64).reshape(*kept, -1)
    low, high = (np.minimum(rows.min(axis=-1, keepdims=True), 0), np.maximum(rows.max(axis=-1, keepdims=True), 0))
    step = np.where(high > low, (high - low) / 255, 1.0)
    zero = np.rint(-low / step)
    steps = np.clip(np.rint(rows / step) + zero, 0, 255)
    real: NDArray[np.generic] = ((steps - zero) * step).reshape(values.shape).astype(np.float32)
    return real
