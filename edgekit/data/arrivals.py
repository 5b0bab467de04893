"""Files that arrive in a folder, each once it is complete."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import UsageError

SETTLED = 0.4
"""Seconds for which a file must not change before it counts as complete."""
MOST = 100_000
"""Files in a folder that is watched."""

_Version = tuple[int, int, int]


@dataclass
class _Seen:
    version: _Version
    since: float
    taken: bool = False


class Arrivals:
    """Watches a folder for files with certain endings, not those in its subfolders, nor hidden ones.

    A file is complete once its size and time have stayed as they are for ``SETTLED`` seconds. One that changes after
    that arrives again.

    :param clock: seconds that never go back.
    """

    def __init__(self, folder: Path, endings: Collection[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._endings, self._clock = folder, endings, clock
        self._seen: dict[str, _Seen] = {}

    def ready(self) -> list[Path]:
        """The files that became complete since the last call, by their names.

        :raises UsageError: if the folder cannot be read, or holds too many files.
        """
        there, now = self._there(), self._clock()
        self._seen = {name: seen for name, seen in self._seen.items() if name in there}
        found = []
        for name, version in sorted(there.items()):
            seen = self._seen.get(name)
            if seen is None or seen.version != version:
                self._seen[name] = _Seen(version, now)
            elif not seen.taken and now - seen.since >= SETTLED:
                seen.taken = True
                found.append(self._folder / name)
        return found

    def _there(self) -> dict[str, _Version]:
        found: dict[str, _Version] = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or not entry.name.lower().endswith(tuple(self._endings)):
                        continue
                    if (version := _version(entry)) is not None:
                        found[entry.name] = version
                    if len(found) > MOST:
                        raise UsageError(f"{self._folder}: there are over {MOST} files", "move the old ones away")
        except OSError as error:
            raise UsageError(f"{self._folder}: cannot be read: {error.strerror}", "name a folder") from error
        return found


def _version(entry: os.DirEntry[str]) -> _Version | None:
    """What changes when a file does; None if it is no file, or gone."""
    try:
        if not entry.is_file():
            return None
        status = entry.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
