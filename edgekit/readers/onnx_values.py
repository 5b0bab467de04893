"""Names and sizes in an ONNX model that converters cannot handle. For the child process that has onnx."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from edgekit.onnx.node import rename_graph

ANONYMOUS = frozenset({"", "?", "-1", "*", "None", "none", "unknown", "dynamic"})
"""What exporters write for an open size that has no name: two of them need not be equal."""
_PLAIN, _USUAL = re.compile(r"[A-Za-z0-9_]+"), re.compile(r"[A-Za-z0-9_./:-]+")


def open_sizes(graph: Any) -> None:
    """Clear sizes that are open without a name, or negative, which means the same, in this graph and all inner ones."""
    for each in _graphs(graph):
        for value in (*each.input, *each.output, *each.value_info):
            if value.type.WhichOneof("value") != "tensor_type":
                continue
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_value < 0 or (dim.HasField("dim_param") and dim.dim_param.strip() in ANONYMOUS):
                    dim.Clear()


def plain_names(graph: Any) -> dict[str, str]:
    """Give values that have odd names others; return the new names by the old ones.

    Converters change names that TensorFlow would not take, and then two may be the same, or one is not found again:
    inputs and outputs get letters and digits only, other values what usual exporters write.
    """
    ends = {value.name for value in (*graph.input, *graph.output)}
    values: dict[str, None] = {}
    for each in _graphs(graph):
        values |= dict.fromkeys(value.name for value in (*each.input, *each.output, *each.initializer))
        values |= dict.fromkeys(name for node in each.node for name in (*node.input, *node.output))
    odd = [name for name in values if name and not (_PLAIN if name in ends else _USUAL).fullmatch(name)]
    free = (name for n in range(len(values) + len(odd) + 1) if (name := f"value_{n}") not in values)
    names = dict(zip(odd, free, strict=False))
    if names:
        rename_graph(graph, names)
    return names


def _graphs(graph: Any) -> Iterator[Any]:
    pending = [graph]
    while pending:
        each = pending.pop()
        yield each
        for node in each.node:
            for entry in node.attribute:
                pending += [entry.g] if entry.HasField("g") else []
                pending += entry.graphs
