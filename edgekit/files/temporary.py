"""Private temporary folders; what a killed process left behind is removed by a later one.

A folder is named ``edgekit-PID-XXXXXXXX`` (with a leading dot if it lies next to something of the user's) and
locked (``flock``) as long as its process lives: the kernel releases the lock with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgekit.errors import UsageError

_NAME = re.compile(r"\.?edgekit-(\d+)-[a-z0-9_]{8}")
_OLD = "replaced"
_YOUNG_SECONDS = 0.5
"""A folder that changed so recently may be one whose process is about to lock it."""

_LITTLE = 64 << 10
"""A file system with fewer free bytes is full."""
HINT = "free some space, or set TMPDIR to another folder"

_swept: set[str] = set()


@contextmanager
def folder(parent: Path | None = None) -> Iterator[Path]:
    """Give an empty folder of this process alone, hidden in ``parent`` or else in the system's temporary folder.

    :raises UsageError: where something fails and the system's temporary folder is full: whatever failed, of that.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    if parent is not None or str(place) not in _swept:
        _swept.add(str(place))
        sweep(place)
    path = Path(tempfile.mkdtemp(prefix=f"{'' if parent is None else '.'}edgekit-{os.getpid()}-", dir=place))
    lock = _locked(path)
    try:
        yield path
    except Exception as error:
        if parent is None and _full(place):
            raise UsageError(f"No space left in the temporary folder {place}", HINT) from error
        raise
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def replacing(final: Path) -> Iterator[Path]:
    """Give a path for a new file, which takes the name ``final`` at the end, at once; nothing is left on failure."""
    with folder(final.parent) as place:
        yield place / final.name
        (place / final.name).replace(final)


def swap(made: Path, final: Path, place: Path) -> None:
    """Put the folder ``made`` at ``final``; an older one there steps aside into ``place`` and comes back on failure.

    Processes that do so in one folder at the same time do it one after the other.
    """
    aside = place / _OLD / final.name
    aside.parent.mkdir(exist_ok=True)
    lock = _locked(final.parent, wait=True)
    try:
        if final.exists():
            final.rename(aside)
        try:
            made.rename(final)
        except BaseException:
            if aside.exists():
                aside.rename(final)
            raise
    finally:
        if lock is not None:
            os.close(lock)


def sweep(place: Path) -> None:
    """Remove the folders in ``place`` that dead processes of this user left; what they had set aside comes back."""
    with suppress(OSError):
        for entry in os.scandir(place):
            match = _NAME.fullmatch(entry.name)
            if match and entry.is_dir(follow_symlinks=False) and not _alive(int(match[1])):
                _remove(Path(entry.path))


def _remove(path: Path) -> None:
    """Remove a folder, unless a process holds it or it is not ours."""
    try:
        about = path.lstat()
        if about.st_uid != os.geteuid() or abs(time.time() - about.st_mtime) < _YOUNG_SECONDS:
            return
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        old = path / _OLD
        # Anybody may have made this folder: a link there leads to files that were never set aside.
        for aside in old.iterdir() if old.is_dir() and not old.is_symlink() else ():
            if not (path.parent / aside.name).exists():
                aside.rename(path.parent / aside.name)
        shutil.rmtree(path, ignore_errors=True)
    except OSError:  # somebody holds it, or this file system has no locks: then there is no telling
        pass
    finally:
        os.close(lock)


def _full(place: Path) -> bool:
    try:
        return shutil.disk_usage(place).free < _LITTLE
    except OSError:
        return False


def _locked(path: Path, *, wait: bool = False) -> int | None:
    """Return a descriptor that locks the folder; None where the file system has no locks."""
    descriptor = None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        if descriptor is not None:
            os.close(descriptor)
        return None
    return descriptor


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
