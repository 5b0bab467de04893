"""Targets: what each board is, read from ``targets/*.toml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from edgekit import plugins, resources
from edgekit.errors import UsageError
from edgekit.files import documents
from edgekit.target import schema
from edgekit.target.schema import BoardKind as BoardKind
from edgekit.target.schema import Target as Target


def names() -> list[str]:
    """Names of all targets, sorted."""
    return sorted(path.stem for path in resources.folder("targets").glob("*.toml"))


@cache
def load(name: str) -> Target:
    """Read a target by name.

    :raises UsageError: if there is none by that name (the hint suggests the nearest), or its file is wrong.
    """
    if name not in names():
        raise UsageError(f"there is no target named {name!r}", plugins.nearest(name, names()))
    return read(resources.folder("targets") / f"{name}.toml")


def read(path: Path) -> Target:
    """Read a target's file.

    :raises UsageError: naming the file, and the key that is missing or mistyped, with its unit.
    """
    try:
        data = documents.read_toml(path)
    except (ValueError, OSError) as error:
        raise UsageError(f"{path}: not a target: {error}", schema.HINT) from error
    return schema.target(path, data)
