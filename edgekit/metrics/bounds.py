"""Bounds on the accuracy that a transformation may cost."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Bounds:
    """How much accuracy a recipe may cost, in points (0..100): of the whole, of any class, of any group.

    None: no bound.
    """

    accuracy_drop: float | None = None
    class_drop: float | None = None
    group_drop: float | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, entry.name) is not None for entry in fields(self))
