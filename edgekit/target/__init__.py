"""Targets: what each board is, read from ``targets/*.toml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import plugins, resources
from edgekit.errors import UsageError
from edgekit.files import documents
from edgekit.target import listing
from edgekit.target.kinds import BoardKind as BoardKind
from edgekit.target.listing import Listed as Listed

if TYPE_CHECKING:
    from edgekit.target.schema import Target as Target


def __getattr__(name: str) -> Any:
    """Import the schema with :class:`Target`, whose many dataclasses take a list of boards longer than their files."""
    if name == "Target":
        from edgekit.target.schema import Target

        return Target
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def names() -> list[str]:
    """Names of all targets, sorted."""
    return sorted(path.stem for path in resources.folder("targets").glob("*.toml"))


def listed() -> list[Listed]:
    """What lists say of all targets, sorted by name.

    :raises UsageError: naming the file that is wrong.
    """
    folder = resources.folder("targets")
    return [listing.read(folder / f"{name}.toml") for name in names()]


@cache
def load(name: str) -> Target:
    """Read a target by name.

    :raises UsageError: if there is none by that name (the hint suggests the nearest), or its file is wrong.
    """
    if name not in names():  # which may come from a manifest, and be no file's name at all
        raise UsageError(f"there is no target named {name[:80]!r}", plugins.nearest(name[:80], names()))
    return read(resources.folder("targets") / f"{name}.toml")


def read(path: Path) -> Target:
    """Read a target's file.

    :raises UsageError: naming the file, and the key that is missing or mistyped, with its unit.
    """
    from edgekit.target import checking

    try:
        data = documents.read_toml(path)
    except (ValueError, OSError) as error:
        raise UsageError(f"{path}: not a target: {error}", listing.HINT) from error
    return checking.parse(path, data)
