"""Where edgekit's data folders lie, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import os
from pathlib import Path

from edgekit.errors import EdgekitError

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
    """Return (and create) a folder below edgekit's cache.

    ``EDGEKIT_CACHE`` moves it; the default is ``$XDG_CACHE_HOME/edgekit`` or ``~/.cache/edgekit``.
    """
    root = os.environ.get("EDGEKIT_CACHE")
    base = Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgekit"
    path = base.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path
