"""A sandboxed program that lives for a while, and is talked to through its standard input and output."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edgekit import sandbox

_LOG_BYTES = 4000


class Ended(Exception):
    """The program ended, or its time is over; the message says how, ``log`` the end of what it printed on stderr."""

    def __init__(self, reason: str, log: str) -> None:
        super().__init__(reason)
        self.reason, self.log = reason, log


class Conversation:
    """The caller's end. See :func:`conversing`."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes], seconds: float) -> None:
        assert process.stdin and process.stdout
        self._process, self._log, self._seconds = process, log, seconds
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        self._end = time.monotonic() + seconds
        os.set_blocking(self._in, False)

    def write(self, data: bytes) -> None:
        """Send bytes, and wait until the program has room for all of them.

        :raises Ended: if it has ended, or its time is over.
        """
        rest = memoryview(data)
        while rest:
            _, ready, _ = select.select([], [self._in], [], self._left())
            if not ready:
                raise self._over()
            try:
                rest = rest[os.write(self._in, rest) :]
            except BrokenPipeError:
                raise self._ended() from None

    def read(self, seconds: float) -> bytes:
        """Return what there is, at least one byte; none if there is none for so long.

        :raises Ended: if it has ended, or its time is over.
        """
        ready, _, _ = select.select([self._out], [], [], min(seconds, self._left()))
        if not ready:
            if self._left() == 0:
                raise self._over()
            return b""
        if data := os.read(self._out, 1 << 16):
            return data
        raise self._ended()

    def _left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def _over(self) -> Ended:
        return Ended(f"ran past {self._seconds:g} s", self._said())

    def _ended(self) -> Ended:
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            return Ended("closed its output", self._said())
        return Ended(f"ended with status {self._process.returncode}", self._said())

    def _said(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - _LOG_BYTES))
        return self._log.read(_LOG_BYTES).decode(errors="replace").strip()


@contextmanager
def conversing(
    argv: Sequence[str],
    *,
    folder: Path,
    limits: sandbox.Limits,
    env: Mapping[str, str],
    readable: Sequence[Path] = (),
) -> Iterator[Conversation]:
    """Start a program as :func:`edgekit.sandbox.run_program` does; it ends with the context.

    :param limits: ``seconds`` is how long the conversation may last.
    """
    # What it prints on stderr goes to a file without a name, as large as a file of it may be.
    with tempfile.TemporaryFile() as log:
        process = sandbox.started(
            argv, folder=folder, limits=limits, env=env, readable=readable, stdin=subprocess.PIPE, stderr=log
        )
        try:
            yield Conversation(process, log, limits.seconds)
        finally:
            sandbox.finished(process)
