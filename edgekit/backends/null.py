"""The null backend: makes nothing; the null runner executes the bundle's model on LiteRT's reference kernels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends import Artifact, Unsupported
from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target


class Null:
    """Supports whatever the reference supports."""

    name = "null"
    bit_exact = True

    def unsupported(self, graph: Graph, target: Target) -> list[Unsupported]:
        """Nothing is refused up front; the reference kernels refuse when the bundle's golden outputs are made."""
        return []

    def compile(
        self, graph: Graph, model: Path, target: Target, folder: Path, progress: Progress = Silent()
    ) -> Artifact:
        """Leave ``folder`` empty."""
        return Artifact(runtime="reference kernels")
