"""Loops and branches: which subgraphs an operator runs, and how often.

TFLite keeps the bodies of WHILE, IF and CALL in subgraphs of their own. How often a loop turns is in general known
only when it runs; the usual recurrent layer counts a variable from a constant up to a constant, one at a time, and
that is recognised here.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.graph.ir import Graph, Operator, Subgraph

MAX_DEPTH = 50
"""Bodies nested deeper than this are not followed."""


@dataclass(frozen=True)
class Body:
    """A subgraph that an operator runs ``turns`` times; None where that is not known beforehand."""

    subgraph: int
    turns: int | None


def bodies(graph: Graph, subgraph: Subgraph, operator: Operator) -> list[Body]:
    """Return what ``operator`` of ``subgraph`` runs: of a branch both sides, each perhaps."""
    options = operator.options
    if operator.op == "WHILE" and options is not None:
        turns = _turns(graph, subgraph, operator)
        checks = None if turns is None else turns + 1
        found = [Body(options.bodySubgraphIndex, turns), Body(options.condSubgraphIndex, checks)]
    elif operator.op == "IF" and options is not None:
        found = [Body(options.thenSubgraphIndex, None), Body(options.elseSubgraphIndex, None)]
    elif operator.op == "CALL" and options is not None:
        found = [Body(options.subgraph, 1)]
    elif operator.op == "CALL_ONCE" and options is not None:
        found = [Body(options.initSubgraphIndex, 0)]  # once in the life of the network, not once an inference
    else:
        found = []
    return [body for body in found if 0 < body.subgraph < len(graph.subgraphs)]


def _turns(graph: Graph, subgraph: Subgraph, operator: Operator) -> int | None:
    """Turns of ``while i < N`` with constant start and N, by steps of one; the least of several such conditions."""
    index = operator.options.condSubgraphIndex
    if not 0 < index < len(graph.subgraphs):
        return None
    condition = graph.subgraphs[index]
    known = []
    for test in condition.operators:
        if test.op != "LESS" or test.inputs[0] not in condition.inputs:
            continue
        start = _integer(subgraph, operator.inputs[condition.inputs.index(test.inputs[0])])
        end = _integer(condition, test.inputs[1])
        if start is not None and end is not None:
            known.append(max(0, end - start))
    return min(known, default=None)


def _integer(subgraph: Subgraph, index: int) -> int | None:
    """The value of a constant integer scalar."""
    tensor = subgraph.tensors[index] if index >= 0 else None
    if tensor is None or tensor.data is None or tensor.dtype not in ("int32", "int64") or tensor.elements != 1:
        return None
    return int(tensor.array().reshape(-1)[0])
