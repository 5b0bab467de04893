"""Golden inputs: the samples on which an artifact is proven, and the pictures that some of them are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.bundle import material
from edgekit.bundle.material import Material
from edgekit.data import dataset, shrunk
from edgekit.data.sources import network_inputs, synthesized
from edgekit.graph.stats import statistics
from edgekit.tasks.picture import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.data.dataset import Dataset
    from edgekit.graph import Graph
    from edgekit.tasks.task import Task

MOST, LEAST = 16, 2
MACS = 400_000_000
"""MACs that all golden samples together may take, so that proving in an emulator takes seconds."""


def count(graph: Graph) -> int:
    """How many samples suit a network."""
    return max(LEAST, min(MOST, MACS // max(1, statistics(graph).macs)))


def inputs(
    graph: Graph, samples: Dataset | None, seed: int, wanted: int, task: Task | None = None
) -> tuple[list[NDArray[Any]], Material | None]:
    """Golden inputs, ``[n, *tensor shape]`` each, drawn from the samples; and the pictures of a task that takes some.

    Where the samples are pictures, some are kept, made smaller if they are large; otherwise as many are synthesized,
    and add to the ``wanted`` samples.
    """
    chosen = samples.subset(wanted, seed) if samples is not None else dataset.random(graph, seed=seed, samples=wanted)
    found = dataset.as_network_inputs(chosen, graph)
    if task is None or not isinstance(task.source, Picture):
        return found, None
    kept = min(material.MOST, max(1, len(chosen) // 4))
    if chosen.files is not None and chosen.sizes is not None:
        pictures = shrunk.read(chosen.files[:kept].tolist(), material.MOST_PIXELS)
        rows = list(range(len(pictures)))
    else:
        pictures = synthesized(graph, kept, material.MOST_PIXELS, seed)
        rows = list(range(len(chosen), len(chosen) + len(pictures)))
        found = [np.concatenate([each, np.zeros_like(each, shape=(len(rows), *each.shape[1:]))]) for each in found]
    for row, picture in zip(rows, pictures, strict=True):
        for each, made in zip(found, network_inputs(task.source, picture, graph), strict=True):
            each[row] = made
    return found, Material(tuple(rows), tuple(pictures))
