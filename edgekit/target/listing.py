"""What lists say of a target: the first lines of its file, so that a list of all boards reads no file to its end."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.files import documents, tables
from edgekit.target.kinds import BoardKind

HINT = "docs/targets.md lists the keys"
_TABLE = re.compile(r"^[ \t]*\[", re.M)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The keys of a target's file that come before its first table; see :class:`edgekit.target.schema.Target`."""

    name: str
    kind: BoardKind
    description: str
    arch: str
    backends: tuple[str, ...]
    runners: tuple[str, ...]
    calibration: tuple[Mapping[str, Any], ...] = ()


def read(path: Path) -> Listed:
    """Read what lists need of a target's file; tables are not looked at, and may be wrong.

    :raises UsageError: naming the file, and the key that is missing or mistyped.
    """
    try:
        listed = tables.build(Listed, _head(documents.read_text(path, documents.MOST_TOML_BYTES)))
        if listed.name != path.stem:
            raise ValueError(f"name must be {path.stem!r}")
        return listed
    except (ValueError, OSError) as error:
        raise UsageError(f"{path}: not a target: {error}", HINT) from error


def _head(text: str) -> dict[str, Any]:
    """The document up to its first table, or all of it if what looks like a table's name is within a value."""
    table = _TABLE.search(text)
    try:
        return documents.toml(text[: table.start()] if table else text)
    except tomllib.TOMLDecodeError:
        return documents.toml(text)
