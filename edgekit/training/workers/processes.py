"""Workers that are processes on this machine."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ToolMissing
from edgekit.sandbox.environment import TENSORFLOW
from edgekit.sandbox.loopback import Loopback

TASK = "edgekit.training.loop:train"
LIMITS = sandbox.Limits(seconds=24 * 3600, memory_mb=8192)
FIRST_PORT = 10000
"""The first worker's port in the network of the workers; the others follow."""
STAGES = ("worker", "tensorflow", "the others")
"""What a worker reaches before it trains: it has its shard, it has TensorFlow, it has met its fellows."""
Listener = Callable[[dict[str, Any]], None]
Answer = tuple[dict[str, Any], dict[str, NDArray[Any]]]
_busy: set[int] = set()
"""Lanes of the sandbox in which somebody trains; not 0, where models are read."""
_busy_lock = threading.Lock()


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

    def __init__(self, port: int, lane: int, network: Loopback | None, limits: sandbox.Limits = LIMITS) -> None:
        self.address, self._lane = address(port), lane
        self._network, self._limits = network, limits

    def train(
        self, args: Mapping[str, Any], shard: Mapping[str, NDArray[Any]], folder: Path, listen: Listener
    ) -> Answer:
        """See :class:`Worker`."""
        listen({"reached": "worker"})
        return sandbox.call(
            TASK, args, shard, limits=self._limits, writable=[folder], lane=self._lane, listen=listen,
            network=self._network, preload=TENSORFLOW,
        )  # fmt: skip

    def stop(self) -> None:
        """See :class:`Worker`."""
        sandbox.stop([self._lane])


def address(port: int) -> str:
    """Where the others find the worker of a port, in a network that has the loopback interface only."""
    return f"127.0.0.1:{port}"


@contextmanager
def team(count: int) -> Iterator[list[Process]]:
    """So many processes; several share a network that nobody else reaches.

    TensorFlow's servers listen on all interfaces, and ask for no password. Only with ``--no-sandbox``, and where the
    kernel gives no such network, they listen on this machine's.

    :raises ToolMissing: if the kernel gives no such network.
    """
    ports = range(FIRST_PORT, FIRST_PORT + count)
    with _lanes(count) as lanes:
        if count == 1:
            yield [Process(FIRST_PORT, lanes[0], None)]
            return
        try:
            network = Loopback()
        except ToolMissing:
            if sandbox.required():
                raise
            limits = replace(LIMITS, network=True)
            yield [Process(*place, None, limits) for place in zip(_free_ports(count), lanes, strict=True)]
            return
        with network:
            yield [Process(*place, network) for place in zip(ports, lanes, strict=True)]


@contextmanager
def _lanes(count: int) -> Iterator[list[int]]:
    """Lanes where nobody trains meanwhile: the first ones, whose workers have TensorFlow since the last training."""
    with _busy_lock:
        taken = list(itertools.islice((lane for lane in itertools.count(1) if lane not in _busy), count))
        _busy.update(taken)
    try:
        yield taken
    finally:
        with _busy_lock:
            _busy.difference_update(taken)


def _free_ports(count: int) -> list[int]:
    """Ports of this machine's loopback interface that nobody listens on now."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports
