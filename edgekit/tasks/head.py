"""Heads of one-stage detectors: where in a network's outputs boxes and scores lie, and how they are encoded.

Sources: decoded boxes as YOLOv5, v8 and 11 are exported with; distances as in YOLOv8 and 11 without their head
(Li et al., Generalized Focal Loss, NeurIPS 2020); anchors as in YOLOv5 (``models/yolo.py``), SSD (Liu et al., ECCV
2016; TensorFlow's ``FasterRcnnBoxCoder``) and BlazeFace (MediaPipe's ``tensors_to_detections_calculator.cc``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from edgekit.tasks import fields

if TYPE_CHECKING:
    from edgekit.graph import Graph

MOST_ROWS, MOST_COLUMNS, MOST_OUTPUTS, MOST_BINS = 1 << 20, 1 << 16, 32, 64
MOST_PER_CELL, MOST_SIDE = 64, 32768


class Coding(StrEnum):
    """What the four numbers of a box are, or more of them; ``yx``: with x and y exchanged."""

    CENTER = "center"
    """Center x, center y, width, height."""
    CORNERS = "corners"
    """Left, top, right, bottom."""
    DISTANCES = "distances"
    """How far left, top, right and bottom are from the cell's center, in cells; each a distribution over bins."""
    YOLO5 = "yolo5"
    """To be squashed by a sigmoid: the center within two cells, the size within four times the anchor's."""
    SSD = "ssd"
    """The center's way from the anchor's, in anchors; the logarithm of the size in anchors; all over variances."""
    BLAZEFACE = "blazeface"
    """As SSD's, with the size itself instead of its logarithm."""


class Order(StrEnum):
    """How the rows of an output lie in memory; a row is a candidate: of a cell, and of an anchor in it."""

    ROWS = "rows"
    """``[1, rows, columns]``, or ``[1, h, w, anchors * columns]``."""
    COLUMNS = "columns"
    """``[1, columns, rows]``, or ``[1, anchors * columns, h, w]``."""
    ANCHORS = "anchors"
    """``[1, anchors, h, w, columns]``."""


@dataclass(frozen=True)
class Part:
    """Rows in one output: ``cells * anchors`` of ``columns`` numbers each."""

    output: int
    order: Order
    cells: int
    anchors: int
    columns: int

    @property
    def rows(self) -> int:
        """Candidates."""
        return self.cells * self.anchors


@dataclass(frozen=True)
class Grid:
    """Cells of the network's input, row by row, with anchors in each.

    :param width, height: in cells. :param step: width and height of a cell, in pixels of the input.
    :param sizes: width and height of each anchor, in pixels of the input.
    """

    width: int
    height: int
    step: tuple[float, float]
    sizes: tuple[tuple[float, float], ...]

    @property
    def rows(self) -> int:
        """Candidates."""
        return self.width * self.height * len(self.sizes)


@dataclass(frozen=True)
class Head:
    """A detector's head.

    :param unit: pixels of the network's input in one unit of a box that is decoded already, x and y.
    :param variance: of anchors: x, y, width, height.
    :param objectness: the first number behind a box says whether there is anything; scores are multiplied by it.
    :param background: the first class is none of the labels.
    :param classes: labels that the network knows, the background not counted.
    :param boxes, scores: the outputs with a row's box, and with its scores; ``joint``: they are the same ones.
    :param grids: where the rows come from; empty where boxes are decoded already.
    """

    coding: Coding
    yx: bool
    unit: tuple[float, float]
    bins: int
    variance: tuple[float, float, float, float]
    objectness: bool
    background: bool
    classes: int
    joint: bool
    boxes: tuple[Part, ...]
    scores: tuple[Part, ...]
    grids: tuple[Grid, ...]

    @property
    def rows(self) -> int:
        """Candidates."""
        return sum(part.rows for part in self.boxes)

    @property
    def first_score(self) -> int:
        """The column of the objectness, or else of the first class."""
        return 4 * self.bins if self.joint else 0

    @property
    def scored(self) -> int:
        """Columns with a score: the classes', the background's, the objectness."""
        return self.classes + self.background + self.objectness

    def json(self) -> dict[str, Any]:
        """Its entry in the manifest."""
        return asdict(self)


