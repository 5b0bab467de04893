"""Text that edgekit writes for others: JSON that every parser takes, files in UTF-8 whatever the locale says."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def dumps(document: Any, *, indent: int | None = 1, sort_keys: bool = False) -> str:
    """Return ``document`` as JSON, with ``null`` for NaN and infinity, which JSON lacks (RFC 8259, section 6)."""
    return json.dumps(_finite(document), indent=indent, sort_keys=sort_keys, allow_nan=False)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; bytes of file names that are not UTF-8 are written as ``\\udcXX``."""
    path.write_text(text, "utf-8", errors="backslashreplace")


def _finite(value: Any) -> Any:
    """The same document with None for every float that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value
