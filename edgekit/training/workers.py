"""The processes that train together: one, or several on this machine, or one a host."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ModelError, UsageError

TASK = "edgekit.training.loop:train"
LIMITS = sandbox.Limits(seconds=24 * 3600, memory_mb=8192)
TOGETHER = sandbox.Limits(seconds=24 * 3600, memory_mb=8192, network=True)
MOST = 64
AFTERMATH = 3.0
"""Seconds to wait, once a worker failed, for the one that died: its fellows only lost the connection."""
_lanes = itertools.count(1)
Listener = Callable[[dict[str, Any]], None]
Answer = tuple[dict[str, Any], dict[str, NDArray[Any]]]


def parse(spec: str) -> list[str]:
    """Return one name a worker, ``""`` for this machine, from ``"2"``.

    :raises UsageError: if it is neither.
    """
    if spec.isdecimal():
        if not 1 <= int(spec) <= MOST:
            raise UsageError(f"--workers {spec}: it must be 1 to {MOST}")
        return [""] * int(spec)
    raise UsageError(f"--workers {spec}: give a number")


def run(
    crew: Sequence[str],
    args: Mapping[str, Any],
    shards: Sequence[Mapping[str, NDArray[Any]]],
    folder: Path,
    listen: Listener,
) -> Answer:
    """Train on all workers and return the first one's answer.

    :param folder: where the first one keeps its checkpoints.
    :raises ModelError: if a worker fails or dies; the others are ended, and the checkpoint stays.
    """
    shares = [
        dict(args) | {"checkpoints": str(folder), "validation_shard": len(shard["v0"])} for shard in shards
    ]  # fmt: skip
    if len(crew) == 1:
        try:
            return sandbox.call(
                TASK, shares[0] | {"cluster": None}, shards[0], limits=LIMITS, writable=[folder], listen=listen
            )
        except sandbox.ChildDied as death:
            raise ModelError(f"training {death.reason}", _again(folder)) from death
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(len(crew))]
    lanes = [next(_lanes) for _ in crew]

    def work(index: int) -> Answer:
        share = shares[index] | {"cluster": {"addresses": addresses, "index": index}}
        return sandbox.call(
            TASK, share, shards[index], limits=TOGETHER, writable=[folder], lane=lanes[index],
            listen=listen if index == 0 else None,
        )  # fmt: skip

    with ThreadPoolExecutor(len(crew)) as pool:
        futures = [pool.submit(work, index) for index in range(len(crew))]
        try:
            done, _ = wait(futures, return_when=FIRST_COMPLETED)
            if futures[0] not in done or futures[0].exception():
                wait(futures, AFTERMATH)
                _failed(futures, folder)
            return futures[0].result()
        finally:
            sandbox.stop(lanes)


def _failed(futures: Sequence[Future[Answer]], folder: Path) -> None:
    """:raises ModelError: about the worker that died, or else the first one that failed."""
    errors = [(n, e) for n, f in enumerate(futures) if f.done() and (e := f.exception()) is not None]
    for number, error in errors:
        if isinstance(error, sandbox.ChildDied):
            message = f"worker {number + 1} of {len(futures)} {error.reason}; the others were ended"
            raise ModelError(message, _again(folder)) from error
    raise errors[0][1]


def _again(folder: Path) -> str:
    kept = any(folder.iterdir())
    return "run the same command again: it goes on from the last checkpoint" if kept else "run the same command again"


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on now."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports
