"""Removal of what no runtime reads: long names, recorded ranges, the converter's notes.

In a small network these are most of the file. What people and programs read stays: the names of inputs, outputs and
signatures, a short name of each result, and the metadata with which task libraries describe a model.
"""

from __future__ import annotations

import re
from dataclasses import replace

from edgekit.errors import UsageError
from edgekit.graph import Graph, Subgraph, Tensor
from edgekit.passes import PassContext, Passed

LONGEST_NAME = 24
"""Characters that are kept of a result's name: its end, which says more than its beginning."""
KEPT_METADATA = ("TFLITE_METADATA", "reduced_precision_support")
"""Metadata that programs read: task libraries, and TFLite's delegates."""


class Trim:
    """The pass ``trim``: no data; the parameter ``enabled`` (default: true) turns it off. It computes the same."""

    name = "trim"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the Graph with short names.

        :raises UsageError: on wrong parameters.
        """
        unknown = set(context.params) - {"enabled"}
        if unknown:
            raise UsageError(f"trim: there is no parameter {sorted(unknown)[0]!r}", "known: enabled")
        enabled = context.params.get("enabled", True)
        if not isinstance(enabled, bool):
            raise UsageError(f"trim: enabled is {enabled!r}", "it must be true or false")
        return Passed(trimmed(graph) if enabled else graph)


def trimmed(graph: Graph) -> Graph:
    """Return the Graph with short names, and without what no runtime reads."""
    subgraphs = [_trimmed(subgraph) for subgraph in graph.subgraphs]
    metadata = {name: content for name, content in graph.metadata.items() if name in KEPT_METADATA}
    return replace(graph, subgraphs=subgraphs, metadata=metadata, description="")


def _trimmed(subgraph: Subgraph) -> Subgraph:
    ends = {*subgraph.inputs, *subgraph.outputs}
    tensors = []
    for index, tensor in enumerate(subgraph.tensors):
        q = tensor.quantization
        if q is not None and (q.minimum is not None or q.maximum is not None):
            q = replace(q, minimum=None, maximum=None)
        name = tensor.name if index in ends or tensor.is_variable else _short(tensor)
        tensors.append(replace(tensor, name=name, quantization=q))
    return replace(subgraph, tensors=tensors)


def _short(tensor: Tensor) -> str:
    """A result's layer and operation; nothing for a constant, which its operator says enough of."""
    if tensor.data is not None:
        return ""
    parts = [part for part in tensor.name.split(";")[0].split("/") if part]
    name = "/".join(parts[-2:])
    if len(name) <= LONGEST_NAME:
        return name
    end = name[-LONGEST_NAME:]
    if name[-LONGEST_NAME - 1] not in "/_":  # it begins within a word: what is left of a short one goes, too
        end = re.sub("^[^/_]{1,8}(?=[/_])", "", end)
    return end.lstrip("/_")
