"""Metrics by name, as ``--metric`` takes them, and networks compared by them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import labelling
from edgekit.data.boxes import Boxes
from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Tensor
from edgekit.metrics.tasks import boxes, choices, neighbours, ranking, segmentation, tally, values, words
from edgekit.metrics.tasks.masks import Masks
from edgekit.metrics.tasks.tally import Comparison, Mean, Tally, Undefined

Outputs = Sequence[NDArray[Any]]
Truth = NDArray[Any]
Judge = Callable[[Any, Truth], Tally]
"""Real outputs of all samples, one ``[samples, *shape]`` each (or the boxes that a detector found, or texts), and the
truth ``[samples, ...]``; ValueError with what is wrong if they do not go together."""


class NotDefined(UsageError):
    """The samples leave a metric without a value, such as those of one class."""

    def __init__(self, name: str, why: str = "") -> None:
        why = f": {why}" if why else ""
        super().__init__(f"the metric {name} is not defined on these samples{why}", "pass samples of every class")


class Subject(Enum):
    """What a metric judges."""

    OUTPUTS = auto()
    BOXES = auto()
    TEXTS = auto()
    MASKS = auto()
    """In the pictures' pixels; of networks without a task, the outputs."""


@dataclass(frozen=True)
class Metric:
    """A metric by its name; ``higher``: higher values are better."""

    name: str
    higher: bool
    judge: Judge
    subject: Subject = Subject.OUTPUTS


@dataclass(frozen=True)
class Results:
    """What a network made of all samples.

    :param outputs: real, one ``[samples, *shape]`` each. :param boxes: that it found in each, if it is a detector.
    :param masks: that it made, if its task is segmentation. :param texts: of recordings, if it is speech-to-text.
    """

    outputs: Outputs
    boxes: Sequence[Boxes] | None = None
    masks: Masks | None = None
    texts: Sequence[str] | None = None

    def of(self, subject: Subject) -> Any:
        """What a metric judges.

        :raises ValueError: if there is none.
        """
        if subject is Subject.BOXES and self.boxes is None:
            raise ValueError('it is for detectors: compile the network with task = "detection" (docs/tasks.md)')
        if subject is Subject.TEXTS:
            if self.texts is None:
                raise ValueError('it is for speech: compile the network with task = "speech-to-text" (docs/sound.md)')
            return self.texts
        if subject is Subject.MASKS and self.masks is not None:
            return self.masks
        return self.boxes if subject is Subject.BOXES else self.outputs


@dataclass(frozen=True)
class Grouped:
    """How well a network does on one group of the samples; None where the metric is not defined on them."""

    name: str
    samples: int
    found: Comparison | None

    def json(self) -> dict[str, Any]:
        """Its entry under ``groups``."""
        figures = None if self.found is None else (self.found.before, self.found.after, self.found.drop)
        before, after, drop = (None, None, None) if figures is None else (each.json() for each in figures)
        return {"name": self.name, "samples": self.samples, "before": before, "after": after, "drop": drop}


@dataclass(frozen=True)
class Judged:
    """How well a network does before and after a recipe, by one metric."""

    metric: str
    higher: bool
    found: Comparison
    tally: Tally | None = None
    """What each sample contributes after the recipe."""
    groups: tuple[Grouped, ...] | None = None
    """Of each group of the samples, where they have groups."""

    def json(self) -> dict[str, Any]:
        """Its entry under ``metrics`` in the JSON of ``compile``."""
        return {
            "name": self.metric, "higher_is_better": self.higher, "samples": self.found.samples,
            "before": self.found.before.json(), "after": self.found.after.json(), "drop": self.found.drop.json(),
            "groups": None if self.groups is None else [one.json() for one in self.groups],
        }  # fmt: skip


def compare(
    metric: Metric, before: Results, after: Results, truth: Truth, *, seed: int = 0, groups: NDArray[Any] | None = None
) -> Judged:
    """Compare two networks on the same samples.

    :param groups: each sample's group, integers or texts ``[samples]``.
    :raises UsageError: if the truth is not of the kind that the metric takes; NotDefined, if it has no value on it.
    :raises CheckFailed: if it has one, but not on what the second network makes of the samples.
    """
    try:
        tallies = [metric.judge(each.of(metric.subject), truth) for each in (before, after)]
        found = tally.compare(*tallies, higher=metric.higher, seed=seed)
    except Undefined as error:
        raise NotDefined(metric.name, str(error)) from error
    except ValueError as error:
        raise UsageError(f"--metric {metric.name}: {error}") from error
    if not np.isfinite(found.before.value):
        raise NotDefined(metric.name)
    if not np.isfinite(found.after.value):
        raise CheckFailed(
            f"after the recipe, the network has no {metric.name}: its outputs hold NaN or infinity",
            "use another recipe for this network (float32 keeps its range)",
        )
    parts = None if groups is None else _by_group(metric, (tallies[0], tallies[1]), groups, seed)
    return Judged(metric.name, metric.higher, found, tallies[1], parts)


