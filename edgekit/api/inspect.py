"""Inspect a model: its operators and their cost, without running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgekit import bundle as bundles
from edgekit import delegates, plugins, target
from edgekit.api.load import load
from edgekit.backends import Unsupported, unsupported
from edgekit.delegates import Advice
from edgekit.graph import Graph
from edgekit.graph.stats import Statistics, statistics
from edgekit.progress import Progress, Silent
from edgekit.readers import ReadOptions
from edgekit.readers.shapes import no_shapes
from edgekit.readers.shapes import parse as parse_shapes


@dataclass(frozen=True)
class Inspection:
    """A Graph, its statistics, and what cannot be compiled for each target.

    For targets that were named, also what their accelerators support.
    """

    graph: Graph
    statistics: Statistics
    unsupported: dict[str, list[Unsupported]]
    delegates: dict[str, list[Advice]]

    def json(self) -> dict[str, Any]:
        """Return the JSON document of ``inspect``."""
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
                {
                    "name": name,
                    "ok": not missing,
                    "unsupported": [asdict(m) for m in missing],
                    "delegates": [advice.json() for advice in self.delegates.get(name, [])],
                }
                for name, missing in self.unsupported.items()
            ],
            "notes": self.graph.notes,
            "signatures": [signature.key for signature in self.graph.signatures],
        }


def inspect(
    path: str | Path, *, targets: Sequence[str] = (), shapes: Sequence[str] = (), trust: bool = False,
    progress: Progress = Silent(),
) -> Inspection:  # fmt: skip
    """Inspect a model, or the model in a bundle.

    :param targets: the targets to report on, with what their accelerators support; without any, every target in brief.
    :param shapes: shapes of inputs that the model leaves open, as for ``compile``.
    :raises ModelError: if it cannot be read.
    """
    wanted = parse_shapes(shapes)
    boards = [target.load(name) for name in dict.fromkeys(targets)]
    path = Path(path)
    if bundles.is_bundle(path):
        no_shapes(shapes)
        with bundles.opened(path) as bundle:
            graph = bundle.graph
    else:
        progress.step(f"read {path.name}")
        graph = load(path, options=ReadOptions(trust=trust, shapes=wanted, progress=progress))
    names = [board.name for board in boards] or target.names()
    advice = {board.name: delegates.for_target(graph, board) for board in boards}
    return Inspection(graph, statistics(graph), _missing(graph, [target.load(name) for name in names]), advice)


def _missing(graph: Graph, boards: Sequence[target.Target]) -> dict[str, list[Unsupported]]:
    """Return what each target's best backend cannot compile: the shortest list among its backends.

    Targets of one kind and architecture share a backend's analysis, which can take seconds; none is made for a target
    one of whose backends can compile everything.
    """
    known: dict[tuple[str, str, str], list[Unsupported]] = {}
    result = {}
    for board in boards:
        lists = []
        for name in (name for name in board.backends if name != "null"):
            key = name, board.kind, board.arch
            if key not in known:
                known[key] = unsupported(plugins.get("backends", name), graph, board)
            lists.append(known[key])
            if not known[key]:
                break
        result[board.name] = min(lists, key=len, default=[])
    return result
