"""PoCL's compiled kernels, kept for all tests.

PoCL finds kernels by their text, their options and its own version. :mod:`edgekit.runners.pocl` lets it keep them for
one session, since what ran in the sandbox may have changed them; tests trust what they compile, and most of their time
on PoCL goes to its compiler.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.bundle import Bundle
from edgekit.runners.counted import Prepared
from edgekit.runners.pocl import PoclRunner

folder: Path | None = None
"""Where they are kept, once there is a folder for that."""
PREPARE = PoclRunner.prepare


def keep(place: Path) -> None:
    """Have the runner keep them, from now on."""

    def prepare(self: PoclRunner, bundle: Bundle, own: Path) -> Prepared:
        made = PREPARE(self, bundle, own)
        return Prepared({**made.env, "POCL_CACHE_DIR": str(place)}, [*made.writable, place])

    PoclRunner.prepare = prepare  # type: ignore[method-assign]


@contextmanager
def kept(place: Path) -> Iterator[None]:
    """Have the runner keep them, for a while."""
    keep(place)
    try:
        yield
    finally:
        PoclRunner.prepare = PREPARE  # type: ignore[method-assign]