def _by_group(metric: Metric, tallies: tuple[Tally, Tally], groups: NDArray[Any], seed: int) -> tuple[Grouped, ...]:
    """Compare them on each group; ``tallies``: before and after."""
    before, after = tallies
    made = []
    for name in np.unique(groups):
        rows = np.flatnonzero(groups == name)
        found = tally.compare(tally.Part(before, rows), tally.Part(after, rows), higher=metric.higher, seed=seed)
        defined = np.isfinite([found.before.value, found.after.value]).all()
        made.append(Grouped(str(name), len(rows), found if defined else None))
    return tuple(made)


def real(outputs: Sequence[NDArray[Any]], tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Return the outputs as real values: integers that have a scale are dequantized."""
    return [
        tensor.quantization.dequantize(each) if tensor.quantization is not None and each.dtype.kind in "iu" else each
        for each, tensor in zip(outputs, tensors, strict=True)
    ]


def get(name: str) -> Metric:
    """Return a metric by its name, or your own, ``package.module:function``.

    Your function gets the real outputs of all samples, a list of ``[samples, *shape]``, and the truth
    ``[samples, ...]``; it returns one value per sample, of which the mean is the metric. Higher must be better.

    :raises UsageError: if there is none.
    """
    if name in METRICS:
        return METRICS[name]
    if ":" not in name:
        raise UsageError(f"there is no metric {name!r}", f"known: {', '.join(METRICS)}, or package.module:function")
    module, _, function = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        own = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"--metric {name}: {error}", "it is looked for in the current folder, too") from error
    finally:
        sys.path.pop(0)
    if not callable(own):
        raise UsageError(f"--metric {name} is not a function")
    return Metric(name, True, lambda outputs, truth: _mean_of(own(list(outputs), truth), len(truth)))


def _mean_of(found: Any, samples: int) -> Mean:
    rows = np.asarray(found, np.float64)
    if rows.shape != (samples,):
        raise ValueError(f"it returned the shape {list(rows.shape)}, but there are {samples} samples")
    if not np.isfinite(rows).all():
        raise ValueError("it returned NaN or infinity")
    return Mean(rows)


def _scores(outputs: Outputs, least: int = 2) -> NDArray[Any]:
    rows = outputs[0].reshape(len(outputs[0]), -1)
    if rows.shape[1] < least:
        raise ValueError("the network's first output is one number, not a score for each class")
    return rows


def _labels(truth: Truth, classes: int) -> NDArray[np.int64]:
    labels, _ = labelling.labels(truth, len(truth), Path("y"))
    if labels is None:
        raise ValueError(f"y must be classes [samples], found {truth.dtype} {list(truth.shape)}")
    if labels.min() < 0 or labels.max() >= max(classes, 2):
        raise ValueError(f"classes must be 0..{max(classes, 2) - 1}, found {labels.min()}..{labels.max()}")
    return labels


def _top(count: int) -> Judge:
    def judge(outputs: Outputs, truth: Truth) -> Tally:
        scores = _scores(outputs)
        return choices.top(scores, _labels(truth, scores.shape[1]), count)

    return judge


def _f1(outputs: Outputs, truth: Truth) -> Tally:
    scores = _scores(outputs, 1)
    labels = _labels(truth, scores.shape[1])
    if scores.shape[1] == 1:
        return choices.Confusion((scores[:, 0] > 0.5).astype(np.int64), labels, positive=1)
    return choices.Confusion(scores.argmax(axis=1).astype(np.int64), labels)


def _auc(outputs: Outputs, truth: Truth) -> Tally:
    scores = np.asarray(_scores(outputs, 1), np.float64)
    labels = _labels(truth, scores.shape[1])
    return choices.RankSum(scores[:, -1] if scores.shape[1] <= 2 else scores, labels)


def _numbers(measure: Callable[[NDArray[Any], Truth], Tally]) -> Judge:
    def judge(outputs: Outputs, truth: Truth) -> Tally:
        rows = outputs[0].reshape(len(outputs[0]), -1)
        if truth.dtype.kind not in "iuf" or truth.reshape(len(truth), -1).shape != rows.shape:
            raise ValueError(
                f"y must have a number for each of the first output's {rows.shape[1]}, found {truth.dtype} "
                f"{list(truth.shape)}"
            )
        if not np.isfinite(truth).all():
            raise ValueError("y holds NaN or infinity")
        return measure(rows, truth.reshape(rows.shape))

    return judge


def _masks(outputs: Outputs | Masks, truth: Truth) -> Tally:
    if isinstance(outputs, Masks):
        if truth.dtype != object or not all(isinstance(one, np.ndarray) for one in truth):
            raise ValueError("it needs true masks: a folder with images and masks (docs/data.md)")
        return segmentation.mean_iou(outputs, truth, outputs.classes)
    found = outputs[0][:, 0] if outputs[0].ndim > 1 and outputs[0].shape[1] == 1 else outputs[0]
    if truth.ndim != 3 or truth.dtype.kind not in "iu" or found.shape[:3] != truth.shape or found.ndim > 4:
        raise ValueError(
            f"y must be classes [samples, height, width] as the first output {list(found.shape)} has them, found "
            f"{truth.dtype} {list(truth.shape)}"
        )
    marked = found.argmax(axis=3) if found.ndim == 4 else np.rint(found).astype(np.int64)
    known = truth[truth != segmentation.VOID]
    classes = found.shape[3] if found.ndim == 4 else int(max(marked.max(), known.max(initial=0))) + 1
    if known.size and known.max() >= classes:
        raise ValueError(f"y has the class {known.max()}, the network {classes} classes")
    return segmentation.mean_iou(marked, truth, classes)


def _lists(measure: Callable[[NDArray[Any], Truth], Tally]) -> Judge:
    def judge(outputs: Outputs, truth: Truth) -> Tally:
        scores = _scores(outputs)
        if truth.ndim == 1 and truth.dtype.kind in "iu":  # the one relevant item of each sample
            items, truth = _labels(truth, scores.shape[1]), np.zeros(scores.shape)
            truth[np.arange(len(items)), items] = 1
        if truth.shape != scores.shape:
            raise ValueError(f"y must be relevances {list(scores.shape)}, or items, found {list(truth.shape)}")
        return measure(scores, truth)

    return judge


def _precision(overlaps: Sequence[float]) -> Judge:
    def judge(found: Sequence[Boxes], truth: Truth) -> Tally:
        if truth.dtype != object or not all(isinstance(one, Boxes) for one in truth):
            raise ValueError("it needs true boxes: annotations of COCO's form, or a folder of YOLO's (docs/data.md)")
        return boxes.average_precision(found, list(truth), overlaps)

    return judge


def _said(measure: Callable[[Sequence[str], Sequence[str]], Tally]) -> Judge:
    def judge(found: Sequence[str], truth: Truth) -> Tally:
        if truth.dtype != object or not all(isinstance(one, str) for one in truth):
            raise ValueError("it needs transcripts: a folder of WAV files with transcripts.csv (docs/sound.md)")
        return measure(found, truth.tolist())

    return judge


METRICS = {
    metric.name: metric
    for metric in (
        Metric("top1", True, _top(1)), Metric("top5", True, _top(5)), Metric("f1", True, _f1),
        Metric("auc", True, _auc), Metric("mae", False, _numbers(values.absolute)),
        Metric("rmse", False, _numbers(values.root_mean_square)), Metric("miou", True, _masks, Subject.MASKS),
        Metric("ndcg", True, _lists(ranking.gain)), Metric("hit-rate", True, _lists(ranking.hits)),
        Metric("recall@1", True, neighbours.recall), Metric("verification-auc", True, neighbours.verification),
        Metric("ap50", True, _precision((0.5,)), Subject.BOXES),
        Metric("ap50-95", True, _precision(boxes.AP50_95), Subject.BOXES),
        Metric("wer", False, _said(words.errors), Subject.TEXTS),
        Metric("cer", False, _said(words.letter_errors), Subject.TEXTS),
    )
}  # fmt: skip
"""Those that an output and an array can be judged by."""
