"""A task: typed, read from ``task.toml``, kept in the manifest, held against the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import CheckFailed, UsageError
from edgekit.files import documents, plain_files
from edgekit.tasks import fields, head, head_file
from edgekit.tasks.head import Head

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

FILE = "task.toml"
SCHEMA = 1
MOST_LABELS, MOST_LABEL = 65536, 200
_MOST_TEXT = MOST_LABELS * (MOST_LABEL + 2)
MOST_SIDE = 32768
MOST_FOUND = 10000


class Kind(StrEnum):
    """Kinds of tasks."""

    CLASSIFICATION = "classification"
    DETECTION = "detection"


class Fit(StrEnum):
    """How a picture becomes as large as the network's input."""

    STRETCH = "stretch"
    """Resized to it, whatever that does to its proportions."""
    CROP = "crop"
    """Resized until it covers the input; what is too much is cut off on both sides."""
    LETTERBOX = "letterbox"
    """Resized until it fits in; the rest is filled."""


class Colors(StrEnum):
    """Order of the channels."""

    RGB = "rgb"
    BGR = "bgr"
    GREY = "grey"


class Scores(StrEnum):
    """What the network's outputs are."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    """Softmax makes probabilities of them; in detection, where each class is a question of its own, sigmoid."""
    SOFTMAX = "softmax"
    """In detection: of its classes, and of the background."""


@dataclass(frozen=True)
class Picture:
    """From pixels to the network's input.

    A byte p of channel c becomes ``p * scale[c] + offset[c]``, in float32.

    :param short: the shorter side of the picture before it is cropped, in pixels; 0: what covers the input.
    :param fill: the byte around a picture in a letterbox.
    """

    fit: Fit
    colors: Colors
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    short: int = 0
    fill: int = 114

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Picture:
        """Read what ``asdict`` and JSON made of one; ValueError, KeyError or TypeError if it is damaged."""
        return cls(
            Fit(given["fit"]), Colors(given["colors"]), fields.numbers(given["scale"]), fields.numbers(given["offset"]),
            fields.whole(given["short"], MOST_SIDE, "short"), fields.whole(given["fill"], 255, "fill"),
        )  # fmt: skip


@dataclass(frozen=True)
class Suppression:
    """Which of a detector's candidates become detections.

    :param score: the least score. :param overlap: of two of one class that overlap more, intersection over union, the
        one with the higher score stays. :param most: detections in a picture. :param agnostic: whatever their classes.
    :param weighted: the one that stays becomes the mean of all, weighted by their scores (as in BlazeFace).
    """

    score: float = 0.25
    overlap: float = 0.45
    most: int = 100
    agnostic: bool = False
    weighted: bool = False


@dataclass(frozen=True)
class Task:
    """What a network is for.

    :param labels: names of the classes, in the network's order; empty: they have numbers only.
    :param top: how many classes a decision of a classifier lists.
    :param head, suppression: a detector's.
    """

    kind: Kind
    picture: Picture
    labels: tuple[str, ...] = ()
    top: int = 1
    scores: Scores = Scores.PROBABILITIES
    head: Head | None = None
    suppression: Suppression | None = None

    def json(self) -> dict[str, Any]:
        """The manifest's ``task``."""
        return {
            "schema": SCHEMA, "task": str(self.kind), "labels": list(self.labels), "top": self.top,
            "scores": str(self.scores), "picture": asdict(self.picture),
            **({"head": self.head.json()} if self.head else {}),
            **({"suppression": asdict(self.suppression)} if self.suppression else {}),
        }  # fmt: skip

    def label(self, number: int) -> str:
        """The name of a class."""
        return self.labels[number] if self.labels else str(number)


def layout(tensor: Tensor) -> tuple[int, int, int, bool]:
    """Height, width and channels of an input ``[1, h, w, c]``, or with True ``[1, c, h, w]``; zeros if neither."""
    shape = tensor.shape
    if len(shape) == 4 and shape[0] == 1 and min(shape) > 0 and max(shape) <= MOST_SIDE:
        if shape[3] in (1, 3):
            return shape[1], shape[2], shape[3], False
        if shape[1] in (1, 3):
            return shape[2], shape[3], shape[1], True
    return 0, 0, 0, False


def find(model: Path, given: Path | None) -> Path | None:
    """The task's file: the one that is given, or the one beside the model."""
    beside = model.parent / FILE
    return given or (beside if beside.is_file() else None)


