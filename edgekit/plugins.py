"""Find readers, passes, backends, runners and kinds of tasks by name, through entry points.

Ours are registered in the same way as a third party's, in ``pyproject.toml``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from edgekit.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@cache
def names(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of ``edgekit.<group>`` by name; nothing is imported."""
    from importlib.metadata import entry_points  # imports much, which lists of boards need not wait for

    return {point.name: point for point in sorted(entry_points(group=f"edgekit.{group}"), key=lambda p: p.name)}


@cache
def get(group: str, name: str) -> Any:
    """Import and instantiate the plugin ``name`` of ``group``.

    :raises UsageError: if there is none; the hint names the nearest.
    """
    found = names(group)
    if name not in found:
        raise UsageError(f"there is no {group.rstrip('s')} named {name!r}", nearest(name, found))
    return found[name].load()()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that suggests the nearest known name, or lists all."""
    import difflib

    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(choices)
