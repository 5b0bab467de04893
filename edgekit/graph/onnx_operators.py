"""Operators of ONNX in a Graph: custom operators named ``ONNX_<operator>``, whose options hold the ONNX node.

A network that cannot be had in TFLite's operators is kept in these, one for each node; all shapes are known.
:mod:`edgekit.onnx` makes and computes them. The options are a serialized ``ModelProto`` without inputs and outputs:
the operator set's version and the one node, whose inputs and outputs are named by their place, absent ones ``""``.
"""

from __future__ import annotations

from edgekit.graph.ir import Graph, Operator

PREFIX = "ONNX_"


def from_onnx(operator: Operator) -> bool:
    """True if the operator is a node of ONNX."""
    return operator.custom and operator.op.startswith(PREFIX)


def has_onnx(graph: Graph) -> bool:
    """True if any operator of the main subgraph is a node of ONNX."""
    return any(from_onnx(operator) for operator in graph.operators)
