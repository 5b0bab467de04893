"""Identify a model file by its digest, and read it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgekit.readers import load, reader_for

__all__ = ["digest", "load", "reader_for"]


def digest(path: Path) -> str:
    """Return the sha256 of a model file, or of a model folder's names and contents."""
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            total.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()
