"""A folder of byte strings, each found by a digest of what it was made from: a bounded cache for build results.

Any number of processes may use a store at the same time. An entry is written under a temporary name and renamed, so
that it is there as a whole or not at all, and read only if its checksum is right.
"""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.files import temporary

_DIGEST = hashlib.sha256().digest_size
_SHARE = 0.75
"""What remains of a store that became too large: so much of the most that it may hold."""


@dataclass
class Store:
    """The store in ``folder``, which need not exist.

    :param most: bytes of all entries together. More are there only between two sweeps: a process sweeps when it first
        writes, and again each time it has written an eighth of ``most``.
    """

    folder: Path
    most: int
    _unswept: int = -1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str) -> bytes | None:
        """Return an entry; None if there is none, or it is damaged."""
        path = self.folder / key
        try:
            data = path.read_bytes()
        except OSError:
            return None
        content = data[_DIGEST:]
        if hashlib.sha256(content).digest() != data[:_DIGEST]:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)  # sweeping removes what was not used for longest
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep an entry. A folder that cannot be written stays as it is: the cache only saves time."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.replacing(self.folder / key) as file:
                file.write_bytes(hashlib.sha256(content).digest() + content)
            with self._lock:
                self._unswept = self.most if self._unswept < 0 else self._unswept + len(content)
                due = self._unswept >= self.most // 8
                self._unswept = 0 if due else self._unswept
            if due:
                self.sweep()

    def sweep(self) -> None:
        """Remove the entries that were not used for longest, if all together are too large."""
        entries = []
        for entry in os.scandir(self.folder):
            with suppress(FileNotFoundError):  # another process removed it
                if entry.is_file(follow_symlinks=False):
                    about = entry.stat(follow_symlinks=False)
                    entries.append((about.st_mtime_ns, entry.path, about.st_size))
        total = sum(size for _, _, size in entries)
        if total <= self.most:
            return
        for _, path, size in sorted(entries):
            if total <= self.most * _SHARE:
                return
            with suppress(FileNotFoundError):
                os.unlink(path)
            total -= size
