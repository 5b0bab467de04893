"""What a model is and what it costs, without running it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgekit import bundle as bundles
from edgekit import plugins, target
from edgekit.api.load import load
from edgekit.backends import Unsupported
from edgekit.graph import Graph
from edgekit.graph.stats import Statistics, statistics
from edgekit.progress import Progress, Silent
from edgekit.readers import ReadOptions


@dataclass(frozen=True)
class Inspection:
    """A Graph, its statistics, and for every target what cannot be compiled."""

    graph: Graph
    statistics: Statistics
    unsupported: dict[str, list[Unsupported]]

    def json(self) -> dict[str, Any]:
        s = self.statistics
        return {
            "schema": 1,
            "inputs": [t.json() for t in self.graph.inputs],
            "outputs": [t.json() for t in self.graph.outputs],
            "parameters": s.parameters,
            "macs": s.macs,
            "weights_bytes": s.weights_bytes,
            "peak_activation_bytes": s.peak_activation_bytes,
            "operators": [{**asdict(row), "bytes": row.bytes} for row in s.operators],
            "targets": [
                {"name": name, "ok": not missing, "unsupported": [asdict(m) for m in missing]}
                for name, missing in self.unsupported.items()
            ],
            "notes": self.graph.notes,
            "signatures": [signature.key for signature in self.graph.signatures],
        }


def inspect(path: str | Path, *, trust: bool = False, progress: Progress = Silent()) -> Inspection:
    """Inspect a model, or the model in a bundle.

    :raises ModelError: if it cannot be read.
    """
    path = Path(path)
    if bundles.is_bundle(path):
        with bundles.opened(path) as bundle:
            graph = bundle.graph
    else:
        progress.step(f"read {path.name}")
        graph = load(path, options=ReadOptions(trust=trust, progress=progress))
    return Inspection(graph, statistics(graph), {name: _missing(graph, name) for name in target.names()})


def _missing(graph: Graph, name: str) -> list[Unsupported]:
    """What the target's best backend cannot compile: the shortest list among its backends."""
    board = target.load(name)
    lists = [plugins.get("backends", b).unsupported(graph, board) for b in board.backends if b != "null"]
    return min(lists, key=len, default=[])
