"""The null backend: makes nothing; the null runner executes the bundle's model on LiteRT's reference kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.backends import Artifact, Defaults, Exactness, Planned, Request
from edgekit.bundle.execution import Execution

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target


class Null(Defaults):
    """Supports whatever the reference supports."""

    name = "null"

    def exactness(self, graph: Graph) -> Exactness:
        """See :class:`edgekit.backends.Backend`."""
        return Exactness(bit_exact=True)

    def plan(self, graph: Graph, target: Target) -> Planned:
        """Nothing is refused up front; the reference kernels refuse when the bundle's golden outputs are made."""
        return Planned(graph, target)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """Leave the folder empty."""
        return Artifact({}, Execution(prover="null"), "reference kernels")
