"""Records which lines of some files run, in this process and in what it starts.

A byte per line in a shared mapping is set when the line runs. A child that may write no file can still write there,
since the mapping is made when its Python starts, before any lock is set.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any


class Lines:
    """The mapping. ``index`` is a JSON file beside it: the files by name, with the place of their line 0."""

    def __init__(self, index: Path) -> None:
        self.index: dict[str, int] = json.loads(index.read_text())
        with index.with_suffix(".bits").open("r+b") as file:
            self.bits = mmap.mmap(file.fileno(), 0)

    def clear(self) -> None:
        self.bits[:] = bytes(len(self.bits))

    def taken(self) -> set[int]:
        """Return the places of the lines that ran since the last call of :meth:`clear`."""
        data = self.bits[:]
        return {place for place, value in enumerate(data) if value}

    def record(self) -> None:
        """Record this process's lines from now on, and those of its forks."""
        bits = self.bits

        def local(base: int) -> Any:
            def trace(frame: FrameType, event: str, argument: Any) -> Any:
                bits[base + frame.f_lineno] = 1
                return trace

            return trace

        tracers = {name: local(base) for name, base in self.index.items()}

        def call(frame: FrameType, event: str, argument: Any) -> Any:
            trace = tracers.get(frame.f_code.co_filename)
            return None if trace is None else trace(frame, event, argument)

        threading.settrace(call)
        sys.settrace(call)


def start(index: str) -> None:
    """Record in this process; called when a Python of the scratch checkout starts.

    A locked program, or one of another user, may not open the files: it runs unrecorded.
    """
    with contextlib.suppress(PermissionError):
        Lines(Path(index)).record()
