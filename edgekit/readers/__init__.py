"""Readers: a model file -> Graph.

A reader never runs the user's code in this process: what cannot be parsed natively is read in a locked-down
child (:mod:`edgekit.sandbox`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from edgekit.graph import Graph

MAX_MODEL_BYTES = 2 << 30


@dataclass(frozen=True)
class ReadOptions:
    """What a reader may do.

    :param trust: run code that the model carries (Lambda layers, custom objects).
    :param seconds: wall clock for the child; ``memory_mb`` its private memory.
    """

    trust: bool = False
    seconds: float = 300.0
    memory_mb: int = 8192
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
