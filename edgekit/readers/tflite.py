"""Reads ``.tflite`` files, in this process: they are parsed natively, checked, and never executed."""

from __future__ import annotations

from pathlib import Path

from edgekit.graph import Graph, tflite
from edgekit.readers import ReadOptions, files


class TFLiteReader:
    """The pivot format."""

    name = "tflite"

    def matches(self, path: Path) -> bool:
        """By the name's ending (``.tflite``, ``.lite``), or the identifier TFL3 at byte 4."""
        return path.suffix.lower() in (".tflite", ".lite") or files.starts_with(path, b"TFL3", at=4)

    def read(self, path: Path, options: ReadOptions) -> Graph:
        """See :class:`edgekit.readers.Reader`."""
        files.check_file(path)
        return tflite.read(path)
