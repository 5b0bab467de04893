"""Parquet tables, read in a sandboxed child process: the reader is written in C++, and a file may be from anybody."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ToolMissing, UsageError
from edgekit.sandbox import Limits

if TYPE_CHECKING:
    import pyarrow

SUFFIX = ".parquet"
MAX_BYTES, MAX_CELLS, MAX_LETTERS = 256 << 20, 20_000_000, 1 << 29
"""Of the file; of all columns together."""
_BATCH = 16384
_LIMITS = Limits(seconds=300, memory_mb=6144)


def cells(path: Path, most: int, most_columns: int) -> list[tuple[str, list[str]]]:
    """The columns of a table as text: numbers so that they are the same when they are read again, gaps as nothing.

    :param most: characters in a cell.
    :raises UsageError: if it is not a table of numbers and texts; :raises ToolMissing: without pyarrow.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ToolMissing(
            f"{path}: Parquet needs pyarrow, which is not installed", "install it: pip install 'edgekit[parquet]'"
        )
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path}: a table of over {MAX_BYTES >> 20} MiB is too large to read")
    args = {"path": str(path), "most": most, "columns": most_columns}
    try:
        made, arrays = sandbox.call(
            "edgekit.data.parquet:read_task", args, {"data": np.frombuffer(data, np.uint8)}, limits=_LIMITS
        )
    except sandbox.ChildDied as died:
        raise UsageError(f"{path}: cannot be read: pyarrow {died.reason} on it") from died
    names: list[str] = made["names"]
    return [(name, _split(arrays[f"text{i}"], arrays[f"ends{i}"])) for i, name in enumerate(names)]


def _split(text: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[str]:
    whole, begin, made = text.tobytes(), 0, []
    for end in ends.tolist():
        made.append(whole[begin:end].decode())
        begin = end
    return made


def read_task(args: dict[str, Any], arrays: Mapping[str, NDArray[Any]], folder: Path) -> tuple[dict[str, Any], Any]:
    """Run in the child process."""
    import pyarrow
    from pyarrow import parquet

    pyarrow.set_cpu_count(1)
    path = args["path"]
    try:
        file = parquet.ParquetFile(io.BytesIO(arrays["data"].tobytes()))
        schema, rows = file.schema_arrow, file.metadata.num_rows
        _check(path, schema, rows, args["columns"])
        columns: list[list[bytes]] = [[] for _ in schema.names]
        room = MAX_LETTERS
        for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
            for column, values in zip(columns, batch.columns, strict=True):
                for cell in _texts(values):
                    column.append(cell.encode())
                    room -= len(column[-1])
                    if len(cell) > args["most"]:
                        raise UsageError(f"{path}: row {len(column)} has a cell of over {args['most']} characters")
                if room < 0 or len(column) * len(columns) > MAX_CELLS:
                    raise UsageError(f"{path}: the table is too large", "use fewer rows")
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # of a damaged file, in many ways
        words = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: not a Parquet table that can be read: {words}") from error
    found: dict[str, NDArray[Any]] = {}
    for number, column in enumerate(columns):
        found[f"text{number}"] = np.frombuffer(b"".join(column), np.uint8)
        found[f"ends{number}"] = np.cumsum([len(cell) for cell in column], dtype=np.int64)
    return {"names": list(schema.names)}, found


def _check(path: str, schema: pyarrow.Schema, rows: int, most: int) -> None:
    from pyarrow import types

    if len(schema.names) > most:
        raise UsageError(f"{path}: {len(schema.names)} columns, the limit is {most}")
    if rows * len(schema.names) > MAX_CELLS:
        raise UsageError(f"{path}: {rows} rows of {len(schema.names)} columns are too many", "use fewer rows")
    for field in schema:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        known = (types.is_integer, types.is_floating, types.is_boolean, types.is_string, types.is_large_string)
        if not any(test(kind) for test in known):
            raise UsageError(f"{path}: column {field.name[:40]!r} holds {str(kind)[:40]}", "numbers and texts are read")


def _texts(values: pyarrow.Array) -> Iterator[str]:
    """Cells as text; booleans as 0 and 1."""
    for value in values.to_pylist():
        if value is None:
            yield ""
        elif isinstance(value, str):
            yield value
        else:
            yield repr(value) if isinstance(value, float) else str(int(value))
