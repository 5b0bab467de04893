"""Inputs that are numbers of rows: of the tables in which a network looks them up."""

from __future__ import annotations

from edgekit.graph import Graph


def vocabulary(graph: Graph, index: int, otherwise: int = 2) -> int:
    """Return how many values an integer input may take: the rows of the table it looks up, through simple operators."""
    tensors = graph.tensors
    reached, sizes = {index}, [otherwise] if otherwise > 2 else []
    for operator in graph.operators:
        if not reached.intersection(operator.inputs):
            continue
        if operator.op in ("CAST", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "STRIDED_SLICE"):
            reached.update(operator.outputs)
        elif operator.op == "GATHER" and operator.inputs[1] in reached:
            table, axis = tensors[operator.inputs[0]], getattr(operator.options, "axis", 0)
            sizes.append(table.shape[axis] if table.shape else 1)
        elif operator.op == "EMBEDDING_LOOKUP" and operator.inputs[0] in reached:
            sizes.append(tensors[operator.inputs[1]].shape[0])
        elif (
            operator.op == "ONE_HOT" and operator.inputs[0] in reached and tensors[operator.inputs[1]].data is not None
        ):
            sizes.append(int(tensors[operator.inputs[1]].array().reshape(-1)[0]))
    return max(1, min(sizes, default=otherwise))
