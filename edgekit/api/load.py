"""Read a model file of any format."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgekit import plugins
from edgekit.errors import ModelError
from edgekit.graph import Graph
from edgekit.readers import Reader, ReadOptions

FORMATS = ".keras, .h5, a SavedModel folder, .tflite, .onnx"


def load(path: str | Path, *, options: ReadOptions = ReadOptions()) -> Graph:
    """Read a model into a Graph.

    :raises ModelError: if it is missing, damaged, not trusted, or of no known format.
    """
    return reader_for(Path(path)).read(Path(path), options)


def reader_for(path: Path) -> Reader:
    """Return the reader whose format ``path`` is; one that knows the name's ending comes first."""
    if not path.exists():
        raise ModelError(f"there is no file {path}", "check the path of the model")
    for name in plugins.names("readers"):
        reader: Reader = plugins.get("readers", name)
        if reader.matches(path):
            return reader
    raise ModelError(f"{path.name} is not a model that edgekit reads", f"it reads {FORMATS}")


def digest(path: Path) -> str:
    """Return the sha256 of a model file, or of a model folder's names and contents."""
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            total.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()
