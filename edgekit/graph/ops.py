"""Traits of operators that several parts of edgekit need."""

from __future__ import annotations

from edgekit.graph.ir import Operator

MOVES = (
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "UNPACK", "GATHER",
)  # fmt: skip
"""Operators whose results are elements of one input."""
JOINS = ("CONCATENATION", "PACK")
SUMS = ("ADD", "SUB", "MUL")
FIXED = ("SOFTMAX", "LOGISTIC", "TANH")
"""Operators whose scale is given by TFLite's specification: it suits all their channels."""


def suits(made: dict[int, Operator], tensor: int) -> bool:
    """True if the specification gives the tensor's values their scale, which suits all of them."""
    operator = made.get(tensor)
    if operator is None:
        return False
    if operator.op in ("CONCATENATION", "PACK"):
        return all(suits(made, i) for i in operator.inputs)
    if operator.op in (*MOVES, "QUANTIZE", "DEQUANTIZE"):
        return any(suits(made, i) for i in operator.inputs)
    return operator.op in FIXED
