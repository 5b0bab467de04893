"""Weights back in float32: sparse, float16, int8 and int4 weights get the values that the arithmetic used anyway."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import UsageError
from edgekit.graph import Graph
from edgekit.graph.floats import refuse_integer, restore
from edgekit.passes import PassContext, Passed, Report


@dataclass(frozen=True)
class Restored(Report):
    """How many constants were turned back into float32."""

    restored_tensors: int


class Float32:
    """The pass ``float32``: no parameters, no data."""

    name = "float32"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the Graph with float32 weights; a Graph that has them already comes back as it is.

        :raises ModelError: if activations are integers: their rounding cannot be undone.
        :raises UsageError: if the recipe gives parameters.
        """
        if context.params:
            raise UsageError(f"the pass float32 takes no parameters, but the recipe has {', '.join(context.params)}")
        refuse_integer(graph, "turned back into float32")
        restored, count = restore(graph)
        return Passed(restored, Restored(count))
