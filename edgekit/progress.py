"""How long work tells whoever waits what it is doing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the name of the step that begins, and, where it is known, how much of it is done."""

    def step(self, name: str) -> None:
        """A new step begins; the one before it is done."""

    def advance(self, done: int, total: int) -> None:
        """``done`` of ``total`` units of the current step are done."""

    def warn(self, message: str) -> None:
        """Something the user should know, that stops nothing."""

    def note(self, message: str) -> None:
        """Something that was done for the user, and is fine."""


class Silent:
    """A Progress that says nothing, for callers from Python."""

    def step(self, name: str) -> None:
        """Ignore the step."""

    def advance(self, done: int, total: int) -> None:
        """Ignore the advance."""

    def warn(self, message: str) -> None:
        """Ignore the warning."""

    def note(self, message: str) -> None:
        """Ignore the note."""
