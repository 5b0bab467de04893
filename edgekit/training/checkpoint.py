"""The state of a training run on disk: plain arrays and JSON in one file that is always complete.

The folder may have been written by a child that runs an untrusted network: no link in it is followed.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import DeviceError
from edgekit.files import left_behind

NAME = "state.npz"
MOST_BYTES = 8 << 30
LEAST_SECONDS, SHARE = 1.0, 0.05
"""A state is written at most once a second, and in at most a twentieth of the time."""
OLD_SECONDS = 600.0
"""What is written for longer was left behind."""


def save(folder: Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Replace the saved state, which stays in place until the new one is complete."""
    text = np.frombuffer(json.dumps(dict(meta)).encode(), np.uint8)
    with _replacing(folder) as file:
        np.savez(file, allow_pickle=False, meta=text, **arrays)


def store(folder: Path, state: bytes) -> None:
    """Write a state that was saved elsewhere. :raises ValueError: if it is none."""
    unpacked(state)
    with _replacing(folder) as file:
        file.write(state)


@contextmanager
def _replacing(folder: Path) -> Iterator[IO[bytes]]:
    descriptor, new = tempfile.mkstemp(prefix=f".{NAME}.", dir=folder)  # a name that nobody put there before
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        os.replace(new, folder / NAME)
    except BaseException:
        Path(new).unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Remove the incomplete states that killed processes left."""
    for name in folder.glob(f".{NAME}.*"):
        if time.time() - name.lstat().st_mtime > OLD_SECONDS:
            name.unlink(missing_ok=True)


def stamp(folder: Path) -> int:
    """When the state was written, in ns; 0 where there is none."""
    try:
        return os.lstat(folder / NAME).st_mtime_ns
    except OSError:
        return 0


def read(folder: Path) -> bytes | None:
    """Return the bytes of the state's file, whole or not; None where there is none, or no plain file."""
    try:
        return left_behind.read(folder, NAME, MOST_BYTES)
    except DeviceError:
        return None


def load(folder: Path) -> bytes | None:
    """Read the state's file; None where there is none, or none that is whole."""
    found = read(folder)
    try:
        unpacked(found or b"")
    except ValueError:
        return None
    return found


def unpacked(state: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays and the JSON of a state's file. :raises ValueError: if it is none."""
    try:
        arrays = left_behind.stored(io.BytesIO(state), len(state))
        meta = json.loads(arrays.pop("meta").tobytes())
    except MemoryError:
        raise
    except Exception as error:  # zipfile and numpy's header parser raise many kinds
        raise ValueError("not a saved state") from error
    return arrays, meta


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
