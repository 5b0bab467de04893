"""A worker on a host, ``python -m edgekit.training.workers.node``; ``hosts.py`` starts it over ssh.

It says which versions are here and on which port it will listen, then does what frames on its input ask: ``reach``
tries to connect to the other workers, ``train`` trains in a sandboxed child. It ends, with everything it started and
wrote, when its input ends, on SIGTERM, and when the other side gives no sign of life.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from edgekit import sandbox
from edgekit.errors import EdgekitError
from edgekit.training import checkpoint
from edgekit.training.workers import processes, versions
from edgekit.training.workers.frames import BEAT, SILENCE, Channel, Ended, Frame, pack, unpack

REACH_SECONDS = 10.0
_TICK = 0.2


class Node:
    """The worker. ``folder`` is its own, and the only one it writes to."""

    def __init__(self, channel: Channel, folder: Path) -> None:
        self._channel, self._folder = channel, folder
        self._asked: queue.Queue[Frame] = queue.Queue()
        self._ending, self._last = threading.Event(), threading.Lock()
        self._states = folder / "states"
        self._states.mkdir()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: self._ending.set())

    def serve(self) -> None:
        """Answer until there is nothing more to do; does not return."""
        for task in (self._watch, self._report):
            threading.Thread(target=task, daemon=True).start()
        try:
            with socket.create_server(("", 0)) as server:  # holds the port, and lets the others try it
                self._channel.send("hello", versions.here() | {"port": server.getsockname()[1]})
                while (frame := self._asked.get()).kind == "reach":
                    self._channel.send("reached", unreachable(frame.value))
            self._train(frame)
        except Ended:
            pass
        finally:
            self.end()

    def _train(self, frame: Frame) -> None:
        args = frame.value | {"checkpoints": str(self._states)}
        limits = processes.TOGETHER if args["cluster"] else processes.ALONE
        try:
            value, arrays = sandbox.call(
                processes.TASK, args, unpack(frame.payload), limits=limits, writable=[self._states],
                listen=lambda message: self._channel.send("message", message),
            )  # fmt: skip
        except sandbox.ChildDied as death:
            self._channel.send("died", death.reason)
        except EdgekitError as error:
            said = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
            self._channel.send("error", said)
        except OSError as error:  # a full disk, mostly
            self._channel.send("failed", error.strerror or str(error))
        else:
            self._channel.send("result", value, pack(arrays))
        self._asked.get()  # the other side ends this

    def _watch(self) -> None:
        """Receive frames; end everything when there is nobody to work for."""
        with suppress(Ended):
            while not self._ending.is_set() and self._channel.silent < SILENCE:
                frame = self._channel.receive(_TICK)
                if frame is not None and frame.kind != "alive":
                    self._asked.put(frame)
        self.end()

    def _report(self) -> None:
        """Give signs of life, and send each new state, which may take a twentieth of the time."""
        sent, due = 0, time.monotonic()
        with suppress(Ended):
            while True:
                self._channel.send("alive")
                end = time.monotonic() + BEAT
                while time.monotonic() < end:
                    time.sleep(_TICK)
                    if time.monotonic() < due or (stamp := checkpoint.stamp(self._states)) in (0, sent):
                        continue
                    began, sent = time.monotonic(), stamp
                    if state := checkpoint.read(self._states):  # who stores it looks whether it is whole
                        self._channel.send("state", payload=state)
                    due = checkpoint.due(time.monotonic() - began)
        self.end()

    def end(self) -> None:
        """Kill what was started, remove what was written, and exit."""
        with self._last:  # whichever thread comes first; no other gets here
            self._channel.abandon()  # who waits for the other side to take what it says holds what we stop
            sandbox.stop_all()
            shutil.rmtree(self._folder, ignore_errors=True)
            os._exit(0)


def unreachable(addresses: Sequence[str]) -> list[dict[str, str]]:
    """Try to connect to each ``host:port``; return those that fail, each with what is ``wrong``."""

    def wrong(address: str) -> str:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
        except OSError as error:
            return error.strerror or str(error)
        return ""

    with ThreadPoolExecutor(max(1, len(addresses))) as pool:
        found = zip(addresses, pool.map(wrong, addresses), strict=True)
    return [{"address": address, "wrong": problem} for address, problem in found if problem]


def main() -> None:
    """Serve whoever is on standard input and output."""
    channel = Channel(os.dup(0), os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # nothing else may speak on the channel
    folder = Path(tempfile.mkdtemp(prefix="node-", dir=Path.cwd()))
    tempfile.tempdir = str(folder)
    Node(channel, folder).serve()


if __name__ == "__main__":
    main()
