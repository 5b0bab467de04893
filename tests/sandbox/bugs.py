"""Tasks that fail in ways of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def library_refuses(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> tuple[dict[str, Any], Any]:
    """A library's Python code raises a TypeError on the data that it was given."""
    import json

    return {"value": json.loads(3)}, {}  # type: ignore[arg-type]
