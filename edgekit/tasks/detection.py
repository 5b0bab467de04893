"""From a detector's outputs to boxes in a picture: the reference of ``firmware_stubs/linux/detection.c``, bit for bit.

All arithmetic is in float64, in one order, and the exponential is our own (:mod:`edgekit.tasks.exact`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks import picture as pictures
from edgekit.tasks.exact import Floats, exponential
from edgekit.tasks.head import Coding, Head, Order, Part
from edgekit.tasks.labels import Scores, label
from edgekit.tasks.picture import Picture, layout
from edgekit.tasks.real import real

if TYPE_CHECKING:
    from edgekit.graph import Tensor
    from edgekit.tasks.detector import Detector


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
class Detection:
    """Something that was found in a picture: a box in the picture's pixels, from its left upper corner.

    A pixel is a square: the first one reaches from 0 to 1.
    """

    number: int
    label: str
    score: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    def overlap(self, other: Detection) -> float:
        """Intersection over union of two boxes."""
        wide = max(min(self.right, other.right) - max(self.left, other.left), 0.0)
        high = max(min(self.bottom, other.bottom) - max(self.top, other.top), 0.0)
        areas = sum((one.right - one.left) * (one.bottom - one.top) for one in (self, other))
        return wide * high / (areas - wide * high)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x)."""
    made: Floats = 1.0 / (1.0 + exponential(-x))
    return made


def detections(
    detector: Detector, picture: Picture, outputs: Sequence[NDArray[Any]], tensors: Sequence[Tensor], wanted: Tensor,
    size: tuple[int, int],
) -> list[Detection]:  # fmt: skip
    """What a network found in a picture, the highest score first.

    :param outputs: of one sample, in the tensors' dtypes; ``tensors``: the network's outputs.
    :param wanted: the network's input. :param size: width and height of the picture.
    """
    head, rules = detector.head, detector.suppression
    rows = _columns(head.scores, outputs, tensors)
    classes, scores = _scored(detector, rows)
    found = np.flatnonzero(scores >= rules.score)
    boxes = _decoded(head, _columns(head.boxes, outputs, tensors, found), found)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, found = boxes[good], found[good]
    order = np.argsort(-scores[found], kind="stable")
    boxes, found = boxes[order], found[order]
    kept, boxes = _suppressed(rules, boxes, classes[found], scores[found])
    found = found[kept]
    boxes, inside = _in_picture(picture, boxes, wanted, size)
    with np.errstate(over="ignore"):
        rows = np.concatenate([scores[found][:, None], boxes], axis=1).astype(np.float32)
    return [
        Detection(int(classes[i]), label(detector.labels, int(classes[i])), *map(float, row))
        for i, row, there in zip(found, rows, inside, strict=True)
        if there
    ]


def _columns(
    parts: Sequence[Part], outputs: Sequence[NDArray[Any]], tensors: Sequence[Tensor],
    chosen: NDArray[np.int64] | None = None,
) -> Floats:  # fmt: skip
    """Real values of the parts' rows, or of those that are chosen, ``[rows, columns]``."""
    found = []
    for part in parts:
        rows: NDArray[Any]
        flat, tensor = outputs[part.output].reshape(-1), tensors[part.output]
        if part.order is Order.ROWS:
            rows = flat.reshape(part.rows, part.columns)
        elif part.order is Order.COLUMNS:
            rows = flat.reshape(part.anchors, part.columns, part.cells).transpose(2, 0, 1)
        else:
            rows = flat.reshape(part.anchors, part.cells, part.columns).transpose(1, 0, 2)
        found.append(real(rows.reshape(part.rows, part.columns), tensor))
    whole = np.concatenate(found)
    return whole if chosen is None else whole[chosen]


