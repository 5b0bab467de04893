"""Rows of a table as samples of a network whose task says what its columns are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import labelling, table, tables
from edgekit.data.table import Column
from edgekit.errors import UsageError
from edgekit.tasks.classifier import Classifier
from edgekit.tasks.ranker import Ranker
from edgekit.tasks.row import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.graph import Graph
    from edgekit.tasks.parts import Decider

CLASS = "label"


@dataclass(frozen=True)
class Rows:
    """The network's inputs ``[n, *tensor shape]``, and of each row its class, what is right, its group, its cells."""

    inputs: list[NDArray[Any]]
    labels: NDArray[np.int64] | None = None
    truth: NDArray[Any] | None = None
    groups: NDArray[np.str_] | None = None
    cells: NDArray[Any] | None = None


def load(path: Path, graph: Graph, row: Row, decider: Decider) -> Rows:
    """Read a table with the columns of a task, in any order; others do not matter.

    The column ``label`` (or ``y``) has classes by their names or numbers; with a regression, ``y`` has a number.

    :raises UsageError: naming the row and the column that is wrong.
    """
    columns = table.read(path).columns
    missing = [one.name for one in row.columns if one.name not in columns]
    if missing:
        raise UsageError(f"{path}: it has no column {missing[0]!r}", f"the task's are {_few(row)}")
    try:
        inputs = row.values({name: column.cells for name, column in columns.items()}, graph.inputs)
    except ValueError as error:
        number = columns[row.columns[0].name].rows[error.args[1]]
        raise UsageError(f"{path}: row {number}, {error.args[0]}") from error
    labels, truth = _truth(columns, decider)
    groups = np.array(columns[tables.GROUP].cells) if tables.GROUP in columns else None
    cells = np.array([columns[one.name].cells for one in row.columns], object).T
    return Rows(inputs, labels, truth, groups, cells)


def _truth(columns: dict[str, Column], decider: Decider) -> tuple[NDArray[np.int64] | None, NDArray[Any] | None]:
    """Classes, and what metrics are told."""
    key = next((name for name in (CLASS, tables.LABEL) if name in columns), None)
    if key is None:
        return None, None
    if isinstance(decider, Classifier | Ranker):
        found = labelling.by_name(columns[key], decider.labels)
        return found, found
    return None, table.numbers(columns[key])


def _few(row: Row) -> str:
    shown: Sequence[str] = [one.name for one in row.columns[:10]]
    return ", ".join(shown) + (" and others" if len(row.columns) > len(shown) else "")