def read(path: Path, graph: Graph) -> Task:
    """Read a task for a network.

    :raises UsageError: with one line on what is wrong: a key, its value, or that the network does not fit.
    """
    try:
        table = documents.read_toml(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}", "docs/tasks.md shows one") from error
    try:
        task = _of_table(table, graph, path.parent)
    except ValueError as error:
        raise UsageError(f"{path}: {error}", "docs/tasks.md has all keys") from error
    check(task, graph, str(path))
    return task


def check(task: Task, graph: Graph, source: str) -> None:
    """Hold a task against a network.

    :raises UsageError: if they do not fit, with what would.
    """
    shapes = ", ".join(str(list(tensor.shape)) for tensor in graph.inputs)
    if len(graph.inputs) != 1 or not layout(graph.inputs[0])[0]:
        raise UsageError(
            f"{source}: {task.kind} takes a picture, but the network's inputs are {shapes}",
            "it needs one input [1, height, width, 1 or 3] or [1, 1 or 3, height, width]",
        )
    height, width, channels, _ = layout(graph.inputs[0])
    if len(task.picture.scale) != channels or (task.picture.colors is Colors.GREY) != (channels == 1):
        raise UsageError(
            f"{source}: the colors are {task.picture.colors}, but the network's input has {channels} channels",
            'use colors = "grey" for one channel, "rgb" or "bgr" for three',
        )
    if task.picture.short and task.picture.short < max(height, width):
        raise UsageError(f"{source}: short = {task.picture.short} is less than the network's input, {height} x {width}")
    if task.kind is Kind.DETECTION:
        _check_detection(task, graph, source)
    else:
        _check_classification(task, graph, source)


def _check_classification(task: Task, graph: Graph, source: str) -> None:
    found = [list(tensor.shape) for tensor in graph.outputs]
    classes = math.prod(found[0]) if found else 0
    if not found or classes != found[0][-1] or classes < 2:
        boxes = any(len(shape) > 2 for shape in found)
        raise UsageError(
            f"{source}: {task.kind} needs an output [1, classes], but the network's are {found}",
            'outputs like these are of task = "detection"' if boxes
            else "remove task.toml, or export the network with its classifier",
        )  # fmt: skip
    if task.labels and len(task.labels) != classes:
        raise UsageError(
            f"{source}: there are {len(task.labels)} labels for {classes} classes", "one label for each, in their order"
        )
    if task.scores is Scores.SOFTMAX:
        raise UsageError(f'{source}: scores = "softmax" is for detection', 'use scores = "logits"')


def _check_detection(task: Task, graph: Graph, source: str) -> None:
    assert task.head is not None
    try:
        head.check(task.head, graph)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from error
    if task.labels and len(task.labels) != task.head.classes:
        raise UsageError(
            f"{source}: there are {len(task.labels)} labels for {task.head.classes} classes",
            "one label for each, in their order",
        )


def of_manifest(manifest: Mapping[str, Any]) -> Task | None:
    """Read the manifest's ``task``; None if there is none.

    :raises CheckFailed: if it is damaged; :raises UsageError: if a newer edgekit wrote it.
    """
    value = manifest.get("task")
    if value is None:
        return None
    try:
        if value["schema"] != SCHEMA:
            raise UsageError(f"the bundle's task has schema {value['schema']}, of a newer edgekit", "update edgekit")
        kind, picture = Kind(value["task"]), Picture.of(value["picture"])
        labels = _labels(value["labels"])
        top = max(1, fields.whole(value["top"], MOST_LABELS, "top"))
        task = Task(kind, picture, labels, top, Scores(value["scores"]))
        if kind is Kind.DETECTION:
            rules = _suppression(value["suppression"])
            task = replace(task, head=head.of_manifest(value["head"]), suppression=rules)
        return task
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckFailed(f"'task' in manifest.json is damaged: {error}", "compile the bundle again") from error


_KEYS = {"schema", "task", "labels", "scores", "picture"}
_OWN = {Kind.CLASSIFICATION: {"top"}, Kind.DETECTION: {"head", "suppression"}}
_PICTURE = {"fit", "colors", "short", "fill", "range", "mean", "std"}
_SUPPRESSION = {"score", "overlap", "most", "agnostic", "weighted"}


