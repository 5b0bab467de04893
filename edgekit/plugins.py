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


_ONE = {
    "readers": "reader", "passes": "pass", "backends": "backend", "runners": "runner", "steps": "kind of task",
}  # fmt: skip
"""What one of a group is called."""


@cache
def names(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of ``edgekit.<group>`` by name; nothing is imported."""
    from importlib.metadata import entry_points  # imports much, which lists of boards need not wait for

    return distinct(group, entry_points(group=f"edgekit.{group}"))


def distinct(group: str, points: Iterable[EntryPoint]) -> dict[str, EntryPoint]:
    """The entry points of a group by name.

    :raises UsageError: if two packages register one name for different things.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(points, key=lambda point: point.name):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            first, second = sorted((_origin(other), _origin(point)))
            raise UsageError(
                f"two plug-ins are the {_ONE[group]} {point.name!r}: {first} and {second}", "uninstall one of them"
            )
    return found


def _origin(point: EntryPoint) -> str:
    """What a plug-in is and the package that it comes from, for messages."""
    return f"{point.value} of {point.dist.name if point.dist is not None else 'an unknown package'}"


@cache
def get(group: str, name: str) -> Any:
    """Import and instantiate the plugin ``name`` of ``group``.

    :raises UsageError: if there is none; the hint names the nearest.
    """
    found = names(group)
    if name not in found:
        raise UsageError(f"there is no {_ONE[group]} named {name!r}", nearest(name, found))
    return found[name].load()()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that suggests the nearest known name, or lists all."""
    import difflib

    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(choices)
