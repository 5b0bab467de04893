"""Open zip archives from others, with a bound on their tables of contents.

Python reads the whole table when an archive is opened: a member takes a few dozen bytes in the file and a kilobyte in
memory. What unpacks too far, and from where, is the business of whoever reads the members.
"""

from __future__ import annotations

import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

MAX_MEMBERS = 10_000
MAX_RATIO = 200
"""Uncompressed bytes per stored byte beyond which an archive over 64 MiB counts as a zip bomb."""
ALWAYS_FINE = 64 << 20
_TABLE_BYTES = 4 << 20

UNREADABLE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, ValueError, KeyError, EOFError, NotImplementedError,
    RuntimeError, OverflowError, struct.error,
)  # fmt: skip
"""What reading a damaged archive raises, or a member of it by whichever method it is compressed."""


@contextmanager
def opened(file: Path | IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """Open an archive of at most :data:`MAX_MEMBERS` members of different names.

    :raises ValueError: if it has more, or two of one name. :raises Exception: of :data:`UNREADABLE`, if it is damaged.
    """
    if isinstance(file, Path):
        with file.open("rb") as stream, opened(stream) as archive:
            yield archive
        return
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # what ZipFile itself goes by
    file.seek(0, os.SEEK_SET)
    if end and end[zipfile._ECD_SIZE] > _TABLE_BYTES:  # type: ignore[attr-defined]
        raise ValueError(f"its table of contents has over {_TABLE_BYTES >> 20} MiB")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise ValueError(f"it has {len(members)} members; the limit is {MAX_MEMBERS}")
        if len(archive.NameToInfo) != len(members):
            names = [member.filename for member in members]
            twice = next(name for name in archive.NameToInfo if names.count(name) > 1)
            raise ValueError(f"it has two members named {twice!r}")
        yield archive


def bomb(members: list[zipfile.ZipInfo], size: int) -> str:
    """Say how many bytes an archive of ``size`` bytes unpacks to, if that is far more than it has; else ``""``."""
    total = sum(member.file_size for member in members)
    return f"{total} bytes" if total > max(ALWAYS_FINE, MAX_RATIO * size) else ""
