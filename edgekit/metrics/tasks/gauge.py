"""A metric together with the task in whose terms it judges a network; and the metric that a task has of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.metrics.tasks.registry import METRICS, Metric
from edgekit.metrics.tasks.results import results, truth
from edgekit.metrics.tasks.tally import Score, Tally, Undefined, compare
from edgekit.tasks.anomaly import Anomaly
from edgekit.tasks.detector import Detector
from edgekit.tasks.embedder import Embedder
from edgekit.tasks.ranker import Ranker
from edgekit.tasks.regressor import Regressor
from edgekit.tasks.segmenter import Segmenter
from edgekit.tasks.transcriber import Transcriber

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset
    from edgekit.graph import Graph
    from edgekit.tasks.task import Task

_OWN = (
    (Detector, "ap50"), (Segmenter, "miou"), (Regressor, "mae"), (Ranker, "hit-rate"), (Anomaly, "auc"),
    (Embedder, "recall@1"), (Transcriber, "wer"),
)  # fmt: skip
"""What judges a decider where no metric is named. Classifiers are judged by their accuracy, top-1."""


def own_metric(task: Task | None, tests: Dataset | None) -> Metric | None:
    """The metric of a task; None where accuracy is what it is judged by, or nothing is known to be right.

    Boxes are only known of annotated pictures: what an ``.npz`` calls y may be anything.
    """
    if task is None or tests is None or tests.truth is None:
        return None
    if isinstance(task.decider, Detector) and tests.truth.dtype != object:
        return None
    return next((METRICS[name] for kind, name in _OWN if isinstance(task.decider, kind)), None)


@dataclass(frozen=True)
class Gauge:
    """A metric, and the task in whose terms it judges; None without one."""

    metric: Metric
    task: Task | None = None

    def tally(self, graph: Graph, outputs: Sequence[NDArray[Any]], samples: Dataset) -> Tally:
        """What each sample contributes.

        :param outputs: of the samples, which are in the order of their source, in the dtypes of the graph's outputs.
        :raises ValueError: if the truth is not of the kind that the metric takes.
        """
        found = results(graph, outputs, samples, self.task)
        return self.metric.judge(found.of(self.metric.subject), truth(samples, self.task))


@dataclass(frozen=True)
class Reached:
    """What a network reaches by its task's metric."""

    metric: str
    higher: bool
    samples: int
    score: Score

    def json(self) -> dict[str, Any]:
        """The field ``metric`` of the JSON of ``run``."""
        return {
            "name": self.metric, "higher_is_better": self.higher, "samples": self.samples, **self.score.json(),
        }  # fmt: skip


def reached(
    task: Task | None, graph: Graph, outputs: Sequence[NDArray[Any]], samples: Dataset, seed: int = 0
) -> Reached | None:
    """What outputs reach by the task's own metric; None where accuracy is that, or it is not defined on the samples.

    :raises UsageError: if the truth is not of the kind that the metric takes.
    """
    metric = own_metric(task, samples)
    if metric is None:
        return None
    try:
        tally = Gauge(metric, task).tally(graph, outputs, samples)
    except Undefined:
        return None
    except ValueError as error:
        raise UsageError(f"{samples.source}: {metric.name}: {error}") from error
    score = compare(tally, tally, higher=metric.higher, seed=seed).after
    return Reached(metric.name, metric.higher, tally.samples, score) if np.isfinite(score.value) else None


def value(tally: Tally) -> float:
    """The metric over all samples; NaN where it is undefined."""
    return tally.value(np.ones(tally.samples))
