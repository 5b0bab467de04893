"""The workers that train together: one, or several on this machine, or one on each of several hosts."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import DeviceError, EdgekitError, ModelError, UsageError
from edgekit.ssh import Address
from edgekit.training.workers import hosts, processes
from edgekit.training.workers.processes import Answer, Listener, Worker

MOST = 64
AFTERMATH, DETECTION = 3.0, 40.0
"""Seconds to wait, once a worker failed, for the one that died: its fellows only lost the connection. The death of a
process is known at once, that of a host when ssh has missed it for half a minute."""
_HINT = "give a number of processes, or hosts: user@host1[:port],user@host2"
Crew = Sequence[Address | None]


def parse(spec: str) -> list[Address | None]:
    """Return where each worker is, None for this machine: from ``"2"``, or from ``"user@host1[:port],user@host2"``.

    :raises UsageError: if it is neither.
    """
    if re.fullmatch(r"[+-]?\d+", spec.strip()):
        if not 1 <= int(spec) <= MOST:
            raise UsageError(f"--workers {spec}: it must be 1 to {MOST}")
        return [None] * int(spec)
    names = [name.strip() for name in spec.split(",")]
    if len(names) > MOST:
        raise UsageError(f"--workers: {len(names)} hosts, {MOST} are the most")
    return [_address(spec, name) for name in names]


def _address(spec: str, name: str) -> Address:
    if name.isdecimal():
        raise UsageError(f"--workers {spec}: a number and hosts cannot be mixed", _HINT)
    try:
        return Address.parse("//" + name.removeprefix("ssh://"))
    except UsageError:
        raise UsageError(f"--workers {spec}: '{name}' is not user@host[:port]", _HINT) from None


def run(
    crew: Crew, args: Mapping[str, Any], shards: Sequence[Mapping[str, NDArray[Any]]], folder: Path, listen: Listener
) -> Answer:
    """Train on all workers and return the first one's answer.

    :param folder: where the first one keeps its checkpoints.
    :raises ModelError: if a worker fails or dies; the others are ended, and the checkpoint stays.
    :raises DeviceError: if a host does, or cannot be reached. :raises ToolMissing: if a host lacks what is needed.
    """
    addresses = [address for address in crew if address is not None]
    with hosts.team(addresses) if addresses else processes.team(len(crew)) as team:
        cluster = [worker.address for worker in team]

        def work(index: int) -> Answer:
            share = dict(args) | {"checkpoints": str(folder), "validation_shard": len(shards[index]["v0"])}
            share["cluster"] = {"addresses": cluster, "index": index} if len(crew) > 1 else None
            return team[index].train(share, shards[index], folder, listen if index == 0 else None)

        with ThreadPoolExecutor(len(crew)) as pool:
            futures = [pool.submit(work, index) for index in range(len(crew))]
            try:
                done, _ = wait(futures, return_when=FIRST_COMPLETED)
                if futures[0] not in done or futures[0].exception():
                    number, error = _cause(futures, DETECTION if addresses else AFTERMATH)
                    raise _told(error, team, number, folder) from error
                return futures[0].result()
            finally:
                for worker in team:
                    worker.stop()


def _cause(futures: Sequence[Future[Answer]], seconds: float) -> tuple[int, BaseException]:
    """The number and the error of the worker that failed by itself, not because it lost another one."""
    end = time.monotonic() + seconds
    while True:
        failed = [(n, e) for n, f in enumerate(futures) if f.done() and (e := f.exception()) is not None]
        own = [found for found in failed if not _lost_another(found[1])]
        own.sort(key=lambda found: not isinstance(found[1], sandbox.ChildDied | DeviceError))
        pending = [f for f in futures if not f.done()]
        left = end - time.monotonic()
        if own or not pending or left <= 0:
            return (own or failed)[0]
        wait(pending, left, FIRST_COMPLETED)


def _lost_another(error: BaseException) -> bool:
    """TensorFlow's errors come from the child by their names; all that edgekit itself raises there are sentences."""
    return isinstance(error, ModelError) and re.match(r"\w+Error: ", error.message) is not None


def _told(error: BaseException, team: Sequence[Worker], number: int, folder: Path) -> BaseException:
    """The error for the user: who failed, and that nothing is lost."""
    kept = any(folder.iterdir())
    hint = "run the same command again" + (": it goes on from the last checkpoint" if kept else "")
    worker, count = team[number], len(team)
    who = f"worker {number + 1} of {count}" + (f" ({worker.place})" if worker.place else "")
    others = "; the others were ended" if count > 1 else ""
    kind: type[EdgekitError] = DeviceError if worker.place else ModelError
    if isinstance(error, sandbox.ChildDied):
        return kind(f"{who if count > 1 or worker.place else 'training'} {error.reason}{others}", hint)
    if isinstance(error, DeviceError):
        return DeviceError(f"{error.message}{others}", hint)
    if worker.place and _lost_another(error):
        return DeviceError(f"{who} failed: {str(error)[:200]}{others}", hint)
    return error
