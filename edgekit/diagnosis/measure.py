"""Judging a network against the float network; and the effect of each operator, quantized alone, on its outputs.

Noise is relative: ``sum (x - q)^2 / sum x^2``; in decibels, ``-10 log10`` of it is the SQNR.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.diagnosis.trial import run
from edgekit.diagnosis.versions import Versions
from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, Tensor
from edgekit.graph.mixture import FLOAT
from edgekit.graph.stats import statistics
from edgekit.metrics import accuracy, quality
from edgekit.metrics.channels import collapsed
from edgekit.metrics.tasks import gauge as gauges
from edgekit.metrics.tasks import tally as tallies
from edgekit.metrics.tasks.gauge import Gauge
from edgekit.metrics.tasks.recordings import whole
from edgekit.metrics.tasks.registry import Judged, Metric, NotDefined, Subject
from edgekit.metrics.tasks.results import in_order
from edgekit.metrics.tasks.tally import Tally, Undefined
from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset

EFFECT_MACS = 2e11
"""Operators' effects are measured on as many samples as fit in this many MACs (a minute or so), within bounds."""
EFFECT_SAMPLES = (8, 256)


@dataclass(frozen=True)
class Mark:
    """What a network reaches by a metric.

    :param value: over all samples. :param tally: what each sample contributes; None where the network does not run or
        the metric is undefined on what it makes.
    """

    metric: Metric
    value: float = math.nan
    tally: Tally | None = None

    def drop(self, reference: Mark) -> float:
        """What was lost, in the metric's unit, below 0 where it got better; infinite where there is no value."""
        if not math.isfinite(self.value):
            return math.inf
        lost = reference.value - self.value
        return lost if self.metric.higher else -lost

    def compared(self, reference: Mark, seed: int = 0) -> Judged | None:
        """Both with their intervals, and that of the difference on the same samples; None without a value."""
        if self.tally is None or reference.tally is None or not math.isfinite(self.value):
            return None
        found = tallies.compare(reference.tally, self.tally, higher=self.metric.higher, seed=seed)
        return Judged(self.metric.name, self.metric.higher, found, self.tally)

    @property
    def point(self) -> float:
        """What counts as a point of accuracy does: a hundredth of the value; of 1 where that is 0."""
        return abs(self.value) / 100 or 0.01


@dataclass(frozen=True)
class Outcome:
    """A network's outputs over some samples, judged against the float network's.

    :param noise: relative noise of its outputs, the worst of them; infinite if it does not run.
    :param accuracy: share of correct predictions; None without labels.
    :param flips: share of samples whose label differs from the float network's; None if it is not a classifier. With
        labels, any network of one choice among classes is one; without, it must end in a softmax or logistic.
    :param failure: why it does not run; empty if it does.
    :param mark: what it reaches by a task's metric, which then decides instead of labels; None without one.
    """

    noise: float
    accuracy: float | None = None
    flips: float | None = None
    failure: str = ""
    mark: Mark | None = None

    @property
    def sqnr_db(self) -> float | None:
        """SQNR of the outputs in dB; None where it is not finite."""
        return decibels(self.noise)


def decibels(noise: float | None) -> float | None:
    """``-10 log10(noise)``; None where there is no noise, or no measure of it."""
    return None if noise is None or noise <= 0 or not math.isfinite(noise) else -10 * math.log10(noise)


def noise(real: NDArray[Any], rounded: NDArray[Any]) -> float:
    """Relative noise power; infinite where ``real`` is all zeros and ``rounded`` is not, or is not a number."""
    if not np.isfinite(rounded).all():
        return math.inf
    relative = quality.relative_error(real, rounded)
    if relative is not None:
        return relative**2
    return 0.0 if quality.absolute_error(real, rounded) == 0 else math.inf


def lost_noise(real: NDArray[Any], rounded: NDArray[Any]) -> float:
    """Relative noise power of the channels that were lost, whose power the others' hides; 0 where none was."""
    found = collapsed(real, rounded)
    if found is None:
        return 0.0
    a, b = (np.take(values.astype(np.float64), found.channels, axis=found.axis + 1) for values in (real, rounded))
    axes = tuple(i for i in range(a.ndim) if i != found.axis + 1)
    power = float(((a - a.mean(axis=axes, keepdims=True)) ** 2).sum())
    return float(((a - b) ** 2).sum()) / power if power > 0 else 0.0


