"""Heads of one-stage detectors: where in a network's outputs boxes and scores lie, and how they are encoded.

Sources: decoded boxes as YOLOv5, v8 and 11 are exported with; distances as in YOLOv8 and 11 without their head
(Li et al., Generalized Focal Loss, NeurIPS 2020); anchors as in YOLOv5 (``models/yolo.py``), SSD (Liu et al., ECCV
2016; TensorFlow's ``FasterRcnnBoxCoder``) and BlazeFace (MediaPipe's ``tensors_to_detections_calculator.cc``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from edgekit.tasks import fields

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

MOST_ROWS, MOST_COLUMNS, MOST_OUTPUTS, MOST_BINS = 1 << 20, 1 << 16, 32, 64
MOST_PER_CELL, _MOST_SIDE = 64, 32768


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
        width, height = (fields.whole(one[key], _MOST_SIDE, key, 1) for key in ("width", "height"))
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


KEYS = {
    "boxes", "order", "unit", "bins", "strides", "cells", "anchors", "variance", "objectness", "background",
    "box_outputs", "score_outputs",
}  # fmt: skip


class _Axes(StrEnum):
    XY = "xy"
    YX = "yx"


class _Unit(StrEnum):
    PIXELS = "pixels"
    FRACTION = "fraction"


def of_table(table: Mapping[str, Any], graph: Graph, side: tuple[int, int], labels: int) -> Head:
    """Read ``[head]`` of a task for a network.

    :param side: width and height of the network's input. :param labels: how many there are; 0: not known.
    :raises ValueError: with one line on what is wrong.
    """
    fields.known(table, KEYS, "head.")
    coding = fields.choice(Coding, table.get("boxes", "center"), "head.boxes")
    anchored = coding in (Coding.YOLO5, Coding.SSD, Coding.BLAZEFACE)
    _only(table, "unit", not needs_grid(coding), coding)
    _only(table, "bins", coding is Coding.DISTANCES, coding)
    _only(table, "anchors", anchored, coding)
    _only(table, "variance", coding in (Coding.SSD, Coding.BLAZEFACE), coding)
    unit = _unit(table.get("unit", "pixels"), side)
    objectness = fields.flag(table.get("objectness", coding is Coding.YOLO5), "head.objectness")
    background = fields.flag(table.get("background", False), "head.background")
    grids = _grids_of(table, coding, side)
    bins = fields.whole(table.get("bins", 16 if coding is Coding.DISTANCES else 1), MOST_BINS, "head.bins", 1)
    wanted = _Wanted(4 * bins, labels, background + objectness, coding)
    joint, boxes, scores = _outputs(table, graph, grids, wanted)
    classes = scores[0].columns - background - objectness - (4 * bins if joint else 0)
    default = (0.1, 0.1, 0.2, 0.2) if coding is Coding.SSD else (1 / side[0], 1 / side[1], 1 / side[0], 1 / side[1])
    variance = fields.numbers(table.get("variance", default))
    if len(variance) != 4 or min(variance) <= 0:
        raise ValueError("head.variance is four numbers above 0: x, y, width, height")
    axes = fields.choice(_Axes, table.get("order", "yx" if coding is Coding.SSD else "xy"), "head.order")
    return Head(
        coding, axes is _Axes.YX,
        unit, bins,
        (variance[0], variance[1], variance[2], variance[3]), objectness, background, classes, joint, boxes, scores,
        grids,
    )  # fmt: skip


def _unit(value: Any, side: tuple[int, int]) -> tuple[float, float]:
    """Pixels of the input in one unit: x, y."""
    if isinstance(value, str):
        fraction = fields.choice(_Unit, value, "head.unit") is _Unit.FRACTION
        return (float(side[0]), float(side[1])) if fraction else (1.0, 1.0)
    (pixels,) = fields.numbers([value])
    if pixels <= 0:
        raise ValueError(f"head.unit = {value!r} is not above 0")
    return pixels, pixels


def _only(table: Mapping[str, Any], key: str, allowed: bool, coding: Coding) -> None:
    if key in table and not allowed:
        raise ValueError(f'head.{key} means nothing with boxes = "{coding}"')


def _grids_of(table: Mapping[str, Any], coding: Coding, side: tuple[int, int]) -> tuple[Grid, ...]:
    if not needs_grid(coding):
        for key in ("strides", "cells"):
            _only(table, key, False, coding)
        return ()
    if ("strides" in table) == ("cells" in table):
        raise ValueError(
            f'boxes = "{coding}" needs head.strides, in pixels, or head.cells, per side: one for each grid'
        )
    if "strides" in table:
        strides = fields.numbers(table["strides"])
        if not strides or min(strides) < 1:
            raise ValueError("head.strides are pixels from one cell to the next, at least 1")
        shapes = [(int(-(-side[0] // s)), int(-(-side[1] // s)), (s, s)) for s in strides]
    else:
        cells = [int(c) for c in fields.numbers(table["cells"])]
        if not cells or min(cells) < 1:
            raise ValueError("head.cells are cells per side, at least 1")
        shapes = [(c, c, (side[0] / c, side[1] / c)) for c in cells]
    if len(shapes) > MOST_OUTPUTS or any(max(w, h) > _MOST_SIDE for w, h, _ in shapes):
        raise ValueError("head: there are too many cells")
    sizes = _sizes(table, coding, side, len(shapes))
    return tuple(Grid(w, h, step, size) for (w, h, step), size in zip(shapes, sizes, strict=True))


def _sizes(
    table: Mapping[str, Any], coding: Coding, side: tuple[int, int], grids: int
) -> list[tuple[tuple[float, float], ...]]:
    """The anchors of each grid, in pixels."""
    if coding is Coding.DISTANCES:
        return [((0.0, 0.0),)] * grids
    given = table.get("anchors")
    if not isinstance(given, list) or len(given) != grids:
        raise ValueError(
            f"head.anchors is a list for each of the {grids} grids, of [width, height] in pixels, or counts"
        )
    found = []
    for one in given:
        if isinstance(one, int) and not isinstance(one, bool) and 0 < one <= MOST_PER_CELL:
            found.append(((float(side[0]), float(side[1])),) * one)
            continue
        pairs = [fields.numbers(size) for size in one] if isinstance(one, list) else []
        if not 0 < len(pairs) <= MOST_PER_CELL or any(len(pair) != 2 or min(pair) <= 0 for pair in pairs):
            raise ValueError(
                "head.anchors: an anchor is [width, height] in pixels, or a count of those as large as the input"
            )
        found.append(tuple((w, h) for w, h in pairs))
    return found


@dataclass(frozen=True)
class _Wanted:
    """Columns of a box at least; labels (0: not known); scores that belong to no label."""

    box: int
    labels: int
    more: int
    coding: Coding

    def words(self, grids: Sequence[Grid]) -> str:
        """The outputs that would fit."""
        classes = str(self.labels + self.more) if self.labels else f"{self.more} + classes" if self.more else "classes"
        rows = str(sum(grid.rows for grid in grids)) if grids else "rows"
        columns = str(self.box + self.labels + self.more) if self.labels else f"{self.box + self.more} + classes"
        apart = f"[1, {rows}, {self.box}] and [1, {rows}, {classes}]"
        return f"[1, {rows}, {columns}] or [1, {columns}, {rows}], or {apart}"


def _outputs(
    table: Mapping[str, Any], graph: Graph, grids: Sequence[Grid], wanted: _Wanted
) -> tuple[bool, tuple[Part, ...], tuple[Part, ...]]:
    """Find boxes and scores in the outputs; ``joint`` if in the same ones."""
    found = [list(tensor.shape) for tensor in graph.outputs]
    refusal = ValueError(
        f'detection with boxes = "{wanted.coding}" needs outputs {wanted.words(grids)}, but the network\'s are {found}'
    )
    if "box_outputs" in table or "score_outputs" in table:
        boxes, scores = (_numbered(table, key, len(found)) for key in ("box_outputs", "score_outputs"))
        choices = [(boxes, scores)]
    else:
        every = list(range(len(found)))
        half = len(every) // 2
        choices = [(every, every)]
        if len(every) % 2 == 0:
            ways = [(every[:half], every[half:]), (every[::2], every[1::2])]
            choices = [*ways, *((scores, boxes) for boxes, scores in ways), (every, every)]
    scored = wanted.labels + wanted.more if wanted.labels else 0
    for boxes, scores in choices:
        if boxes == scores:
            columns = wanted.box + scored if scored else 0
            ours = theirs = _parted(graph, boxes, grids, columns, wanted.box + wanted.more + 1)
        else:
            wider = wanted.coding is Coding.BLAZEFACE
            ours = _parted(graph, boxes, grids, wanted.box, wanted.box, wider)
            theirs = _parted(graph, scores, grids, scored, wanted.more + 1)
        if ours and theirs and sum(part.rows for part in ours) == sum(part.rows for part in theirs) <= MOST_ROWS:
            return boxes == scores, ours, theirs
    raise refusal


def _numbered(table: Mapping[str, Any], key: str, outputs: int) -> list[int]:
    other = {"box_outputs": "score_outputs", "score_outputs": "box_outputs"}[key]
    given = table.get(key, table.get(other))
    if not isinstance(given, list) or not 0 < len(given) <= MOST_OUTPUTS:
        raise ValueError(f"head.{key} is a list of numbers of outputs")
    return [fields.whole(one, outputs - 1, f"head.{key}") for one in given]


def _parted(
    graph: Graph, numbers: Sequence[int], grids: Sequence[Grid], columns: int, least: int, wider: bool = False
) -> tuple[Part, ...]:
    """Rows of some outputs, whose columns are ``columns`` (0: at least ``least``); empty if they do not fit.

    Where there is an output for each grid, they are brought into the grids' order.
    """
    if len(numbers) == len(grids) and len(grids) > 1:
        left, parts = list(numbers), list[Part]()
        for grid in grids:
            fitting = [(n, p) for n in left if (p := _part(graph.outputs[n], n, [grid], columns, least, wider))]
            if not fitting:
                return ()
            left.remove(fitting[0][0])
            parts.append(fitting[0][1])
    elif len(numbers) == 1:
        found = _part(graph.outputs[numbers[0]], numbers[0], grids, columns, least, wider)
        parts = [found] if found else []
    else:
        parts = []
    same = len({part.columns for part in parts}) == 1
    return tuple(parts) if same else ()


def _part(tensor: Tensor, number: int, grids: Sequence[Grid], columns: int, least: int, wider: bool) -> Part | None:
    """How an output holds the rows of ``grids`` (or any, if there are none); None if it does not."""
    shape = tensor.shape
    if len(shape) < 2 or shape[0] != 1 or min(shape) < 1:
        return None
    rows = sum(grid.rows for grid in grids)

    def fits(width: int) -> bool:
        return width >= max(columns, least) if wider and columns else width == columns if columns else width >= least

    if len(shape) == 3:
        ways = [(Order.ROWS, shape[1], shape[2]), (Order.COLUMNS, shape[2], shape[1])]
        if not rows and shape[1] < shape[2]:
            ways.reverse()  # there are more rows than columns
        for order, r, width in ways:
            if fits(width) and (not rows or r == rows):
                return Part(number, order, r, 1, width)
        return None
    if len(grids) != 1:
        return None
    grid, many = grids[0], len(grids[0].sizes)
    cells = grid.width * grid.height
    if len(shape) == 4 and shape[1:3] == (grid.height, grid.width) and shape[3] % many == 0 and fits(shape[3] // many):
        return Part(number, Order.ROWS, cells, many, shape[3] // many)
    if len(shape) == 4 and shape[2:] == (grid.height, grid.width) and shape[1] % many == 0 and fits(shape[1] // many):
        return Part(number, Order.COLUMNS, cells, many, shape[1] // many)
    if len(shape) == 5 and shape[1:4] == (many, grid.height, grid.width) and fits(shape[4]):
        return Part(number, Order.ANCHORS, cells, many, shape[4])
    return None
