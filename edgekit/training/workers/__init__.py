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
from edgekit.training.workers import hosts, processes
from edgekit.training.workers.processes import STAGES, Answer, Listener, Worker
from edgekit.transport.ssh import Address

MOST = 64
TICK, PATIENCE = 1.0, 600.0
"""Seconds that workers wait before the first step for one that is slower, or stuck; later TensorFlow notices itself."""
AFTERMATH, DETECTION = 3.0, 40.0
"""Seconds to wait, once a worker failed, for the one that died: its fellows only lost the connection. The death of a
process is known at once, that of a host when ssh has missed it for half a minute."""
_LOSSES = ("Unavailable", "DeadlineExceeded", "Aborted", "Cancelled")
"""TensorFlow's names for what happens to those who wait for one that is gone."""
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
        raise UsageError(f"--workers: {len(names)} hosts; the limit is {MOST}")
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

        start = _Start(len(crew))

        def work(index: int) -> Answer:
            share = dict(args) | {"checkpoints": str(folder), "validation_shard": len(shards[index]["v0"])}
            share["cluster"] = {"addresses": cluster, "index": index} if len(crew) > 1 else None
            return team[index].train(share, shards[index], folder, start.listener(index, listen))

        with ThreadPoolExecutor(len(crew)) as pool:
            futures = [pool.submit(work, index) for index in range(len(crew))]
            try:
                while not (done := wait(futures, TICK, FIRST_COMPLETED).done):
                    if (late := start.late()) is not None:
                        raise _told(sandbox.ChildDied(f"did not start within {PATIENCE:g} s", ""), team, late, folder)
                if futures[0] not in done or futures[0].exception():
                    number, error = _cause(futures, DETECTION if addresses else AFTERMATH)
                    raise _told(error, team, number, folder) from error
                return futures[0].result()
            finally:
                if addresses or len(crew) > 1 or not futures[0].done() or futures[0].exception():
                    for worker in team:
                        worker.stop()  # else its process, which has TensorFlow, is there for the next training


class _Start:
    """How far the workers have come before the first step."""

    def __init__(self, count: int) -> None:
        self._reached, self._last = [0] * count, time.monotonic()

    def listener(self, index: int, listen: Listener) -> Listener:
        """Of a worker: the first one's progress goes on to ``listen``."""

        def heard(message: dict[str, Any]) -> None:
            if message.get("reached") in STAGES:
                self._reached[index], self._last = STAGES.index(message["reached"]) + 1, time.monotonic()
            elif index == 0:
                listen(message)

        return heard

    def late(self) -> int | None:
        """The worker that keeps the others from starting, too long."""
        least = min(self._reached)  # 0: it still gets its shard, which takes what it takes
        if not 0 < least < len(STAGES) or time.monotonic() - self._last < PATIENCE:
            return None
        return self._reached.index(least)


def _cause(futures: Sequence[Future[Answer]], seconds: float) -> tuple[int, BaseException]:
    """The number and the error of the worker that failed by itself, not because it lost another one."""
    end = time.monotonic() + seconds
    while True:
        failed = [(n, e) for n, f in enumerate(futures) if f.done() and (e := f.exception()) is not None]
        failed.sort(key=lambda found: (_rank(found[1]), found[0]))
        pending = [f for f in futures if not f.done()]
        left = end - time.monotonic()
        if (failed and _rank(failed[0][1]) < 2) or not pending or left <= 0:
            return failed[0]
        wait(pending, left, FIRST_COMPLETED)


def _rank(error: BaseException) -> int:
    """0 for a death, 1 for what edgekit itself says, 2 for any other error in a child, 3 for the loss of another one.

    Errors that edgekit did not foresee come from a child by their names: ``UnavailableError: ...``.
    """
    if isinstance(error, sandbox.ChildDied | DeviceError):
        return 0
    name = re.match(r"(\w+)Error: ", str(error))
    return 1 if name is None else 3 if name[1] in _LOSSES else 2


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
    if _rank(error) == 3:
        return kind(f"{who} lost another one, which is stuck or cut off{others}", hint)
    if worker.place and _rank(error) == 2:
        return DeviceError(f"{who} failed: {str(error)[:200]}{others}", hint)
    return error
