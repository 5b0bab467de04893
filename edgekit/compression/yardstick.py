"""What candidates are judged by: right labels, or the metric of a task. Both go through the same search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.compression.budget import METRIC
from edgekit.data import dataset
from edgekit.data.dataset import Dataset
from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph
from edgekit.metrics import accuracy, fairness
from edgekit.metrics.tasks.registry import Judged, Metric, Results
from edgekit.metrics.tasks.tally import Score, Tally, compare


@dataclass(frozen=True)
class Scale:
    """What a loss is counted in.

    :param drop: the budget that bounds it. :param lost: heading of its column.
    :param point: what counts as a point of accuracy does: a hundredth of what the uncompressed network reaches.
    """

    name: str = "accuracy"
    drop: str = "accuracy-drop"
    lost: str = "points lost"
    axis: str = "points of accuracy"
    point: float = 1.0


class Yardstick(Protocol):
    """Judges networks by what they make of samples."""

    def look(self, graph: Graph, samples: Dataset, count: int, known: Any) -> Any:
        """What a network makes of the first ``count`` samples; ``known``: what it made of another number."""

    def drops(self, before: Any, after: Any, samples: Dataset, count: int) -> dict[str, float]:
        """What is lost, by the budget that bounds it."""

    def scale(self, whole: Any) -> Scale:
        """What the loss is counted in; ``whole``: what the uncompressed network makes of all samples."""


@dataclass(frozen=True)
class Labels:
    """Top-1 accuracy. What it looks at are predictions, int64 ``[count]``."""

    classes: int

    def look(self, graph: Graph, samples: Dataset, count: int, known: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Predictions; only those that are not known yet are made."""
        known = np.zeros(0, np.int64) if known is None else known
        if len(known) >= count:
            return known[:count]
        found = accuracy.evaluate(graph, samples.take(np.arange(len(known), count)))
        if found is None:
            raise ModelError("the network is no longer a classifier")
        return np.concatenate([known, found.predictions])

    def drops(
        self, before: NDArray[np.int64], after: NDArray[np.int64], samples: Dataset, count: int
    ) -> dict[str, float]:
        """Points, over all, by class and by group."""
        assert samples.labels is not None
        groups = None if samples.groups is None else samples.groups[:count]
        report = fairness.report(samples.labels[:count], before, after, classes=self.classes, groups=groups)
        drops = {
            "accuracy-drop": report["drop"]["value"],
            "class-drop": max(row["drop"]["low"] for row in report["classes"]),
        }
        if report["groups"]:
            drops["group-drop"] = max(row["drop"]["low"] for row in report["groups"])
        return drops

    def scale(self, whole: NDArray[np.int64]) -> Scale:
        """Points of accuracy."""
        return Scale()


@dataclass(frozen=True)
class ByMetric:
    """A task's metric. What it looks at are tallies.

    :param results: what a network makes of samples; ``truth``: what is right for them.
    """

    metric: Metric
    results: Callable[[Graph, Dataset], Results]
    truth: Callable[[Dataset], NDArray[Any]]

    def look(self, graph: Graph, samples: Dataset, count: int, known: Tally | None) -> Tally:
        """The tally of the first samples, in the order of the data, so that clips of a recording stay together."""
        order = np.arange(count) if samples.index is None else np.argsort(samples.index[:count], kind="stable")
        chosen = samples.take(order)
        try:
            return self.metric.judge(self.results(graph, chosen).of(self.metric.subject), self.truth(chosen))
        except ValueError as error:
            raise UsageError(f"--metric {self.metric.name}: {error}") from error

    def drops(self, before: Tally, after: Tally, samples: Dataset, count: int) -> dict[str, float]:
        """In the metric's own unit."""
        first, last = (self._value(each) for each in (before, after))
        return {METRIC: first - last if self.metric.higher else last - first}

    def scale(self, whole: Tally) -> Scale:
        """A hundredth of the uncompressed network's value; of 1 where that is 0."""
        name = self.metric.name
        return Scale(name, METRIC, f"{name} lost", name, abs(self._value(whole)) / 100 or 0.01)

    def _value(self, tally: Tally) -> float:
        value = tally.value(np.ones(tally.samples))
        if not np.isfinite(value):
            raise UsageError(
                f"--metric {self.metric.name} is not defined on the samples to search on",
                "pass more --data, with samples of every class",
            )
        return value


class Verdict(Protocol):
    """How well a finalist does on the test samples."""

    @property
    def value(self) -> Score:
        """What it reaches."""

    @property
    def drop(self) -> Score:
        """What it lost."""

    @property
    def goodness(self) -> float:
        """Higher is better."""

    def drops(self) -> dict[str, float]:
        """What it lost, by the budget that bounds it."""

    def like(self, other: Any, noise: float) -> bool:
        """True if another, of the same kind and on the same samples, is not measurably worse."""

    def shown(self) -> tuple[str, str]:
        """Value and loss for the table."""


@dataclass(frozen=True)
class Labelled:
    """By labels. ``report`` is that of :mod:`edgekit.metrics.fairness`; ``right``: of each sample, bool."""

    report: dict[str, Any]
    right: NDArray[np.bool_]

    @property
    def value(self) -> Score:
        """Accuracy, 0..1."""
        return Score(self.report["compiled"], self.report["low"], self.report["high"])

    @property
    def drop(self) -> Score:
        """Points of accuracy."""
        return Score(**{key: self.report["drop"][key] for key in ("value", "low", "high")})

    @property
    def goodness(self) -> float:
        """How many are right."""
        return float(self.right.sum())

    def drops(self) -> dict[str, float]:
        """Points, over all, by class and by group."""
        drops = {
            "accuracy-drop": self.report["drop"]["value"],
            "class-drop": max(row["drop"]["value"] for row in self.report["classes"]),
        }
        if self.report["groups"]:
            drops["group-drop"] = max(row["drop"]["value"] for row in self.report["groups"])
        return drops

    def like(self, other: Labelled, noise: float) -> bool:
        """Sign test over the samples on which they differ."""
        lost, won = int((self.right & ~other.right).sum()), int((other.right & ~self.right).sum())
        return 2 * fairness.sign_test(lost, won) > noise

    def shown(self) -> tuple[str, str]:
        """Per cent, and points."""
        value, drop = self.value, self.drop
        return (
            f"{value.value:.2%} ({value.low:.1%} to {value.high:.1%})",
            f"{drop.value:.2f} ({drop.low:.1f} to {drop.high:.1f})",
        )


@dataclass(frozen=True)
class Measured:
    """By a metric."""

    judged: Judged
    tally: Tally

    @property
    def value(self) -> Score:
        """In the metric's unit."""
        return self.judged.found.after

    @property
    def drop(self) -> Score:
        """In the metric's unit."""
        return self.judged.found.drop

    @property
    def goodness(self) -> float:
        """The value, or its negative where low values are better."""
        return self.value.value if self.judged.higher else -self.value.value

    def drops(self) -> dict[str, float]:
        """The one loss."""
        return {METRIC: self.drop.value}

    def like(self, other: Measured, noise: float) -> bool:
        """The 95 % interval of the paired difference contains 0."""
        return compare(self.tally, other.tally, higher=self.judged.higher).drop.low <= 0

    def shown(self) -> tuple[str, str]:
        """Both with their intervals."""
        value, drop = (f"{s.value:.4g} ({s.low:.3g} to {s.high:.3g})" for s in (self.value, self.drop))
        return value, drop


def labels(graph: Graph) -> Labels:
    """The yardstick of classifiers."""
    return Labels(max(2, dataset.classes(graph) or 2))