def of_manifest(value: Any) -> Head:
    """Read the manifest's entry; ValueError, KeyError or TypeError if it is damaged."""
    unit, variance = fields.numbers(value["unit"]), fields.numbers(value["variance"])
    if len(unit) != 2 or len(variance) != 4:
        raise ValueError("head.unit or head.variance has another length")
    return Head(
        Coding(value["coding"]), fields.flag(value["yx"], "yx"), (unit[0], unit[1]),
        fields.whole(value["bins"], MOST_BINS, "bins", 1), (variance[0], variance[1], variance[2], variance[3]),
        fields.flag(value["objectness"], "objectness"), fields.flag(value["background"], "background"),
        fields.whole(value["classes"], MOST_COLUMNS, "classes", 1), fields.flag(value["joint"], "joint"),
        _parts(value["boxes"]), _parts(value["scores"]), _grids(value["grids"]),
    )  # fmt: skip


def _parts(value: Any) -> tuple[Part, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_OUTPUTS:
        raise ValueError("head: an output is missing")
    return tuple(
        Part(
            fields.whole(one["output"], 1 << 16, "output"), Order(one["order"]),
            fields.whole(one["cells"], MOST_ROWS, "cells", 1),
            fields.whole(one["anchors"], MOST_PER_CELL, "anchors", 1),
            fields.whole(one["columns"], MOST_COLUMNS, "columns", 1),
        )
        for one in value
    )  # fmt: skip


def _grids(value: Any) -> tuple[Grid, ...]:
    if not isinstance(value, list) or len(value) > MOST_OUTPUTS:
        raise ValueError("head.grids is not a list")
    found = []
    for one in value:
        step, sizes = fields.numbers(one["step"]), [fields.numbers(size) for size in one["sizes"]]
        if len(step) != 2 or not 0 < len(sizes) <= MOST_PER_CELL or any(len(size) != 2 for size in sizes):
            raise ValueError("head.grids: step or sizes has another length")
        width, height = (fields.whole(one[key], MOST_SIDE, key, 1) for key in ("width", "height"))
        found.append(Grid(width, height, (step[0], step[1]), tuple((w, h) for w, h in sizes)))
    return tuple(found)


def check(head: Head, graph: Graph) -> None:
    """Hold a head against a network's outputs; ValueError with what does not fit."""
    for part in (*head.boxes, *head.scores):
        if part.output >= len(graph.outputs) or part.rows * part.columns != graph.outputs[part.output].elements:
            raise ValueError("the head is not for the network's outputs")
        if graph.outputs[part.output].dtype not in TYPES:
            raise ValueError(f"the output {part.output} is {graph.outputs[part.output].dtype}, not {', '.join(TYPES)}")
    scores = sum(part.rows for part in head.scores)
    width = head.first_score + head.scored
    if (
        not 0 < head.rows == scores <= MOST_ROWS
        or any(part.columns < 4 * head.bins for part in head.boxes)
        or any(part.columns != width for part in head.scores)
        or (head.joint and head.boxes != head.scores)
        or (bool(head.grids) != needs_grid(head.coding))
        or (head.grids and sum(grid.rows for grid in head.grids) != head.rows)
        or (head.bins > 1 and head.coding is not Coding.DISTANCES)
    ):
        raise ValueError("the head is not for the network's outputs")


TYPES = ("float32", "int8", "uint8", "int16")
"""Of outputs that can be decoded."""


def needs_grid(coding: Coding) -> bool:
    """True if boxes are told relative to cells."""
    return coding not in (Coding.CENTER, Coding.CORNERS)
