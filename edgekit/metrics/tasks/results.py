"""What a network makes of samples, in its task's terms, and what is right for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.tasks import boxes, masks, recordings, registry
from edgekit.metrics.tasks.registry import Results
from edgekit.tasks.anomaly import Anomaly
from edgekit.tasks.detector import Detector
from edgekit.tasks.picture import Picture
from edgekit.tasks.regressor import Regressor
from edgekit.tasks.segmenter import Segmenter
from edgekit.tasks.transcriber import Transcriber

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset
    from edgekit.graph import Graph
    from edgekit.tasks.task import Task


def results(graph: Graph, outputs: Sequence[NDArray[Any]], tests: Dataset, task: Task | None) -> Results:
    """What a network makes of samples.

    :param outputs: of all samples, ``[samples, *tensor shape]``, in the dtypes of the graph's outputs.
    """
    if task is not None and isinstance(task.decider, Anomaly):
        return Results([recordings.scores(task.decider, graph, outputs, tests)])
    real = registry.real(outputs, graph.outputs)
    if task is not None and isinstance(task.decider, Regressor):
        real[0] = task.decider.in_unit(real[0].astype(np.float64))
    found = Results(real)
    if task is not None and isinstance(task.decider, Transcriber):
        return replace(found, texts=recordings.texts(task.decider, task.source, graph, outputs, tests))
    if task is None or tests.sizes is None or not isinstance(task.source, Picture):
        return found
    if isinstance(task.decider, Detector):
        return replace(found, boxes=boxes.found(task.decider, task.source, graph, outputs, tests.sizes))
    if isinstance(task.decider, Segmenter):
        return replace(found, masks=masks.Masks(task.decider, task.source, graph, outputs, tests.sizes))
    return found


def truth(tests: Dataset, task: Task | None) -> NDArray[Any]:
    """What is right for the samples; for each recording where a task judges those."""
    assert tests.truth is not None
    by_recording = task is not None and isinstance(task.decider, Anomaly | Transcriber)
    return recordings.truth(tests) if by_recording else tests.truth


def in_order(samples: Dataset) -> Dataset:
    """The samples in the order of their source, so that a recording's clips are together."""
    return samples if samples.index is None else samples.take(np.argsort(samples.index, kind="stable"))
