"""A worker on a host, ``python -m edgekit.training.workers.node``; ``hosts.py`` starts it over ssh.

It says which versions are here, then does what frames on its input ask: ``join`` makes a network in which only its own
worker is, with a door to each other worker; ``reach`` tries these; ``train`` trains in a sandboxed child. The other
side leads the doors to one another, through ssh. It ends, with everything it started and wrote, when its input ends,
on SIGTERM, and when the other side gives no sign of life.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

from edgekit import sandbox
from edgekit.errors import DeviceError, EdgekitError
from edgekit.sandbox import loopback
from edgekit.sandbox.environment import TENSORFLOW
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
        self._network: loopback.Loopback | None = None
        self._others: dict[str, str] = {}
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: self._ending.set())

    def serve(self) -> None:
        """Answer until there is nothing more to do; does not return."""
        for task in (self._watch, self._report):
            threading.Thread(target=task, daemon=True).start()
        try:
            self._channel.send("hello", versions.here() | {"folder": str(self._folder)})
            while (frame := self._asked.get()).kind in ("join", "reach"):
                if frame.kind == "join":
                    self._join(frame.value)
                else:
                    self._channel.send("reached", unreachable(self._others))
            self._train(frame)
        except Ended:
            pass
        finally:
            self.end()

    def _join(self, value: Mapping[str, Any]) -> None:
        """Make the network: this worker's own port in it, and one for each other worker, which is a door."""
        first, index = processes.FIRST_PORT, int(value["index"])
        self._others = {str(n): door(str(self._folder), n) for n in range(int(value["count"])) if n != index}
        mine = door(str(self._folder))
        try:
            if max(map(len, map(os.fsencode, (mine, *self._others.values())))) > loopback.LONGEST:
                raise DeviceError("the name of its temporary folder is too long", "set TMPDIR there to a shorter one")
            outward = {first + int(n): path for n, path in self._others.items()}
            self._network = loopback.Loopback({mine: first + index}, outward)
        except EdgekitError as error:
            self._refuse(error)
        else:
            self._channel.send("joined")

    def _refuse(self, error: EdgekitError) -> None:
        self._channel.send("error", {"kind": type(error).__name__, "message": error.message, "hint": error.hint})

    def _train(self, frame: Frame) -> None:
        args = frame.value | {"checkpoints": str(self._states)}
        try:
            value, arrays = sandbox.call(
                processes.TASK, args, unpack(frame.payload), limits=processes.LIMITS, writable=[self._states],
                listen=lambda message: self._channel.send("message", message), network=self._network,
                preload=TENSORFLOW,
            )  # fmt: skip
        except sandbox.ChildDied as death:
            self._channel.send("died", death.reason)
        except EdgekitError as error:
            self._refuse(error)
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


def door(folder: str, number: int | None = None) -> str:
    """The socket in a node's folder that leads to another worker, or to this one."""
    return f"{folder}/{'own' if number is None else number}"


def unreachable(doors: Mapping[str, str]) -> list[dict[str, str]]:
    """Go through the door to each ``worker``; return those that lead nowhere, each with what is ``wrong``."""
    with ThreadPoolExecutor(max(1, len(doors))) as pool:
        problems = pool.map(loopback.through, doors.values(), repeat(REACH_SECONDS))
        found = zip(doors, problems, strict=True)
    return [{"worker": worker, "wrong": problem} for worker, problem in found if problem]


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
