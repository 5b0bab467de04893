"""Workers that are processes of this machine."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgekit import sandbox

TASK = "edgekit.training.loop:train"
ALONE = sandbox.Limits(seconds=24 * 3600, memory_mb=8192)
TOGETHER = sandbox.Limits(seconds=24 * 3600, memory_mb=8192, network=True)
STAGES = ("worker", "tensorflow", "the others")
"""What a worker reaches before it trains: it has its shard, it has TensorFlow, it has met its fellows."""
Listener = Callable[[dict[str, Any]], None]
Answer = tuple[dict[str, Any], dict[str, NDArray[Any]]]
_lanes = itertools.count(1)


class Worker(Protocol):
    """One of those that train together."""

    place: str
    """As messages call it: "" for this machine."""
    address: str
    """``host:port`` where the others find it."""

    def train(
        self, args: Mapping[str, Any], shard: Mapping[str, NDArray[Any]], folder: Path, listen: Listener
    ) -> Answer:
        """Train on a shard; for the arguments see :func:`edgekit.training.loop.train`.

        :param folder: where the first worker keeps its state.
        :param listen: receives ``{"reached": ...}`` at each of ``STAGES``, and from the first worker its progress.
        :raises sandbox.ChildDied: if it dies. :raises DeviceError: if its host does.
        """

    def stop(self) -> None:
        """From another thread: let ``train`` end, soon and with an error."""


class Process:
    """A child of this process."""

    place = ""

    def __init__(self, port: int) -> None:
        self.address, self._lane = f"127.0.0.1:{port}", next(_lanes)

    def train(
        self, args: Mapping[str, Any], shard: Mapping[str, NDArray[Any]], folder: Path, listen: Listener
    ) -> Answer:
        """See :class:`Worker`."""
        limits = TOGETHER if args["cluster"] else ALONE
        listen({"reached": "worker"})
        return sandbox.call(TASK, args, shard, limits=limits, writable=[folder], lane=self._lane, listen=listen)

    def stop(self) -> None:
        """See :class:`Worker`."""
        sandbox.stop([self._lane])


@contextmanager
def team(count: int) -> Iterator[list[Process]]:
    """So many processes, each with a port of the loopback interface that nobody listens on now."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    yield [Process(port) for port in ports]
