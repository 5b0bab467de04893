"""Bounds on the accuracy that a transformation may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """How much accuracy a recipe may cost, in points (0..100): of the whole, of any class, of any group.

    ``metric_drop`` bounds the loss of ``metric``, in its own unit, ``metric_group_drop`` that of any group. None: no
    bound. True if accuracy is bounded.
    """

    accuracy_drop: float | None = None
    class_drop: float | None = None
    group_drop: float | None = None
    metric: str | None = None
    metric_drop: float | None = None
    metric_group_drop: float | None = None

    def __bool__(self) -> bool:
        return any(each is not None for each in (self.accuracy_drop, self.class_drop, self.group_drop))
