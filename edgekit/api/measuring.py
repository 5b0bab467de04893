"""What a recipe costs: accuracy and metrics before and after it, and the bounds that users and recipes set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgekit.compression.budget import METRIC, Budget
from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Graph
from edgekit.metrics import accuracy, fairness
from edgekit.metrics.tasks import registry
from edgekit.metrics.tasks import results as made
from edgekit.metrics.tasks.gauge import Gauge, own_metric
from edgekit.metrics.tasks.registry import Judged, Metric, Results
from edgekit.passes import recipe
from edgekit.progress import Progress
from edgekit.tasks.task import Task

if TYPE_CHECKING:
    from edgekit.api.job import Job, Source
    from edgekit.data.dataset import Dataset


def accuracy_report(source: Source, job: Job, progress: Progress) -> dict[str, Any] | None:
    """Compare accuracy before and after, in total, by class and by group, and check the recipe's bounds."""
    plan = job.recipe
    if source.tests is None or job.measured is None or source.measured is None:
        if plan.bounds:
            raise UsageError(f"the recipe {plan.name!r} bounds the accuracy, but the network is not a classifier")
        return None
    found = accuracy.report(source.measured, job.measured, source.tests, source.graph)
    if found["missing_classes"]:
        progress.note(
            f"no sample of {fairness.listed(found['missing_classes'])}: nothing is known about their accuracy"
        )
    if plan.bounds:
        fairness.check(plan.bounds, found)
    return found


def judge(
    source: Source, job: Job, metrics: Sequence[Metric], progress: Progress, own: Metric | None = None
) -> list[Judged]:
    """Compare the network before and after its recipe by each metric.

    :param own: one of them that nobody named, so that samples on which it is not defined are no reason to stop.
    """
    if not metrics:
        return []
    assert source.tests is not None
    progress.step("measure " + ", ".join(metric.name for metric in metrics))
    truth = made.truth(source.tests, source.task)
    before = results(source.graph, source.tests, source.task)
    after = results(job.graph, source.tests, source.task) if job.recipe.steps else before
    # The clips of a recording are judged together: their groups are not known.
    groups = source.tests.groups if len(truth) == len(source.tests) else None
    found = []
    for metric in metrics:
        try:
            found.append(registry.compare(metric, before, after, truth, seed=job.seed, groups=groups))
        except registry.NotDefined as error:
            if metric is not own:
                raise
            progress.note(f"{error.message}: nothing is said of what the recipe costs by it")
    return found


def results(graph: Graph, tests: Dataset, task: Task | None) -> Results:
    """Run samples; return what the network makes of them, in its task's terms."""
    return made.results(graph, accuracy.outputs_of(graph, graph, tests), tests, task)


def aim(source: Source, metrics: Sequence[Metric]) -> Gauge | None:
    """What passes that search for accuracy are to keep: the task's own metric, or the first that is named.

    None: the share of right labels, where there are labels, or how much the outputs differ.
    """
    samples = source.samples
    if samples is None or samples.truth is None or samples.labels is not None:
        return None
    chosen = metrics[0] if metrics else own_metric(source.task, samples)
    return None if chosen is None else Gauge(chosen, source.task)


def drops_checked(limits: Sequence[Budget], judged: Sequence[Judged], plan: recipe.Recipe) -> None:
    """Hold what a recipe costs against ``metric-drop``, which bounds each metric in its own unit.

    :raises CheckFailed: if it costs more.
    """
    for limit in limits:
        for one in judged:
            drop = one.found.drop
            if limit.excess(drop.value) > 0:
                raise CheckFailed(
                    f"the recipe {plan.name!r} costs {drop.value:.3g} of {one.metric} ({drop.low:.3g} to "
                    f"{drop.high:.3g}), more than {limit.text}",
                    "use another recipe, or allow more",
                )


def with_bound(metrics: Sequence[Metric], plan: recipe.Recipe) -> Sequence[Metric]:
    """The metrics, and the one that the recipe bounds."""
    name = plan.bounds.metric
    return metrics if name in (None, *(m.name for m in metrics)) else [*metrics, registry.METRICS[str(name)]]


def check_bound(plan: recipe.Recipe, judged: Sequence[Judged]) -> None:
    """Hold the recipe's own bound on a metric against what it costs."""
    limit = plan.bounds.metric_drop
    if limit is not None:
        bound = Budget(METRIC, limit, f"its bound metric_drop={limit:g}")
        drops_checked([bound], [one for one in judged if one.metric == plan.bounds.metric], plan)
    if plan.bounds.metric_group_drop is not None:
        for one in judged:
            if one.metric == plan.bounds.metric:
                _check_groups(plan, one, plan.bounds.metric_group_drop)


def _check_groups(plan: recipe.Recipe, judged: Judged, most: float) -> None:
    lost = [group for group in judged.groups or () if group.found is not None and group.found.drop.value > most]
    if not lost:
        return
    worst = max(lost, key=lambda group: group.found.drop.value if group.found else 0.0)
    assert worst.found is not None
    drop = worst.found.drop
    raise CheckFailed(
        f"the recipe {plan.name!r} costs group {worst.name} {drop.value:.3g} of {judged.metric} ({drop.low:.3g} to "
        f"{drop.high:.3g}) on {worst.samples} samples, more than its bound metric_group_drop={most:g}",
        "use another recipe, or allow more",
    )


def can_be_judged(metrics: Sequence[Metric], tests: Dataset | None) -> None:
    """Refuse metrics without truth, before any work starts."""
    if metrics and (tests is None or tests.truth is None):
        raise UsageError(
            f"--metric {metrics[0].name} needs to know what is right", "pass --test or --data with x and y"
        )


def check_bounds_apply(plan: recipe.Recipe, tests: Dataset | None) -> None:
    """Refuse data on which the recipe's bounds cannot be checked, before any work starts."""
    if plan.bounds and (tests is None or tests.labels is None):
        other = "bound another metric: metric and metric_drop (docs/recipes.md)"
        raise UsageError(
            f"the recipe {plan.name!r} bounds the accuracy, which needs labels",
            other if tests is not None and tests.truth is not None else "pass --test or --data with x and y",
        )
    for name in ("group_drop", "metric_group_drop"):
        if getattr(plan.bounds, name) is not None and tests is not None and tests.groups is None:
            raise UsageError(
                f"the recipe {plan.name!r} bounds {name}, which needs groups", "add an array g to the .npz"
            )