def real(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """The real values of an activation."""
    integer = values.dtype.kind in "iu" and tensor.quantization is not None and tensor.has_scale
    return tensor.quantization.dequantize(values) if integer and tensor.quantization else values


class Judge:
    """Runs networks with the same inputs and outputs over the same samples, and judges their outputs.

    :param gauge: the task's metric, if one decides.
    :raises UsageError: if the metric cannot judge the float network; NotDefined, if it has no value on these samples.
    """

    def __init__(self, graph: Graph, data: Dataset, gauge: Gauge | None = None) -> None:
        self.graph, self.data, self.gauge = graph, data if gauge is None else in_order(data), gauge
        self.plain = True
        try:
            self.outputs = run(graph, self.data)
        except ModelError:  # an operator that has no plain kernel, in float either
            self.plain = False
            self.outputs = run(graph, self.data, plain=False)
        labelled = self.data.labels is not None or accuracy.chooses(graph)
        chooses = gauge is None and accuracy.measurable(graph) and labelled
        self.top1 = accuracy.top1(self.outputs[0], graph) if chooses else None
        self.float = self._judged(graph, self.outputs, None if gauge is None else self._reference(gauge))

    def __call__(self, graph: Graph) -> Outcome:
        """Run a network and compare it with the float network; one that does not run loses everything."""
        try:
            outputs = run(graph, self.data, plain=self.plain)
        except ModelError as error:
            mark = None if self.gauge is None else Mark(self.gauge.metric)
            right = 0.0 if self.float.accuracy is not None else None
            return Outcome(math.inf, right, None if mark else 1.0, error.message, mark)
        return self._judged(graph, outputs, None if self.gauge is None else self._mark(self.gauge, graph, outputs))

    def on(self, data: Dataset) -> Judge:
        """A judge on a part of the samples; without the metric where that is undefined on so few.

        Texts are of whole recordings.
        """
        if len(data) == len(self.data):
            return self
        cut = self.gauge is not None and self.gauge.metric.subject is Subject.TEXTS and not whole(data, self.data)
        return Judge.where_defined(self.graph, data, None if cut else self.gauge)

    @classmethod
    def where_defined(cls, graph: Graph, data: Dataset, gauge: Gauge | None) -> Judge:
        """A judge by the metric; without it where it is not defined on these samples."""
        try:
            return cls(graph, data, gauge)
        except UsageError:
            return cls(graph, data)

    def _reference(self, gauge: Gauge) -> Mark:
        try:
            tally = gauge.tally(self.graph, self.outputs, self.data)
        except Undefined as error:
            raise NotDefined(gauge.metric.name, str(error)) from error
        except ValueError as error:
            raise UsageError(f"--metric {gauge.metric.name}: {error}") from error
        value = gauges.value(tally)
        if not math.isfinite(value):
            raise NotDefined(gauge.metric.name)
        return Mark(gauge.metric, value, tally)

    def _mark(self, gauge: Gauge, graph: Graph, outputs: list[NDArray[Any]]) -> Mark:
        try:
            tally = gauge.tally(graph, outputs, self.data)
        except ValueError:  # outputs that are not numbers; those of the float network could be judged
            return Mark(gauge.metric)
        return Mark(gauge.metric, gauges.value(tally), tally)

    def _judged(self, graph: Graph, outputs: list[NDArray[Any]], mark: Mark | None) -> Outcome:
        pairs = zip(self.outputs, outputs, graph.outputs, strict=True)
        worst = max(max(noise(a, r), lost_noise(a, r)) for a, b, tensor in pairs for r in [real(tensor, b)])
        if self.top1 is None:
            return Outcome(worst, mark=mark)
        top1 = accuracy.top1(outputs[0], graph)
        labels = self.data.labels
        right = None if labels is None else float((top1 == labels).mean())
        return Outcome(worst, right, float((top1 != self.top1).mean()))


def effects(
    versions: Versions, judge: Judge, precision: str, numbers: Sequence[int], progress: Progress = Silent()
) -> dict[int, Outcome]:
    """Quantize one operator at a time, all others in float; those that cannot be quantized are left out."""
    found = {}
    for done, number in enumerate(numbers):
        if versions.has(number, precision):
            choice = [FLOAT] * len(versions.graph.operators)
            choice[number] = precision
            found[number] = judge(versions.mix(choice, io=FLOAT).graph)
        progress.advance(done + 1, len(numbers))
    return found


def effect_samples(graph: Graph, variants: int) -> int:
    """How many samples the effect of each operator is measured on: by the work, so the same in every run."""
    least, most = EFFECT_SAMPLES
    return int(max(least, min(most, EFFECT_MACS / max(1, statistics(graph).macs * variants))))


def loss(outcome: Outcome, reference: Outcome) -> float:
    """Return what a network lost, in the unit of :func:`metric`.

    That is the task's metric in its own unit if one decides; else points: of accuracy if there are labels, otherwise
    of labels that changed, or, if it is not a classifier, the noise in percent of the outputs' power.
    """
    if outcome.mark is not None and reference.mark is not None:
        return max(0.0, outcome.mark.drop(reference.mark))
    if outcome.accuracy is not None and reference.accuracy is not None:
        lost = max(0.0, reference.accuracy - outcome.accuracy)
    elif outcome.flips is not None:
        lost = outcome.flips
    else:
        lost = min(outcome.noise, 1.0)
    return round(100 * lost, 9)


def metric(outcome: Outcome) -> str:
    """In what :func:`loss` measures."""
    if outcome.mark is not None:
        return outcome.mark.metric.name
    if outcome.accuracy is not None:
        return "accuracy"
    return "agreement" if outcome.flips is not None else "noise"


def amount(lost: float, reference: Outcome) -> str:
    """A loss in words: points to a hundredth, a metric's own unit to three digits."""
    return f"{lost:.2f}" if reference.mark is None else f"{lost:.3g}"


def finite(lost: float) -> float | None:
    """A loss for JSON, which has no infinity: None where everything was lost."""
    return lost if math.isfinite(lost) else None
