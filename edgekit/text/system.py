"""Refusals of the operating system, as errors that say what is wrong and what to do."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from edgekit import resources
from edgekit.errors import EdgekitError, UsageError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""No space on the disk, or none left of the user's."""
LOCKED = (errno.EACCES, errno.EPERM, errno.EROFS)


def explained(error: OSError, folder: Path | None = None, option: str = "") -> EdgekitError:
    """Return the error of the user's for an ``OSError``: one line on what is wrong, and a way out that works.

    :param folder: where edgekit was writing, and ``option``: the one that names it. An error in another place
        (the temporary folder, edgekit's cache) is told as that place's.
    """
    what = error.strerror or str(error)
    name = os.fspath(error.filename) if isinstance(error.filename, (str, os.PathLike)) else ""
    if "temporary directory" in what:  # Python's tempfile tried them all
        return UsageError("no temporary folder is writable", "set TMPDIR to a writable folder with free space")
    if name and _within(name, resources.cache()):
        return resources.unwritable(Path(name), what)
    if name and _within(name, Path(tempfile.gettempdir())) and not (folder and _within(name, folder)):
        return UsageError(f"{what}: {name}", "set TMPDIR to a writable folder with free space")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return UsageError("too many open files", "raise the limit: ulimit -n 4096")
    if folder is not None and (_within(name, folder) if name else error.errno in (*FULL, *LOCKED)):
        return UsageError(f"cannot write to {folder}: {what}", f"choose another {option}")
    where = f": {name}" if name else ""
    if error.errno in FULL:
        return UsageError(f"{what}{where}", "free some space there")
    if error.errno in LOCKED:
        return UsageError(f"{what}{where}", "change its permissions, or use another file or folder")
    return UsageError(f"{what}{where}", "check that file or folder, or use another" if name else "try again")


def _within(name: str, folder: Path) -> bool:
    return Path(os.path.abspath(name)).is_relative_to(os.path.abspath(folder))
