"""Labels: the class (``y``) and, for fairness, the group (``g``) of each sample, and the classes of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.table import Column
from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.graph import Graph

MOST_CLASSES = 65536
MOST_GROUPS = 1000
"""More than this are not groups, but one value per sample."""


def labels(y: NDArray[Any], samples: int, path: Path) -> tuple[NDArray[np.int64] | None, str]:
    """Return labels ``[n]`` from classes ``[n]`` or ``[n, 1]``, or one-hot rows; None where y is a regression's."""
    if y.ndim == 0 or len(y) != samples:
        raise UsageError(f"{path}: y has {0 if y.ndim == 0 else len(y)} labels, x has {samples} samples")
    if y.ndim == 2 and y.shape[1] > 1 and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all():
        return y.argmax(axis=1).astype(np.int64), ""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 1 and y.dtype.kind in "iub":
        return y.astype(np.int64), ""
    if y.ndim == 1 and _whole(y):
        return y.astype(np.int64), ""
    return None, f"{path}: y is {y.dtype} {list(y.shape)}, not classes, so no accuracy is measured"


def by_name(column: Column, names: Sequence[str]) -> NDArray[np.int64]:
    """The class of each row of a table, which has its name or its number.

    :param names: the task's labels; empty: classes have numbers only.
    """
    known = {name: number for number, name in enumerate(names)}
    known = {**{str(number): number for number in range(len(names) or MOST_CLASSES)}, **known}
    cells = [cell.strip() for cell in column.cells]
    for index, cell in enumerate(cells):
        if cell not in known:
            raise UsageError(
                f"{column.place(index)}: {cell!r} is not among the task's labels",
                f"they are {', '.join(names[:10])}" if names else "add labels to task.toml, or use numbers from 0",
            )
    return np.array([known[cell] for cell in cells], np.int64)


def groups(g: NDArray[Any], samples: int, path: Path) -> NDArray[Any]:
    """Return each sample's group, int64 or str ``[n]``, from integers or short texts, ``[n]`` or ``[n, 1]``."""
    if g.ndim == 2 and g.shape[1] == 1:
        g = g[:, 0]
    if g.shape != (samples,):
        found = f"{len(g)} groups" if g.ndim == 1 else f"the shape {list(g.shape)}"
        raise UsageError(f"{path}: g has {found}, x has {samples} samples", "provide one group per sample")
    if g.dtype.kind == "S":
        g = np.char.decode(g, "latin-1")
    elif g.dtype.kind != "U":
        if g.dtype.kind == "f" and not _whole(g):
            raise UsageError(f"{path}: g holds fractions, NaN or infinity", "groups are integers or short texts")
        g = g.astype(np.int64)
    names = np.unique(g)
    if len(names) > MOST_GROUPS:
        raise UsageError(f"{path}: g has {len(names)} groups, the limit is {MOST_GROUPS}", "merge some of them")
    if g.dtype.kind == "U" and not all(name and name.isprintable() for name in names.tolist()):
        raise UsageError(
            f"{path}: g holds a text that is empty or cannot be printed", "use plain text as names of groups"
        )
    return g


def _whole(values: NDArray[Any]) -> bool:
    """True if these floats are integers that int64 can hold."""
    return values.dtype.kind == "f" and bool(
        (np.isfinite(values) & (values == np.rint(values)) & (abs(values) < 2**53)).all()
    )


def check_labels(labels: NDArray[np.int64], graph: Graph, source: str) -> None:
    """Compare the labels with the number of classes that the network's first output has, where that is known.

    :raises UsageError: if one is negative or too large.
    """
    low, high, most = int(labels.min()), int(labels.max()), limit(graph)
    if low < 0 or high >= most:
        expected = f"0..{int(most) - 1}" if math.isfinite(most) else "0 or more"
        raise UsageError(f"{source}: labels must be {expected}, found {low}..{high}", "count classes from 0")


def classes(graph: Graph) -> int | None:
    """Return the number of classes of a classifier: the last dimension of its first output ``[1, .., classes]``."""
    if not graph.outputs or not graph.outputs[0].shape:
        return None
    shape = graph.outputs[0].shape
    return shape[-1] if math.prod(shape) == shape[-1] else None


def limit(graph: Graph) -> float:
    """Labels are below this: the number of classes where it is known; one output is one probability, of class 1."""
    count = classes(graph)
    return math.inf if count is None else max(count, 2)
