"""Start commands and sandbox workers by forking a process that has imported their modules (``tests/forge.py``)."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit import sandbox
from tests import kernels
from tests.forge import bound

CONVERTER = "program.py"
"""What ``edgekit.readers.onnx2tf`` calls the converter's program."""
FORGE = Path(__file__).with_name("forge.py")
FRESH = sandbox._started
"""Starts a worker that imports its modules itself."""
FRESH_PROGRAM = sandbox._launched
"""Starts a program of its own."""
_environment = dict(os.environ)
"""That of the session: what a test sets for itself is not the forge's."""


class Forked:
    """A process that a forge started, with the part of ``subprocess.Popen`` that :mod:`edgekit.sandbox` uses."""

    def __init__(
        self, connection: socket.socket, stdin: Any = None, stdout: Any = None, args: Sequence[str] = ()
    ) -> None:
        self._connection, self.stdin, self.stdout, self.args = connection, stdin, stdout, args
        self._pid = 0
        self._read = b""
        self.returncode: int | None = None

    @property
    def pid(self) -> int:
        """Its process, once it is forked."""
        while not self._pid and self.returncode is None:
            self._look()
        return self._pid

    def terminate(self) -> None:
        """As ``Popen.terminate``."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def poll(self) -> int | None:
        """As ``Popen.poll``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As ``Popen.wait``."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = None if end is None else max(0.0, end - time.monotonic())
            try:
                if not select.select([self._connection], [], [], left)[0]:
                    raise subprocess.TimeoutExpired("a forked process", timeout or 0)
                self._look()
            except (OSError, ValueError):
                if self.returncode is None:
                    raise
                # Another thread heard of the end meanwhile, and closed the connection.
        return self.returncode

    def _look(self) -> None:
        """Wait for the next answer."""
        chunk = self._connection.recv(1 << 12)
        self._read += chunk
        *lines, self._read = self._read.split(b"\n")
        for line in map(json.loads, lines):
            self._pid = line.get("pid", self._pid)
            if "status" in line:
                self.returncode = os.waitstatus_to_exitcode(line["status"])
        if not chunk and self.returncode is None:  # the forge is gone
            self.returncode = -signal.SIGKILL
        if self.returncode is not None:
            self._connection.close()


def asked(place: str, request: Mapping[str, Any], descriptors: Sequence[int]) -> socket.socket:
    """Send a request to the forge at ``place``; return the connection for its answers."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(place)
    socket.send_fds(connection, [json.dumps(request).encode()], list(descriptors))
    return connection


@functools.cache
def forge() -> str:
    """The socket of this process's forge, started when it is first needed; it ends with this process."""
    folder = tempfile.mkdtemp(prefix="forge")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    place = os.path.join(folder, "socket")
    process = subprocess.Popen(
        [sys.executable, FORGE, place, kernels.folder or ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, cwd=FORGE.parents[1], env=_environment,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == b"ready\n"
    atexit.register(process.kill)  # and, as it looks after its own, all that it started
    return place


def start_worker(command: list[str], env: dict[str, str], place: str | None = None) -> Any:
    """Stand in for ``edgekit.sandbox._started``."""
    to_read, to_write = os.pipe(), os.pipe()
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        connection = asked(
            place or forge(), {"worker": command, "env": env, "cwd": "/"}, [to_read[0], to_write[1], null]
        )
    finally:
        for descriptor in (to_read[0], to_write[1], null):
            os.close(descriptor)
    return Forked(connection, os.fdopen(to_read[1], "wb"), os.fdopen(to_write[0], "rb"))


def start_program(
    launcher: list[str], folder: Path, env: dict[str, str], stdin: int, stderr: Any, place: str | None = None
) -> Any:
    """Stand in for ``edgekit.sandbox._launched``: of all programs, the ONNX converter takes longest to import."""
    if stdin != subprocess.DEVNULL or stderr != subprocess.STDOUT:
        return FRESH_PROGRAM(launcher, folder, env, stdin, stderr)
    kind = "converter" if [Path(part).name for part in launcher[7:8]] == [CONVERTER] else "launcher"
    to_read, to_write = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        request = {kind: launcher, "env": env, "cwd": str(folder)}
        connection = asked(place or forge(), request, [null, to_write, to_write])
    finally:
        os.close(null)
        os.close(to_write)
    return Forked(connection, stdout=os.fdopen(to_read, "rb"), args=launcher)


def run(command: Sequence[str], cwd: Path | None, env: dict[str, str], seconds: float) -> tuple[int, str, str]:
    """Run ``edgekit ARGUMENTS``; return the exit status and what it wrote to stdout and stderr.

    In a process forked from one that has imported it, or, where the environment can change how Python starts, afresh.
    """
    if bound(env) != bound(_environment):
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds, check=False)
        return done.returncode, done.stdout, done.stderr
    pipes = [os.pipe(), os.pipe()]
    request = {"command": list(command), "env": env, "cwd": str(cwd or Path.cwd())}
    try:
        process = Forked(asked(forge(), request, [0, pipes[0][1], pipes[1][1]]))
    finally:
        for _, ours in pipes:
            os.close(ours)
    out, err = _read([theirs for theirs, _ in pipes], process, time.monotonic() + seconds)
    return process.wait(), out, err


def _read(descriptors: Sequence[int], process: Forked, end: float) -> list[str]:
    """Read to the end; kill the process if that is not reached in time."""
    found = dict.fromkeys(descriptors, b"")
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                os.kill(process.pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired("edgekit", 0, *found.values())
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                found[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    return [text.decode().replace("\r\n", "\n") for text in found.values()]