def _scored(detector: Detector, rows: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The best class of each row, and its score; of equal ones the first. Rows without a number score -1."""
    head = detector.head
    first = head.first_score
    beside = first + head.objectness
    every = rows[:, beside : beside + head.background + head.classes]
    known = every[:, head.background :]
    known = np.where(np.isnan(known), -np.inf, known)
    best = known.argmax(axis=1)
    value = known[np.arange(len(known)), best]
    nothing = value == -np.inf
    value = np.where(nothing, 0.0, value)
    with np.errstate(invalid="ignore", over="ignore"):
        if detector.scores is Scores.LOGITS:
            value = sigmoid(value)
        elif detector.scores is Scores.SOFTMAX:
            sum_ = np.zeros(len(rows))
            for column in every.T:
                sum_ = sum_ + exponential(column - value)
            value = 1.0 / sum_
        if head.objectness:
            there = rows[:, first]
            value = value * (there if detector.scores is Scores.PROBABILITIES else sigmoid(there))
            nothing |= np.isnan(there)
    return best.astype(np.int64), np.where(nothing, -1.0, value)


def _anchors(head: Head) -> Floats:
    """Center, size, and the cell's size of each row's anchor, in pixels of the input: ``[rows, 6]``."""
    found = []
    for grid in head.grids:
        y, x = np.mgrid[0 : grid.height, 0 : grid.width].astype(np.float64)
        center = np.stack([(x + 0.5) * grid.step[0], (y + 0.5) * grid.step[1]], axis=-1).reshape(-1, 1, 2)
        sizes = np.array(grid.sizes, np.float64)[None]
        cells, many = center.shape[0], sizes.shape[1]
        parts = [
            np.broadcast_to(center, (cells, many, 2)), np.broadcast_to(sizes, (cells, many, 2)),
            np.broadcast_to(np.array(grid.step, np.float64), (cells, many, 2)),
        ]  # fmt: skip
        found.append(np.concatenate(parts, axis=2).reshape(-1, 6))
    return np.concatenate(found)


def _decoded(head: Head, rows: Floats, chosen: NDArray[np.int64]) -> Floats:
    """Left, top, right, bottom in pixels of the input ``[chosen, 4]``."""
    with np.errstate(all="ignore"):
        if head.coding is Coding.DISTANCES:
            given = [_expected(rows[:, side * head.bins : (side + 1) * head.bins]) for side in range(4)]
        else:
            given = list(rows[:, :4].T)
        a, b, c, d = (given[i] for i in ((1, 0, 3, 2) if head.yx else (0, 1, 2, 3)))
        if head.coding is Coding.CORNERS:
            return np.stack([a * head.unit[0], b * head.unit[1], c * head.unit[0], d * head.unit[1]], axis=1)
        if head.coding is Coding.CENTER:
            x, y, w, h = a * head.unit[0], b * head.unit[1], c * head.unit[0], d * head.unit[1]
        else:
            at = _anchors(head)[chosen]
            x, y, w, h, step_x, step_y = at.T
            if head.coding is Coding.DISTANCES:
                return np.stack([x - a * step_x, y - b * step_y, x + c * step_x, y + d * step_y], axis=1)
            if head.coding is Coding.YOLO5:
                x = x + (sigmoid(a) * 2.0 - 1.0) * step_x
                y = y + (sigmoid(b) * 2.0 - 1.0) * step_y
                c, d = sigmoid(c) * 2.0, sigmoid(d) * 2.0
                w, h = c * c * w, d * d * h
            else:
                x, y = x + a * head.variance[0] * w, y + b * head.variance[1] * h
                c, d = c * head.variance[2], d * head.variance[3]
                if head.coding is Coding.SSD:
                    c, d = exponential(c), exponential(d)
                w, h = c * w, d * h
        return np.stack([x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0], axis=1)


def _expected(rows: Floats) -> Floats:
    """The mean of a distribution over 0, 1, 2, ... given as logits ``[n, bins]``; of one bin, its value."""
    if rows.shape[1] == 1:
        return rows[:, 0]
    highest = rows.max(axis=1) if len(rows) else np.zeros(0)
    sum_, mean = np.zeros(len(rows)), np.zeros(len(rows))
    for number, column in enumerate(rows.T):
        power = exponential(column - highest)
        sum_, mean = sum_ + power, mean + power * number
    made: Floats = mean / sum_
    return made


def _suppressed(
    rules: Suppression, boxes: Floats, classes: NDArray[np.int64], scores: Floats
) -> tuple[NDArray[np.int64], Floats]:
    """Which boxes, sorted by their scores, are kept; and the boxes that become of them."""
    with np.errstate(all="ignore"):
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.arange(len(boxes))
    kept: list[int] = []
    made: list[Floats] = []
    while len(left) and len(kept) < rules.most:
        one, others = left[0], left[1:]
        wide = np.minimum(boxes[one, 2], boxes[others, 2]) - np.maximum(boxes[one, 0], boxes[others, 0])
        high = np.minimum(boxes[one, 3], boxes[others, 3]) - np.maximum(boxes[one, 1], boxes[others, 1])
        with np.errstate(all="ignore"):
            shared = np.where((wide > 0) & (high > 0), wide * high, 0.0)
            same = shared > rules.overlap * (areas[one] + areas[others] - shared)
        if not rules.agnostic:
            same &= classes[others] == classes[one]
        box = boxes[one]
        if rules.weighted:
            group = np.concatenate([[one], others[same]])
            with np.errstate(all="ignore"):
                sums = np.cumsum(scores[group, None] * boxes[group], axis=0)[-1]
                box = sums / np.cumsum(scores[group])[-1]
        kept.append(int(one))
        made.append(box)
        left = others[~same]
    return np.array(kept, np.int64), np.array(made, np.float64).reshape(-1, 4)


def _in_picture(
    picture: Picture, boxes: Floats, wanted: Tensor, size: tuple[int, int]
) -> tuple[Floats, NDArray[np.bool_]]:
    """The boxes in the picture's pixels, cut at its edges; and which of them are in it at all."""
    height, width, _, _ = layout(wanted)
    at = pictures.place(picture, size, (width, height))
    shift = np.array([at.left - at.x, at.top - at.y] * 2, np.float64)
    scale = np.array([at.whole_x / at.width, at.whole_y / at.height] * 2)
    with np.errstate(all="ignore"):
        boxes = (boxes + shift) * scale - np.array([at.pad_x, at.pad_y] * 2, np.float64)
        boxes = np.minimum(np.where(boxes > 0, boxes, 0.0), np.array([*size, *size], np.float64))
    return boxes, (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
