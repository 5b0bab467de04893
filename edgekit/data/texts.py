"""Texts as samples: a table with a column ``text``, or a folder of files, one text each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.data import labelling, table, tables
from edgekit.errors import UsageError

SUFFIX = ".txt"
TEXT, LABEL, GROUP = "text", "label", tables.GROUP
MOST_BYTES = 1 << 20
"""Of a text in a file of its own."""
MOST_ALL = 1 << 30
"""Characters of all texts in a folder."""


@dataclass(frozen=True)
class Texts:
    """Texts, what each is called, and the class and the group of each, if there are such."""

    texts: list[str]
    names: list[str]
    labels: NDArray[np.int64] | None = None
    groups: NDArray[np.str_] | None = None


def holds(path: Path) -> bool:
    """True if texts may lie there: in a folder, or in a table."""
    return path.is_dir() or (path.is_file() and path.suffix.lower() in table.SUFFIXES)


def load(path: Path, labels: Sequence[str]) -> Texts:
    """Read the texts of a table or a folder.

    :param labels: names of the network's classes; empty: they have numbers only.
    :raises UsageError: one line on what is wrong: a file, a row, or a class that is not among the labels.
    """
    return _folder(path, labels) if path.is_dir() else _table(path, labels)


def _table(path: Path, labels: Sequence[str]) -> Texts:
    columns = table.read(path, table.MAX_TEXT, strip=False).columns
    if TEXT not in columns:
        few = ", ".join(list(columns)[:20])
        raise UsageError(f"{path}: it has no column {TEXT!r}, but {few}", f"call the texts' column {TEXT}")
    texts = [cell.replace("\r\n", "\n") for cell in columns[TEXT].cells]
    numbers = labelling.by_name(columns[LABEL], labels) if LABEL in columns else None
    groups = np.array([cell.strip() for cell in columns[GROUP].cells]) if GROUP in columns else None
    return Texts(texts, [" ".join(text.split()) for text in texts], numbers, groups)


def _folder(path: Path, labels: Sequence[str]) -> Texts:
    flat = _inside(path)
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if flat and folders:
        raise UsageError(
            f"{path}: texts both next to and inside class folders, such as {flat[0].name}",
            "put every text in its class's folder",
        )
    files = flat if flat else [file for folder in folders for file in _inside(folder)]
    if not files:
        raise UsageError(f"{path}: no texts in it", f"it may hold files {SUFFIX}, or folders of them, one per class")
    texts, room = list[str](), MOST_ALL
    for file in files:
        texts.append(_text(file))
        room -= len(texts[-1])
        if room < 0:
            raise UsageError(f"{path}: its texts have over {MOST_ALL >> 20} million characters", "use fewer")
    names = [file.relative_to(path).as_posix() for file in files]
    if flat:
        return Texts(texts, names)
    for folder in folders:
        if labels and folder.name not in labels:
            raise UsageError(
                f"{folder}: {folder.name!r} is not among the task's labels", f"they are {', '.join(labels[:10])}"
            )
    classes = list(labels) or [folder.name for folder in folders]
    return Texts(texts, names, np.array([classes.index(file.parent.name) for file in files], np.int64))


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.suffix.lower() == SUFFIX and p.is_file())
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from error


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"{file}: a text of over {MOST_BYTES >> 10} KiB is too long")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file}: not text in UTF-8", "save it as UTF-8") from None
