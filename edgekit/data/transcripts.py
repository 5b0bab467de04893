"""What is said in the recordings of a folder: a table or a text file beside them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from edgekit.data import table, wav
from edgekit.errors import UsageError

TABLE, LINES = "transcripts.csv", "transcripts.txt"
FILE, TEXT = "file", "text"
MOST_BYTES = 64 << 20


def read(folder: Path) -> list[tuple[Path, str]] | None:
    """The recordings that a folder's table or text file names, sorted, and what is said in each; None without one.

    :raises UsageError: with one line on what is wrong, such as a recording that is not there.
    """
    path = next((folder / name for name in (TABLE, LINES) if (folder / name).is_file()), None)
    if path is None:
        return None
    found: dict[Path, str] = {}
    for row, name, text in _table(path) if path.name == TABLE else _lines(path):
        place = PurePosixPath(name if name.lower().endswith(wav.SUFFIX) else name + wav.SUFFIX)
        file = folder / place
        if place.is_absolute() or ".." in place.parts or not file.is_file():
            raise UsageError(f"{path}: row {row}: {name!r} is no recording in this folder", "name WAV files in it")
        if file in found:
            raise UsageError(f"{path}: row {row}: {name!r} is there twice")
        found[file] = " ".join(text.split())
    if not found:
        raise UsageError(f"{path}: there are no transcripts", "a line has a recording's name and what is said in it")
    return sorted(found.items())


def _table(path: Path) -> list[tuple[int, str, str]]:
    """Of each row its number, the recording's name, and what is said in it."""
    columns = table.read(path, table.MAX_TEXT).columns
    for column in (FILE, TEXT):
        if column not in columns:
            few = ", ".join(list(columns)[:20])
            raise UsageError(f"{path}: it has no column {column!r}, but {few}", "it has file and text")
    return list(zip(columns[FILE].rows, columns[FILE].cells, columns[TEXT].cells, strict=True))


def _lines(path: Path) -> list[tuple[int, str, str]]:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path}: transcripts of over {MOST_BYTES >> 20} MiB are too large to read")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not text in UTF-8", "save it as UTF-8") from None
    parts = [(row, line.split(None, 1)) for row, line in enumerate(lines, 1) if line.strip()]
    return [(row, part[0], part[1] if len(part) > 1 else "") for row, part in parts]
