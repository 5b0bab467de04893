"""The state of a training on disk: plain arrays and JSON in one file that is always whole."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

NAME = "state.npz"
LEAST_SECONDS, SHARE = 1.0, 0.05
"""A state is written at most once a second, and in at most a twentieth of the time."""


def save(folder: Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write the state in the place of the one before, which stays until the new one is complete."""
    text = np.frombuffer(json.dumps(dict(meta)).encode(), np.uint8)
    with _replacing(folder) as file:
        np.savez(file, allow_pickle=False, meta=text, **arrays)


def store(folder: Path, state: bytes) -> None:
    """Write a state that was saved elsewhere. :raises ValueError: if it is none."""
    try:
        unpacked(state)
    except (OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError("not a saved state") from error
    with _replacing(folder) as file:
        file.write(state)


@contextmanager
def _replacing(folder: Path) -> Iterator[IO[bytes]]:
    new = folder / f".{NAME}.{os.getpid()}"
    with new.open("wb") as file:
        yield file
    new.replace(folder / NAME)


def load(folder: Path) -> bytes | None:
    """Read the state's file; None where there is none, or none that is whole."""
    try:
        found = (folder / NAME).read_bytes()
        unpacked(found)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return found


def unpacked(state: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays and the JSON of a state's file."""
    with np.load(io.BytesIO(state), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return arrays, json.loads(arrays.pop("meta").tobytes())


def due(took: float) -> float:
    """When the next state may follow one that took so many seconds, on the monotonic clock."""
    return time.monotonic() + max(LEAST_SECONDS, took / SHARE)


class Saver:
    """Writes the state often enough that a kill loses about a second, seldom enough that it costs little."""

    def __init__(self, folder: Path | None, state: Callable[[], tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
        self._folder, self._state, self._due = folder, state, time.monotonic() + LEAST_SECONDS

    def __call__(self, *, now: bool = False) -> None:
        """Write, if it is time or ``now``."""
        began = time.monotonic()
        if self._folder is None or not (now or began >= self._due):
            return
        save(self._folder, *self._state())
        self._due = due(time.monotonic() - began)
