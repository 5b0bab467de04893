"""Passes: Graph -> Graph.

A pass is deterministic for a seed and never changes the Graph it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset
    from edgekit.graph import Graph


@dataclass
class PassContext:
    """What a pass may use.

    :param data: calibration or training samples; None where the user gave none.
    :param params: the pass's parameters from the recipe.
    :param source: the Graph as it was read, before the recipe's first pass; None outside a recipe.
    :param workers: who trains: a number of processes, or hosts that ssh reaches.
    :param report: what the pass wants to tell; lands under ``passes`` in the JSON of ``compile``.
    """

    data: Dataset | None = None
    params: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    source: Graph | None = None
    workers: str = "1"
    progress: Progress = field(default_factory=Silent)
    report: dict[str, Any] = field(default_factory=dict)


class Pass(Protocol):
    """One transformation of a Graph."""

    name: str

    def apply(self, graph: Graph, context: PassContext) -> Graph:
        """Return the transformed Graph.

        :raises UsageError: on wrong parameters or missing data.
        :raises ModelError: if the Graph cannot be transformed.
        """
