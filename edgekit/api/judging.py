"""What ``compress`` judges networks by: refused where it cannot be measured, before any work starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.api import job as jobs
from edgekit.api import measuring
from edgekit.compression import budget as budgeting
from edgekit.compression import yardstick as yardsticks
from edgekit.compression.yardstick import Labelled, Measured, Verdict, Yardstick
from edgekit.data import dataset
from edgekit.errors import ModelError, UsageError
from edgekit.graph.floats import refuse_integer
from edgekit.metrics import accuracy, fairness
from edgekit.metrics.tasks.gauge import own_metric
from edgekit.metrics.tasks.registry import Metric
from edgekit.metrics.tasks.results import truth
from edgekit.progress import Progress

LEAST, FEW = 20, 300
"""Samples to search on: with fewer than the first number there is no search, with fewer than the second a warning."""


def fit(limits: Sequence[budgeting.Budget], judge: Metric | None) -> None:
    """Refuse budgets on what is not measured."""
    for limit in limits:
        if judge is None and limit.name == budgeting.METRIC:
            raise UsageError(f"--budget {limit.text} bounds a metric, but there is none", "name one with --metric")
        if judge is not None and limit.name in budgeting.ACCURACY:
            raise UsageError(
                f"--budget {limit.text} bounds the accuracy, but --metric {judge.name} judges",
                "bound metric-drop, or omit --metric",
            )


def by_task(source: jobs.Source, searched: dataset.Dataset, limits: Sequence[budgeting.Budget]) -> Metric | None:
    """What the task is judged by where no metric is named; None: accuracy, which a budget may demand."""
    wants_accuracy = any(limit.name in budgeting.ACCURACY for limit in limits) and searched.labels is not None
    return None if wants_accuracy else own_metric(source.task, searched)


def usable(
    source: jobs.Source,
    searched: dataset.Dataset,
    limits: Sequence[budgeting.Budget],
    judge: Metric | None,
    progress: Progress,
) -> None:
    """Refuse networks and data that cannot be judged, before any work starts."""
    refuse_integer(source.graph, "compressed")
    if judge is not None:
        for part in (searched, source.tests):
            measuring.can_be_judged([judge], part)
    elif searched.labels is None or source.tests is None or source.tests.labels is None:
        raise UsageError(
            "compress needs labelled samples", "pass an .npz with x and y, or a folder of images per class"
        )
    if len(searched) < LEAST:
        raise UsageError(f"{len(searched)} samples to search on are too few", "pass hundreds, or better thousands")
    if judge is None:
        _labels_usable(source, searched, limits)
    if len(searched) < FEW:
        unit = "" if judge else f": one label is {100 / len(searched):.2g} points"
        progress.warn(
            f"only {len(searched)} samples to search on{unit}, so small drops cannot be distinguished; pass more --data"
        )


def _labels_usable(source: jobs.Source, searched: dataset.Dataset, limits: Sequence[budgeting.Budget]) -> None:
    if not accuracy.measurable(source.graph):
        raise ModelError(
            "the network is not a classifier, so its accuracy cannot be weighed against its cost",
            "name a metric that fits its task with --metric",
        )
    assert source.tests is not None and source.tests.labels is not None
    missing = sorted(set(range(dataset.classes(source.graph) or 0)) - set(source.tests.labels.tolist()))
    if missing and any(b.name == "class-drop" for b in limits):
        raise UsageError(
            f"the budget class-drop cannot be checked: the test data has no sample of {fairness.listed(missing)}",
            "pass --test data with samples of every class",
        )
    if any(b.name == "group-drop" for b in limits) and (searched.groups is None or source.tests.groups is None):
        raise UsageError("the budget group-drop needs groups", "add an array g to the .npz")


def yardstick(source: jobs.Source, judge: Metric | None) -> Yardstick:
    """What the search judges by."""
    if judge is None:
        return yardsticks.labels(source.graph)
    return yardsticks.ByMetric(
        judge,
        lambda graph, part: measuring.results(graph, part, source.task),
        lambda part: truth(part, source.task),
    )


def verdict(source: jobs.Source, job: jobs.Job) -> Verdict:
    """How well a compiled finalist does."""
    if job.metrics:
        judged = job.metrics[0]
        assert judged.tally is not None
        return Measured(judged, judged.tally)
    assert source.tests is not None and job.measured is not None and job.accuracy is not None
    return Labelled(job.accuracy, np.asarray(job.measured.predictions == source.tests.labels))
