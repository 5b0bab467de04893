"""The processes below one: their number, their total memory, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
import time

SLACK = 1 << 30
"""Bytes beyond the limit of private memory that a tree may occupy: libraries and files that are mapped."""
MOST = 256
"""Processes of one tree."""
_PAGE = os.sysconf("SC_PAGESIZE")


def below(root: int) -> list[int]:
    """All descendants of a process, by ``/proc``."""
    if not os.path.exists(f"/proc/{root}/task/{root}/children"):
        return _below_by_parents(root)
    found, waiting = [], [root]
    while waiting:
        children = _children(waiting.pop())
        found += children
        waiting += children
    return found


def _children(pid: int) -> list[int]:
    """The children of all threads of a process; none when it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    return found


def _below_by_parents(root: int) -> list[int]:
    """For kernels that do not list children: look at every process of the machine."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{name}/stat") as file:
                parents.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(int(name))
    found, waiting = [], [root]
    while waiting:
        children = parents.pop(waiting.pop(), [])
        found += children
        waiting += children
    return found


def resident(pid: int) -> int:
    """Return the bytes of memory that a process occupies, including shared ones; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def too_much(root: int, memory: int) -> bool:
    """Whether the processes below are more than ``MOST``, or occupy more than ``memory`` bytes together.

    What several share counts once, if the kernel tells (``smaps_rollup``).
    """
    pids = below(root)
    if len(pids) > MOST:
        return True
    return sum(map(resident, pids)) > memory and sum(map(_share, pids)) > memory


def _share(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return resident(pid)


def kill(root: int, seconds: float = 10.0) -> None:
    """Kill everything below, again and again until nothing is left: who forks meanwhile is found the next time.

    They are stopped first, so that fewer fork while the others die.
    """
    end = time.monotonic() + seconds
    while (pids := below(root)) and time.monotonic() < end:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
