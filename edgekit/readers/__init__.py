"""Readers: convert a model file to a Graph.

A reader never runs the user's code in this process: what cannot be parsed natively is read in a locked-down
child (:mod:`edgekit.sandbox`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgekit import plugins
from edgekit.errors import ModelError
from edgekit.progress import Progress, Silent
from edgekit.readers.shapes import Shapes

if TYPE_CHECKING:
    from edgekit.graph import Graph

MAX_MODEL_BYTES = 2 << 30
FORMATS = ".keras, .h5, a SavedModel folder, .tflite, .onnx"


@dataclass(frozen=True)
class ReadOptions:
    """Options of a reader.

    :param trust: run code that the model carries (Lambda layers, custom objects).
    :param shapes: of inputs that the model leaves open (:mod:`edgekit.readers.shapes`).
    :param seconds: wall clock for the child; ``memory_mb`` its private memory.
    """

    trust: bool = False
    seconds: float = 300.0
    memory_mb: int = 8192
    shapes: Shapes = field(default_factory=dict)
    progress: Progress = field(default_factory=Silent)


class Reader(Protocol):
    """Reads one format."""

    name: str

    def matches(self, path: Path) -> bool:
        """Say, from the name and the first bytes, whether ``path`` is this format. Must not raise."""

    def read(self, path: Path, options: ReadOptions) -> Graph:
        """Read the model.

        :raises ModelError: one line on what is wrong with it.
        :raises ToolMissing: if a converter is not installed.
        """


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
