"""Tables as samples: a CSV file with a row of names, one row per sample."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.graph import Tensor

SUFFIX = ".csv"
MAX_BYTES, MAX_COLUMNS, MAX_CELL, MAX_TEXT = 1 << 30, 10_000, 256, 100_000
LABEL, GROUP = "y", "g"
_DELIMITERS = ",;\t"


def read(path: Path, inputs: Sequence[tuple[str, Tensor]]) -> dict[str, NDArray[Any]]:
    """Read a table as the arrays that an ``.npz`` would hold: one ``[n, columns]`` per input, ``y`` and ``g``.

    The columns of an input called NAME are ``NAME`` or ``NAME[0]``, ``NAME[1]``, ...; a network with one input takes
    all columns but ``y`` and ``g``, in their order. ``y`` holds numbers, or the names of classes, which are counted in
    sorted order.

    :param inputs: the name and tensor of each of the network's inputs.
    :raises UsageError: naming the row and the column that is wrong.
    """
    names, rows = cells(path)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    features = [name for name in names if name not in (LABEL, GROUP)]
    found: dict[str, NDArray[Any]] = {}
    for name, tensor in inputs:
        mine = features if len(inputs) == 1 else [one for one in features if _belongs(one, name)]
        if not mine:
            raise UsageError(f"{path}: no column for input {name!r}", f"call them {name}, or {name}[0], {name}[1], ...")
        values = np.stack([numbers(path, one, columns[one]) for one in mine], axis=1)
        found[name] = _as_integers(values, tensor)
    if LABEL in columns:
        found["y"] = _labels(path, columns[LABEL])
    if GROUP in columns:
        found["g"] = np.array(columns[GROUP])
    return found


def _belongs(column: str, name: str) -> bool:
    return column == name or re.fullmatch(re.escape(name) + r"\[[0-9]+\]", column) is not None


def cells(path: Path, most: int = MAX_CELL, *, strip: bool = True) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the rows.

    :param most: characters in a cell. :param strip: without the white space around them.
    :raises UsageError: if it is not a table of at least one row.
    """
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path}: a table of over {MAX_BYTES >> 30} GiB is too large to read")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline(MAX_COLUMNS * MAX_CELL)
            file.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            rows = list(_checked(path, csv.reader(file, delimiter=delimiter, strict=True), most))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not text in UTF-8", "save the table as CSV") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except csv.Error as error:
        raise UsageError(f"{path}: not a table: {error}", "save it as CSV, with a row of names") from error
    if len(rows) < 2:
        raise UsageError(f"{path}: no samples", "a table has a row of names, then one row per sample")
    names = [name.strip() for name in rows[0]]
    if len(set(names)) < len(names) or not all(names):
        again = next((name for name in names if names.count(name) > 1), "")
        raise UsageError(f"{path}: {f'two columns are called {again!r}' if again else 'a column has no name'}")
    if all(_is_number(name) for name in names):
        raise UsageError(f"{path}: the first row holds numbers", "put the names of the columns into the first row")
    return names, [[cell.strip() for cell in row] for row in rows[1:]] if strip else rows[1:]


def _checked(path: Path, rows: Iterator[list[str]], most: int) -> Iterator[list[str]]:
    width = 0
    for number, row in enumerate(rows, 1):
        if not row:
            continue  # an empty line
        width = width or len(row)
        if len(row) != width:
            raise UsageError(f"{path}: row {number} has {len(row)} cells, the row of names {width}")
        if width > MAX_COLUMNS:
            raise UsageError(f"{path}: {width} columns, the limit is {MAX_COLUMNS}")
        if any(len(cell) > most for cell in row):
            raise UsageError(f"{path}: row {number} has a cell of over {most} characters")
        yield row


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def numbers(path: Path, name: str, cells: Sequence[str]) -> NDArray[np.float64]:
    """The numbers in a column.

    :raises UsageError: naming the row that has none.
    """
    for number, cell in enumerate(cells, 2):
        if not _is_number(cell):
            raise UsageError(
                f"{path}: row {number}, column {name!r}: {cell!r} is not a number" if cell else
                f"{path}: row {number}, column {name!r} is empty",
                "encode categories as numbers, as in training, and fill or drop rows with gaps",
            )  # fmt: skip
    return np.array([float(cell) for cell in cells])


def _as_integers(values: NDArray[np.float64], tensor: Tensor) -> NDArray[Any]:
    """For an input of indices: whole numbers as integers, which are checked against its dtype later."""
    whole = not tensor.dtype.startswith("float") and not tensor.has_scale
    if whole and np.isfinite(values).all() and (values == np.rint(values)).all() and (abs(values) < 2**53).all():
        return values.astype(np.int64)
    return values


def _labels(path: Path, cells: Sequence[str]) -> NDArray[Any]:
    if all(map(_is_number, cells)):
        values = np.array([float(cell) for cell in cells])
        written_whole = all(re.fullmatch(r"[+-]?[0-9]+", cell) for cell in cells)
        return values.astype(np.int64) if written_whole and (abs(values) < 2**53).all() else values
    if any(not cell for cell in cells):
        raise UsageError(f"{path}: row {2 + list(cells).index('')}, column {LABEL!r} is empty")
    return np.unique(cells, return_inverse=True)[1].astype(np.int64)
