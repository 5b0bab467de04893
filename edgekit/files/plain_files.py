"""Files in folders from others: plain files only, reached without following links.

A bundle may come from anybody, and what a child leaves in its scratch folder was written by whatever ran there. A link
in such a folder leads to the user's files, a device or a FIFO never ends.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath

MOST_ENTRIES = 20_000
_CHUNK = 1 << 20
_KINDS = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
          stat.S_IFSOCK: "a socket"}  # fmt: skip


class NotPlain(ValueError):
    """Something is neither a folder nor a plain file; the message names it and says what it is."""


def names(folder: Path) -> list[str]:
    """All files below ``folder``, as sorted POSIX paths relative to it; ``folder`` itself may be a link.

    :raises NotPlain: if anything below it is a link, a device, a FIFO or a socket, or if there are too many entries.
    """
    found: list[str] = []
    waiting, seen = [""], 0
    while waiting:
        below = waiting.pop()
        for entry in os.scandir(folder / below):
            name = f"{below}{entry.name}"
            seen += 1
            if seen > MOST_ENTRIES:
                raise NotPlain(f"there are over {MOST_ENTRIES} entries")
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                waiting.append(f"{name}/")
            elif stat.S_ISREG(mode):
                found.append(name)
            else:
                raise NotPlain(f"{name} is {_KINDS.get(stat.S_IFMT(mode), 'not a file')}")
    return sorted(found)


@contextmanager
def opened(folder: Path, name: str) -> Iterator[BufferedReader]:
    """Open the plain file ``name`` below ``folder`` for reading, without following a link below ``folder``.

    :raises NotPlain: if it is not a plain file. :raises OSError: if it, or a folder on the way, is missing or a link.
    """
    *folders, last = PurePosixPath(name).parts
    if ".." in (*folders, last) or name.startswith("/"):
        raise NotPlain(f"{name} leads out of its folder")
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in folders:
            inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            os.close(place)
            place = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(last, flags, dir_fd=place)
    finally:
        os.close(place)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise NotPlain(f"{name} is {_KINDS.get(stat.S_IFMT(mode), 'not a file')}")
        yield file


def copied(folder: Path, name: str, to: Path, most: int) -> str:
    """Copy one plain file to the new file ``to``, also whether it is executable; return its sha256 in hex.

    :raises NotPlain: if it is not a plain file, or has over ``most`` bytes. :raises OSError: as for :func:`opened`.
    """
    digest, size = hashlib.sha256(), 0
    to.parent.mkdir(parents=True, exist_ok=True)
    with opened(folder, name) as source, to.open("xb") as target:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > most:
                raise NotPlain(f"{name} has over {most} bytes")
            digest.update(chunk)
            target.write(chunk)
        executable = os.fstat(source.fileno()).st_mode & 0o100
        os.fchmod(target.fileno(), 0o755 if executable else 0o644)
    return digest.hexdigest()


def copied_all(folder: Path, to: Path, most: int) -> list[str]:
    """Copy all files below ``folder`` into ``to``; return their names, as :func:`names`.

    :raises NotPlain: if anything is no plain file, or all together have over ``most`` bytes.
    :raises OSError: as for :func:`opened`.
    """
    found, left = names(folder), most
    for name in found:
        copied(folder, name, to / name, left)
        left -= (to / name).stat().st_size
    return found


def digest(folder: Path, name: str) -> str:
    """Return the sha256 of a plain file below ``folder``, in hex; raises as :func:`opened`."""
    with opened(folder, name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
