"""``[head]`` of a detector's ``task.toml``: what its keys mean for a network; outputs are found by their shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from edgekit.tasks import fields
from edgekit.tasks.head import (
    MOST_BINS,
    MOST_OUTPUTS,
    MOST_PER_CELL,
    MOST_ROWS,
    MOST_SIDE,
    Coding,
    Grid,
    Head,
    Order,
    Part,
    needs_grid,
)

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

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
    if len(shapes) > MOST_OUTPUTS or any(max(w, h) > MOST_SIDE for w, h, _ in shapes):
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
