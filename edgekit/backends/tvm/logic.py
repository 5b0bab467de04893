"""Rules for truth values, choices and plain types: comparisons, SELECT, LOGICAL_*, CAST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.backends.tvm.strided import alike
from edgekit.backends.tvm.views import compute, view
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering

COMPARISONS = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
LOGICAL = ("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT")
SELECTS = ("SELECT", "SELECT_V2")


def typed(self: Lowering, number: int, operator: Operator) -> None:
    """Element by element, operands of shapes that broadcast, of more than one type."""
    target = operator.outputs[0]
    self.make(target)
    made = view(self, target)
    given = []
    for index in operator.inputs:
        one = view(self, index)
        places = one.places
        if operator.op == "SELECT" and places.ndim == 1 and made.places.ndim > 1 and index == operator.inputs[0]:
            places = places.reshape(-1, *(1,) * (made.places.ndim - 1), copy=False)  # one value a row
        given.append(one.seen(np.broadcast_to(places, made.places.shape)))
    params: dict[str, Any] = {}
    if operator.op in COMPARISONS and self.graph.tensors[operator.inputs[0]].dtype == "int8":
        params["scales"] = [list(self.scale(i)) for i in operator.inputs]
    if operator.op == "CAST":
        params["truth"] = self.graph.tensors[target].dtype == "bool"
    function = "select" if operator.op in SELECTS else operator.op.lower()
    compute(self, number, function, given, made, params)


def typed_obstacle(graph: Graph, operator: Operator) -> str:
    tensors = [graph.tensors[i] for i in operator.inputs]
    if all(t.data is not None for t in tensors):
        return "all its operands are constants"
    if operator.op in COMPARISONS and tensors[0].dtype != tensors[1].dtype:
        return "its operands have different types"
    if operator.op == "CAST" and "int8" in (tensors[0].dtype, graph.tensors[operator.outputs[0]].dtype):
        return "edgekit's TVM backend has no kernel for int8"
    return alike(graph, operator) if operator.op in SELECTS else ""
