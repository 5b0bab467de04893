"""Names of classes: read from ``task.toml`` or from a file beside it, and from the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.files import plain_files

MOST_LABELS, MOST_LABEL, MOST_LISTED = 65536, 200, 1000
"""Classes, bytes of a label, and classes that a decision lists."""
_MOST_TEXT = MOST_LABELS * (MOST_LABEL + 2)


class Scores(StrEnum):
    """What a network computes for its classes."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    """Softmax makes probabilities of them; in detection, where each class is a question of its own, sigmoid."""
    SOFTMAX = "softmax"
    """In detection: of its classes, and of the background."""


def label(labels: Sequence[str], number: int) -> str:
    """The name of a class; its number where classes have no names."""
    return labels[number] if labels else str(number)


def of_table(value: Any, folder: Path) -> tuple[str, ...]:
    """Labels, or the name of a file in ``folder`` with one on each line.

    :raises ValueError: if they are neither.
    """
    return checked(_label_file(folder, value) if isinstance(value, str) else value)


def checked(value: Any) -> tuple[str, ...]:
    """Labels.

    :raises ValueError: if they are not.
    """
    if not isinstance(value, list | tuple) or len(value) > MOST_LABELS:
        raise ValueError("labels is a list of texts, or the name of a file with one on each line")
    for one in value:
        if not isinstance(one, str) or not 0 < len(one.encode()) <= MOST_LABEL or not one.isprintable():
            raise ValueError(f"the label {one!r} is no text of 1 to {MOST_LABEL} bytes")
    return tuple(value)


def check(labels: Sequence[str], classes: int, where: str) -> None:
    """Hold labels against the network's classes.

    :raises UsageError: if there are others.
    """
    if labels and len(labels) != classes:
        raise UsageError(
            f"{where}: there are {len(labels)} labels for {classes} classes", "one label for each, in their order"
        )


def _label_file(folder: Path, name: str) -> list[str]:
    """Labels from a file beside a task, which may be a stranger's: no other file becomes part of a bundle."""
    try:
        with plain_files.opened(folder, name) as file:
            text = file.read(_MOST_TEXT + 1)
    except (OSError, ValueError) as error:
        raise ValueError(f"labels: {name!r} cannot be read: {error}") from error
    if len(text) > _MOST_TEXT:
        raise ValueError(f"labels: {name!r} is too large")
    try:
        return [line.strip() for line in text.decode().splitlines() if line.strip()]
    except ValueError as error:
        raise ValueError(f"labels: {name!r} is not text in UTF-8") from error
