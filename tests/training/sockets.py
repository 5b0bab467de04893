"""What processes listen on, as the kernel tells it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_LISTENS = "0A"


def listening(pids: Iterable[int]) -> set[tuple[str, int]]:
    """The addresses (as hexadecimal digits) and ports on which these processes listen in this process's own network."""
    return _listening("self", _inodes(pids))


def listening_inside(pid: int) -> set[tuple[str, int]]:
    """The same of a process in the network in which it is."""
    return _listening(str(pid), _inodes([pid]))


def network(pid: int) -> str:
    """The name of the network in which a process is; "" when it is gone."""
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/net")
    return ""


def _inodes(pids: Iterable[int]) -> set[str]:
    found = set()
    for pid in pids:
        with suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{name}")):
                        found.add(match[1])
    return found


def _listening(pid: str, inodes: set[str]) -> set[tuple[str, int]]:
    """Of TCP, and all that is bound of UDP."""
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                address, _, port = fields[1].rpartition(":")
                if fields[9] in inodes and (fields[3] == _LISTENS or table.startswith("udp")):
                    found.add((address, int(port, 16)))
    return found
