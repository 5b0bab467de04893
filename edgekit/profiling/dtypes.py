"""What a network computes in."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.graph import Graph


class Dtype(StrEnum):
    """The dtype of a network's arithmetic; ``HYBRID``: float activations, integer weights."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    HYBRID = "hybrid"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"


_INTEGER = {str(dtype): dtype for dtype in (Dtype.INT8, Dtype.UINT8, Dtype.INT16)}


def dtype_of(graph: Graph) -> Dtype:
    """Return the dtype of the network's integer activations, or of its weights where those are float."""
    from edgekit.reference.hybrid import is_hybrid  # lists of boards name dtypes and need no NumPy

    for tensor in graph.tensors:
        if tensor.data is None and tensor.quantization is not None and tensor.dtype in _INTEGER:
            return _INTEGER[tensor.dtype]
    if is_hybrid(graph):
        return Dtype.HYBRID
    return Dtype.FLOAT16 if any(t.dtype == Dtype.FLOAT16 for t in graph.constants()) else Dtype.FLOAT32
