"""What a training may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset
    from edgekit.graph import Graph
    from edgekit.metrics.tasks.gauge import Gauge


@dataclass(frozen=True)
class Context:
    """What a training may use, and every pass.

    :param data: calibration or training samples; None where the user gave none.
    :param source: the Graph as it was read, before the recipe's first pass; None outside a recipe.
    :param workers: who trains: a number of processes, or hosts that ssh reaches.
    :param gauge: the metric by which the network is judged, on the truth in ``data``; None: by its labels, if any.
    """

    data: Dataset | None = None
    seed: int = 0
    source: Graph | None = None
    workers: str = "1"
    progress: Progress = field(default_factory=Silent)
    gauge: Gauge | None = None
