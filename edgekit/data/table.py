"""A table as text: its columns by their names, and where each cell stands in the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.data import parquet
from edgekit.errors import UsageError

SUFFIXES = (".csv", parquet.SUFFIX)
MAX_BYTES, MAX_COLUMNS, MAX_CELL, MAX_TEXT = 1 << 30, 10_000, 256, 100_000
_DELIMITERS = ",;\t"
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Column:
    """A column's cells; ``rows``: the number of each one's row in the file, as it is told to people."""

    path: Path
    name: str
    cells: Sequence[str]
    rows: Sequence[int]

    def place(self, index: int) -> str:
        """Where a cell stands, for messages."""
        return f"{self.path}: row {self.rows[index]}, column {self.name!r}"


@dataclass(frozen=True)
class Table:
    """At least one row; ``columns``: in their order."""

    path: Path
    columns: dict[str, Column]


def read(path: Path, most: int = MAX_CELL, *, strip: bool = True) -> Table:
    """Read a table.

    :param most: characters in a cell. :param strip: without the white space around them.
    :raises UsageError: if it is not a table of at least one row.
    """
    if path.suffix.lower() == parquet.SUFFIX:
        return _parquet(path, most, strip)
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path}: a table of over {MAX_BYTES >> 30} GiB is too large to read")
    numbered = _csv(path, most)
    if len(numbered) < 2:
        raise UsageError(f"{path}: no samples", "a table has a row of names, then one row per sample")
    names = [name.strip() for name in numbered[0][1]]
    check_names(path, names)
    if all(is_number(name) for name in names):
        raise UsageError(f"{path}: the first row holds numbers", "put the names of the columns into the first row")
    rows = [number for number, _ in numbered[1:]]
    columns = {}
    for name, cells in zip(names, zip(*(row for _, row in numbered[1:]), strict=True), strict=True):
        columns[name] = Column(path, name, [cell.strip() for cell in cells] if strip else cells, rows)
    return Table(path, columns)


def _parquet(path: Path, most: int, strip: bool) -> Table:
    found = parquet.cells(path, most, MAX_COLUMNS)
    if not found or not found[0][1]:
        raise UsageError(f"{path}: no samples", "a table has one row per sample")
    check_names(path, [name.strip() for name, _ in found])
    rows, columns = range(1, len(found[0][1]) + 1), {}
    for name, cells in found:
        columns[name.strip()] = Column(path, name.strip(), [cell.strip() for cell in cells] if strip else cells, rows)
    return Table(path, columns)


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse columns without a name, and two of one name."""
    if len(set(names)) < len(names) or not all(names):
        again = next((name for name in names if names.count(name) > 1), "")
        raise UsageError(f"{path}: {f'two columns are called {again!r}' if again else 'a column has no name'}")


def _csv(path: Path, most: int) -> list[tuple[int, list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline(MAX_COLUMNS * MAX_CELL)
            file.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            return list(_checked(path, csv.reader(file, delimiter=delimiter, strict=True), most))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not text in UTF-8", "save the table as CSV") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except csv.Error as error:
        raise UsageError(f"{path}: not a table: {error}", "save it as CSV, with a row of names") from error


def _checked(path: Path, rows: Iterator[list[str]], most: int) -> Iterator[tuple[int, list[str]]]:
    """The rows with their numbers, in which empty rows count, too: spreadsheets show them."""
    width = 0
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        width = width or len(row)
        if len(row) != width:
            raise UsageError(f"{path}: row {number} has {len(row)} cells, the row of names {width}")
        if width > MAX_COLUMNS:
            raise UsageError(f"{path}: {width} columns, the limit is {MAX_COLUMNS}")
        if any(len(cell) > most for cell in row):
            raise UsageError(f"{path}: row {number} has a cell of over {most} characters")
        yield number, row


def is_number(text: str) -> bool:
    """True if this is a number, NaN and infinity included."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def numbers(column: Column) -> NDArray[np.float64]:
    """The numbers in a column, all of them finite and within float32.

    :raises UsageError: naming the row that has none.
    """
    for index, cell in enumerate(column.cells):
        if not is_number(cell):
            raise UsageError(
                f"{column.place(index)}: {cell!r} is not a number" if cell else f"{column.place(index)} is empty",
                "encode categories as numbers, as in training, and fill or drop rows with gaps",
            )
    values = np.array([float(cell) for cell in column.cells])
    wrong = ~(np.abs(values) <= _LARGEST)  # NaN is wrong, too
    if wrong.any():
        index = int(wrong.argmax())
        raise UsageError(
            f"{column.place(index)}: {column.cells[index]!r} is not a number that float32 holds", "clean the data first"
        )
    return values
