"""Data files of edgekit, and its cache."""

from __future__ import annotations

import os
from pathlib import Path

from edgekit.errors import EdgekitError, UsageError

ANOTHER_CACHE = "name a folder that you can write: export EDGEKIT_CACHE=/some/folder"

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """Return the folder ``targets``, ``compile`` or ``firmware_stubs``.

    A checkout keeps them beside the package, a wheel inside it under ``edgekit/_data``.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise EdgekitError(f"edgekit's data folder {name!r} is missing", "reinstall edgekit")


def cache(*parts: str) -> Path:
    """Return the path of a folder in edgekit's cache, absolute; it need not exist.

    ``EDGEKIT_CACHE`` moves the cache; the default is ``$XDG_CACHE_HOME/edgekit`` or ``~/.cache/edgekit``.

    :raises UsageError: if there is no home folder, and nothing else names one.
    """
    if root := os.environ.get("EDGEKIT_CACHE"):
        base = Path(root)
    elif root := os.environ.get("XDG_CACHE_HOME"):
        base = Path(root) / "edgekit"
    else:
        try:
            base = Path.home() / ".cache" / "edgekit"
        except RuntimeError as error:
            raise UsageError("there is no home folder for edgekit's cache", ANOTHER_CACHE) from error
    return Path(os.path.abspath(base.joinpath(*parts)))


def created(folder: Path) -> Path:
    """Create a folder of the cache, if it does not exist, and return it.

    :raises UsageError: if it cannot be created, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK):
        raise unwritable(folder, "nothing may be written there")
    return folder


def unwritable(folder: Path, why: str) -> UsageError:
    """The error for a cache that cannot be written."""
    return UsageError(f"edgekit's cache cannot be written: {folder}: {why}", ANOTHER_CACHE)
