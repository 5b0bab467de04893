"""Validate a Graph before any runtime sees it.

Every rule names the tensor or operator that breaks it, in one line.
"""

from __future__ import annotations

import math

import numpy as np

from edgekit.errors import ModelError
from edgekit.graph.ir import Graph, Operator, Subgraph, Tensor

MAX_TENSOR_BYTES = 4 << 30
MAX_RANK = 16
_MAX_LIVE_BYTES = 64 << 30


def check(graph: Graph) -> None:
    """Check everything.

    :raises ModelError: at the first rule that is broken.
    """
    check_structure(graph)
    check_quantization(graph)


def check_quantization(graph: Graph) -> None:
    """Check scales and zero points; some that are wrong can be repaired first (:mod:`edgekit.graph.repair`)."""
    for subgraph in graph.subgraphs:
        for tensor in subgraph.tensors:
            _quantization(tensor)


def check_structure(graph: Graph) -> None:
    """Check shapes, constants, indices, the order of operators, and signatures."""
    for number, subgraph in enumerate(graph.subgraphs):
        for tensor in subgraph.tensors:
            _tensor(tensor)
        _indices(subgraph)
        _order(subgraph, main=number == 0)
        if sum(t.nbytes for t in subgraph.tensors) > _MAX_LIVE_BYTES:
            raise ModelError("its tensors together need more than 64 GiB")
    if not graph.main.outputs:
        raise ModelError("the network has no outputs")
    for signature in graph.signatures:
        if signature.subgraph >= len(graph.subgraphs):
            raise ModelError(f"signature {signature.key!r} names subgraph {signature.subgraph}, which does not exist")
        count = len(graph.subgraphs[signature.subgraph].tensors)
        for name, index in (signature.inputs | signature.outputs).items():
            if not 0 <= index < count:
                raise ModelError(f"signature {signature.key!r}: {name!r} names tensor {index} of {count}")


def _tensor(tensor: Tensor) -> None:
    label = f"tensor {tensor.name[:80]!r}"
    if len(tensor.shape) > MAX_RANK:
        raise ModelError(f"{label} has {len(tensor.shape)} dimensions; the most is {MAX_RANK}")
    if any(d < -1 for d in tensor.shape) or (tensor.data is not None and any(d < 0 for d in tensor.shape)):
        raise ModelError(f"{label} has a negative dimension in its shape {list(tensor.shape)}")
    if tensor.nbytes > MAX_TENSOR_BYTES:
        raise ModelError(f"{label} of shape {list(tensor.shape)} is larger than 4 GiB")
    if tensor.is_dense and tensor.data is not None and tensor.data.size != tensor.nbytes:
        wanted = f"{tensor.nbytes} bytes for {tensor.dtype} {list(tensor.shape)}"
        raise ModelError(f"{label} holds {tensor.data.size} bytes of data, but needs {wanted}")


def _quantization(tensor: Tensor) -> None:
    label = f"tensor {tensor.name[:80]!r}"
    q = tensor.quantization
    if q is None or q.scale.size == 0:
        return
    if not np.isfinite(q.scale).all() or (q.scale < 0).any():
        raise ModelError(f"{label} has a scale that is negative or not a number")
    if q.zero_point.size not in (1, q.scale.size):
        raise ModelError(f"{label} has {q.scale.size} scales but {q.zero_point.size} zero points")
    if q.per_channel and not (0 <= q.axis < len(tensor.shape) and tensor.shape[q.axis] == q.scale.size):
        raise ModelError(f"{label}: {q.scale.size} scales do not fit dimension {q.axis} of {list(tensor.shape)}")


def _indices(subgraph: Subgraph) -> None:
    count = len(subgraph.tensors)

    def within(where: str, indices: tuple[int, ...], lowest: int) -> None:
        for index in indices:
            if not lowest <= index < count:
                raise ModelError(f"{where} names tensor {index}, but there are {count} tensors")

    within("an input of the network", subgraph.inputs, 0)
    within("an output of the network", subgraph.outputs, 0)
    for number, operator in enumerate(subgraph.operators):
        label = f"operator {number} ({operator.op[:40]})"
        within(label, operator.inputs, -1)
        within(label, operator.outputs, 0)
        within(label, operator.intermediates, 0)


def _order(subgraph: Subgraph, *, main: bool) -> None:
    """Each value is made once, before it is used."""
    ready = set(subgraph.inputs)
    ready |= {i for i, t in enumerate(subgraph.tensors) if _given(t)}
    for number, operator in enumerate(subgraph.operators):
        label = f"operator {number} ({operator.op[:40]})"
        _used(subgraph, operator, ready, label)
        for index in operator.outputs:
            tensor = subgraph.tensors[index]
            if index in ready and not tensor.is_variable and tensor.dtype != "resource" and tensor.elements:
                raise ModelError(f"{label} writes tensor {index}, which already has a value")
            ready.add(index)
    for index in subgraph.outputs:
        if main and index not in ready:
            raise ModelError(f"output tensor {index} is never computed")


def _used(subgraph: Subgraph, operator: Operator, ready: set[int], label: str) -> None:
    for index in operator.inputs:
        if index >= 0 and index not in ready:
            name = subgraph.tensors[index].name[:80]
            raise ModelError(
                f"{label} uses tensor {index} ({name!r}) before it is computed (a cycle, or a wrong order)"
            )


def _given(tensor: Tensor) -> bool:
    """True if the tensor has a value before the first operator runs."""
    return tensor.data is not None or tensor.is_variable or math.prod(tensor.shape) == 0 or tensor.dtype == "resource"
