"""The folder that a command writes to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgekit.files import temporary
from edgekit.text.system import explained


@contextmanager
def output(folder: Path) -> Iterator[Path]:
    """Create the output folder now, so that a wrong one is refused before any work starts.

    Directories created here are removed if they end up empty.

    :raises UsageError: if nothing can be written there.
    """
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.folder(folder):
            pass
    except OSError as error:
        _remove(absent)
        raise explained(error, folder, "--out") from error
    try:
        yield folder
    finally:
        _remove(absent)


def _remove(folders: list[Path]) -> None:
    """Remove the folders that are empty, innermost first."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
