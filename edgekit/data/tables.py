"""Tables as samples: a row of names, then one row per sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import table
from edgekit.data.table import Column
from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.graph import Tensor

LABEL, GROUP = "y", "g"


def read(path: Path, inputs: Sequence[tuple[str, Tensor]]) -> dict[str, NDArray[Any]]:
    """Read a table as the arrays that an ``.npz`` would hold: one ``[n, columns]`` per input, ``y`` and ``g``.

    The columns of an input called NAME are ``NAME`` or ``NAME[0]``, ``NAME[1]``, ...; a network with one input takes
    all columns but ``y`` and ``g``, in their order. ``y`` holds numbers, or the names of classes, which are counted in
    sorted order.

    :param inputs: the name and tensor of each of the network's inputs.
    :raises UsageError: naming the row and the column that is wrong.
    """
    columns = table.read(path).columns
    features = [name for name in columns if name not in (LABEL, GROUP)]
    found: dict[str, NDArray[Any]] = {}
    for name, tensor in inputs:
        mine = features if len(inputs) == 1 else [one for one in features if _belongs(one, name)]
        if not mine:
            raise UsageError(f"{path}: no column for input {name!r}", f"call them {name}, or {name}[0], {name}[1], ...")
        values = np.stack([table.numbers(columns[one]) for one in mine], axis=1)
        found[name] = _as_integers(values, tensor)
    if LABEL in columns:
        found["y"] = _labels(columns[LABEL])
    if GROUP in columns:
        found["g"] = np.array(columns[GROUP].cells)
    return found


def _belongs(column: str, name: str) -> bool:
    return column == name or re.fullmatch(re.escape(name) + r"\[[0-9]+\]", column) is not None


def _as_integers(values: NDArray[np.float64], tensor: Tensor) -> NDArray[Any]:
    """For an input of indices: whole numbers as integers, which are checked against its dtype later."""
    whole = not tensor.dtype.startswith("float") and not tensor.has_scale
    if whole and (values == np.rint(values)).all() and (abs(values) < 2**53).all():
        return values.astype(np.int64)
    return values


def _labels(column: Column) -> NDArray[Any]:
    if all(map(table.is_number, column.cells)):
        values = table.numbers(column)
        written_whole = all(re.fullmatch(r"[+-]?[0-9]+", cell) for cell in column.cells)
        return values.astype(np.int64) if written_whole and (abs(values) < 2**53).all() else values
    if "" in column.cells:
        raise UsageError(f"{column.place(list(column.cells).index(''))} is empty")
    return np.unique(column.cells, return_inverse=True)[1].astype(np.int64)
