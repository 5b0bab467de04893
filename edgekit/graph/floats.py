"""Float32 versions of networks whose weights are stored otherwise: sparse, in float16, int8 or int4."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.graph.edit import compact, with_values
from edgekit.graph.ir import Graph, Subgraph, Tensor
from edgekit.graph.sparse import densified

_INTEGERS = ("int2", "int4", "int8", "uint4", "uint8", "int16")


def refuse_integer(graph: Graph, verb: str) -> None:
    """:raises ModelError: if the Graph's activations are integers."""
    if graph.is_quantized:
        raise ModelError(
            f"the network is already quantized to integers and cannot be {verb}",
            "compile it as it is: --recipe as-is, or start from the float model",
        )


def restore(graph: Graph, *, dense: bool = True) -> tuple[Graph, int]:
    """Return a float network with all weights in float32, and how many tensors that changed.

    Three forms are undone: a sparse constant behind a ``DENSIFY`` operator; a constant behind a ``DEQUANTIZE`` operator
    (float16 and weight-only networks), whose output becomes the constant; and integer weights that a float operator
    takes directly (dynamic range).

    :param dense: False leaves what is stored sparse as it is.
    :raises ModelError: if a sparse constant is damaged.
    """
    count = 0
    subgraphs = []
    for subgraph in graph.subgraphs:
        restored, changed = _restore(subgraph, dense)
        subgraphs.append(restored)
        count += changed
    return (compact(replace(graph, subgraphs=subgraphs)), count) if count else (graph, 0)


def _restore(subgraph: Subgraph, dense: bool) -> tuple[Subgraph, int]:
    tensors = list(subgraph.tensors)
    kept = []
    count = 0
    for operator in subgraph.operators:
        if dense and operator.op == "DENSIFY" and tensors[operator.inputs[0]].sparsity is not None:
            target = operator.outputs[0]
            tensors[target] = replace(densified(tensors[operator.inputs[0]]), name=tensors[target].name)
            count += 1
            continue
        source = tensors[operator.inputs[0]] if operator.op == "DEQUANTIZE" else None
        if source is None or source.data is None or source.sparsity is not None:
            kept.append(operator)
            continue
        target = operator.outputs[0]
        tensors[target] = with_values(tensors[target], real_values(source))
        count += 1
    for index, tensor in enumerate(tensors):
        if tensor.data is None or tensor.sparsity is not None or not tensor.has_scale:
            continue
        if tensor.dtype in _INTEGERS and any(index in operator.inputs for operator in kept):
            tensors[index] = with_values(tensor, real_values(tensor))
            count += 1
    return replace(subgraph, tensors=tensors, operators=kept), count


def real_values(tensor: Tensor) -> NDArray[np.float32]:
    """Return the real values of a constant, float32, in the tensor's shape.

    :raises ModelError: if it is an integer without a scale, or quantized block by block.
    """
    values: NDArray[Any] = tensor.array()
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    if tensor.quantization is None or not tensor.has_scale:
        raise ModelError(f"tensor {tensor.name!r} is {tensor.dtype} without a scale")
    if tensor.quantization.details is not None:
        raise ModelError(f"tensor {tensor.name!r} is quantized block by block, which edgekit cannot undo")
    return tensor.quantization.dequantize(values)
