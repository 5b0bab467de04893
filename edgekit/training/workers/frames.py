"""The protocol between a worker on a host and the training that uses it, over the two pipes of an ssh session.

A frame is a line, ``edgekit-worker {"kind": ..., "value": ..., "bytes": N}``, and N bytes after it. Other lines, as a
login shell may print, are skipped. A frame of the kind ``alive`` says only that its sender is there.
"""

from __future__ import annotations

import io
import json
import os
import select
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BEAT, SILENCE = 5.0, 90.0
"""Seconds between two signs of life; after how many without one the other side is taken for dead."""
_TICK = 0.5
"""Seconds until a wait notices that the talk was abandoned."""
_MARK = b"edgekit-worker "
_LINE, _PAYLOAD = 64 << 20, 4 << 30
"""Most bytes of a line and of what follows it."""


class Ended(Exception):
    """The other side closed its end, or sent something invalid."""


@dataclass(frozen=True)
class Frame:
    """One message: ``value`` is JSON."""

    kind: str
    value: Any
    payload: bytes


class Channel:
    """Frames over two file descriptors. Any thread may send; one receives."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        os.set_blocking(write, False)
        self._buffer, self._lock = bytearray(), threading.Lock()
        self._heard = time.monotonic()
        self._abandoned = False

    def abandon(self) -> None:
        """From another thread: let whoever sends or receives end, at once.

        That a pipe's other end closes is not enough: ssh hands its ends to the process that keeps the connection, which
        closes them when it gets round to it.
        """
        self._abandoned = True

    @property
    def silent(self) -> float:
        """Seconds since the last byte arrived."""
        return time.monotonic() - self._heard

    def send(self, kind: str, value: Any = None, payload: bytes = b"") -> None:
        """Send a frame.

        :raises Ended: if the other side is gone, or takes nothing for ``SILENCE`` seconds; if it was abandoned.
        """
        head = json.dumps({"kind": kind, "value": value, "bytes": len(payload)}).encode()
        with self._lock:
            for part in (_MARK + head + b"\n", payload):
                self._send(memoryview(part))

    def _send(self, rest: memoryview) -> None:
        taken = time.monotonic()
        while rest:
            if self._abandoned:
                raise Ended
            try:
                rest = rest[os.write(self._write, rest) :]
                taken = time.monotonic()
            except BlockingIOError:
                if time.monotonic() - taken >= SILENCE:
                    raise Ended from None
                select.select([], [self._write], [], _TICK)
            except OSError as error:
                raise Ended from error

    def receive(self, seconds: float) -> Frame | None:
        """Return the next frame; None if it is not complete after ``seconds``.

        :raises Ended: see there.
        """
        end = time.monotonic() + seconds
        while (frame := self._complete()) is None:
            left = end - time.monotonic()
            if self._abandoned:
                raise Ended
            if left <= 0:
                return None
            if not select.select([self._read], [], [], min(left, _TICK))[0]:
                continue
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise Ended
            self._heard = time.monotonic()
            self._buffer += chunk
        return frame

    def _complete(self) -> Frame | None:
        while (length := self._buffer.find(b"\n") + 1) > 0:
            if not self._buffer.startswith(_MARK):
                del self._buffer[:length]
                continue
            try:
                head = json.loads(self._buffer[len(_MARK) : length])
                kind, value, size = str(head["kind"]), head["value"], int(head["bytes"])
            except (ValueError, KeyError, TypeError) as error:
                raise Ended from error
            if not 0 <= size <= _PAYLOAD:
                raise Ended
            if len(self._buffer) < length + size:
                return None
            payload = bytes(self._buffer[length : length + size])
            del self._buffer[: length + size]
            return Frame(kind, value, payload)
        if len(self._buffer) > _LINE:
            raise Ended
        return None


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Pack arrays as the bytes of an ``.npz``."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """Unpack the arrays of :func:`pack`. :raises Ended: if the bytes are damaged."""
    with suppress(Exception), np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
    raise Ended
