"""Progress reporting for long-running work."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the name of each step as it begins, and, if known, how much of it is done."""

    def step(self, name: str) -> None:
        """A new step begins; the one before it is done."""

    def advance(self, done: int, total: int) -> None:
        """``done`` of ``total`` units of the current step are done."""

    def warn(self, message: str) -> None:
        """Something that the user should know, but that stops nothing."""

    def note(self, message: str) -> None:
        """Something that was done for the user, and needs no action."""


class Silent:
    """A Progress that reports nothing, for callers from Python."""

    def step(self, name: str) -> None:
        """Ignore the step."""

    def advance(self, done: int, total: int) -> None:
        """Ignore the advance."""

    def warn(self, message: str) -> None:
        """Ignore the warning."""

    def note(self, message: str) -> None:
        """Ignore the note."""
