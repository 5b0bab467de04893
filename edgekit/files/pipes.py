"""Bounded reading of a program's output: an untrusted program, or a board, may print without end."""

from __future__ import annotations

import os
import select
import selectors
import subprocess
import time

MOST_BYTES = 16 << 20
"""Bytes of stdout and stderr together, at most; more end the program."""
_TICK = 0.1


class TooMuch(Exception):
    """A program printed more than it may."""


class Output:
    """Collects what a process prints into its pipe ``stdout``."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        self._process, self._pipe, self._said = process, process.stdout, bytearray()

    def wait(self, seconds: float) -> str:
        """Wait for the process to end; return what it printed so far.

        A process that it left behind and that holds the pipe open is not waited for.

        :raises subprocess.TimeoutExpired: if it goes on after ``seconds``. :raises TooMuch: if it prints too much.
        """
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            ready, _, _ = select.select([self._pipe], [], [], max(0.0, min(left, _TICK)))
            if ready:
                chunk = os.read(self._pipe.fileno(), 1 << 16)
                if not chunk:
                    self._process.wait(max(0.0, left))
                    return self.text
                if len(self._said) + len(chunk) > MOST_BYTES:
                    raise TooMuch
                self._said += chunk
            elif self._process.poll() is not None:
                return self.text
            if left <= 0:
                raise subprocess.TimeoutExpired(self._process.args, seconds)

    @property
    def text(self) -> str:
        """What was printed so far."""
        return self._said.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def exchange(process: subprocess.Popen[bytes], data: bytes, seconds: float, most: int) -> tuple[bytes, bytes]:
    """Send ``data`` to a process and return what it printed on stdout and stderr; it is killed where that fails.

    :param process: with pipes for all three.
    :raises subprocess.TimeoutExpired: if it goes on after ``seconds``.
    :raises TooMuch: if it prints over ``most`` bytes.
    """
    assert process.stdin and process.stdout and process.stderr
    said = {process.stdout: bytearray(), process.stderr: bytearray()}
    rest, end = memoryview(data), time.monotonic() + seconds
    try:
        with selectors.DefaultSelector() as waiting:
            os.set_blocking(process.stdin.fileno(), False)
            waiting.register(process.stdin, selectors.EVENT_WRITE)
            for stream in said:
                waiting.register(stream, selectors.EVENT_READ)
            while waiting.get_map():
                if time.monotonic() > end:
                    raise subprocess.TimeoutExpired(process.args, seconds)
                for key, _ in waiting.select(max(0.0, end - time.monotonic())):
                    if key.fileobj is process.stdin:
                        try:
                            rest = rest[os.write(key.fd, rest[: 1 << 16]) :] if rest else rest
                        except BrokenPipeError:
                            rest = rest[:0]
                        if not rest:
                            waiting.unregister(process.stdin)
                            process.stdin.close()
                        continue
                    chunk = os.read(key.fd, 1 << 16)
                    if not chunk:
                        waiting.unregister(key.fileobj)
                        continue
                    said[key.fileobj] += chunk  # type: ignore[index]
                    if sum(map(len, said.values())) > most:
                        raise TooMuch
        process.wait(max(0.0, end - time.monotonic()))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
    return bytes(said[process.stdout]), bytes(said[process.stderr])