def _of_table(table: Mapping[str, Any], graph: Graph, folder: Path) -> Task:
    if table.get("schema") != SCHEMA:
        raise ValueError(f"schema = {table.get('schema')!r}: this edgekit reads schema = {SCHEMA}")
    kind = fields.choice(Kind, table.get("task", ""), "task")
    fields.known(table, _KEYS | _OWN[kind])
    given = fields.table(table.get("picture", {}), "picture")
    fields.known(given, _PICTURE, "picture.")
    height, width, channels, _ = layout(graph.inputs[0]) if graph.inputs else (0, 0, 0, False)
    colors = fields.choice(Colors, given.get("colors", "grey" if channels == 1 else "rgb"), "picture.colors")
    scale, offset = _values(given, 1 if colors is Colors.GREY else 3)
    picture = Picture(
        fields.choice(Fit, given.get("fit", "stretch"), "picture.fit"), colors, scale, offset,
        fields.whole(given.get("short", 0), MOST_SIDE, "picture.short"),
        fields.whole(given.get("fill", 114), 255, "picture.fill"),
    )  # fmt: skip
    if picture.short and picture.fit is not Fit.CROP:
        raise ValueError('picture.short is for fit = "crop"')
    labels = table.get("labels", [])
    if isinstance(labels, str):
        labels = _label_file(folder, labels)
    top = fields.whole(table.get("top", 1), MOST_LABELS, "top", 1)
    scores = fields.choice(Scores, table.get("scores", "probabilities"), "scores")
    task = Task(kind, picture, _labels(labels), top, scores)
    if kind is Kind.DETECTION and height:
        part = head_file.of_table(fields.table(table.get("head", {}), "head"), graph, (width, height), len(labels))
        rules = _suppression(fields.table(table.get("suppression", {}), "suppression"))
        task = replace(task, head=part, suppression=rules)
    return task


def _suppression(given: Mapping[str, Any]) -> Suppression:
    fields.known(given, _SUPPRESSION, "suppression.")
    usual = Suppression()
    return Suppression(
        fields.share(given.get("score", usual.score), "suppression.score"),
        fields.share(given.get("overlap", usual.overlap), "suppression.overlap"),
        fields.whole(given.get("most", usual.most), MOST_FOUND, "suppression.most", 1),
        fields.flag(given.get("agnostic", usual.agnostic), "suppression.agnostic"),
        fields.flag(given.get("weighted", usual.weighted), "suppression.weighted"),
    )


def _values(given: Mapping[str, Any], channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and offset of each channel, rounded to float32."""
    import numpy as np

    if "range" in given:
        if "mean" in given or "std" in given:
            raise ValueError("picture.range excludes mean and std")
        ends = fields.numbers(given["range"])
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise ValueError("picture.range is two numbers, what the bytes 0 and 255 stand for")
        scale, offset = [(ends[1] - ends[0]) / 255] * channels, [ends[0]] * channels
    else:
        mean, std = (
            fields.numbers(given.get("mean", [0.0] * channels)),
            fields.numbers(given.get("std", [1.0] * channels)),
        )
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise ValueError(f"picture.mean and std are {channels} numbers each, of pixels in 0..1; std is above 0")
        scale = [1 / (255 * s) for s in std]
        offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return tuple(float(np.float32(s)) for s in scale), tuple(float(np.float32(o)) for o in offset)


def _labels(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_LABELS:
        raise ValueError("labels is a list of texts, or the name of a file with one on each line")
    for label in value:
        if not isinstance(label, str) or not 0 < len(label.encode()) <= MOST_LABEL or not label.isprintable():
            raise ValueError(f"the label {label!r} is no text of 1 to {MOST_LABEL} bytes")
    return tuple(value)


def _label_file(folder: Path, name: str) -> list[str]:
    """Labels from a file beside a task, which may be a stranger's: no other file becomes part of a bundle."""
    try:
        with plain_files.opened(folder, name) as file:
            text = file.read(_MOST_TEXT + 1)
    except (OSError, ValueError) as error:
        raise ValueError(f"labels: {name!r} cannot be read: {error}") from error
    if len(text) > _MOST_TEXT:
        raise ValueError(f"labels: {name!r} is too large")
    try:
        return [line.strip() for line in text.decode().splitlines() if line.strip()]
    except ValueError as error:
        raise ValueError(f"labels: {name!r} is not text in UTF-8") from error
