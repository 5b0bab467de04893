"""Fields of ``task.toml`` and of the manifest's ``task``: each read with its type and bounds, or ValueError."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T", bound=StrEnum)
_LARGEST = 1e30


def known(table: Mapping[str, Any], keys: set[str], prefix: str = "") -> None:
    """Refuse keys that do not exist."""
    for key in table:
        if key not in keys:
            raise ValueError(f"{prefix}{key} is not a key; there are {', '.join(sorted(keys))}")


def choice(kind: type[T], value: Any, key: str) -> T:
    """A member of an enumeration by its value."""
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{key} = {value!r}: it is one of {', '.join(kind)}") from None


def numbers(value: Any) -> tuple[float, ...]:
    """A list of finite numbers."""
    if not isinstance(value, list | tuple) or not all(_is_number(number) for number in value):
        raise ValueError(f"{value!r} is not a list of numbers")
    return tuple(float(number) for number in value)


def whole(value: Any, most: int, key: str, least: int = 0) -> int:
    """A whole number from ``least`` to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{key} = {value!r} is not a whole number up to {most}" if least == 0 or value != 0
                         else f"{key} is 0; it must be at least {least}")  # fmt: skip
    return value


def number(value: Any, key: str) -> float:
    """A finite number."""
    if not _is_number(value):
        raise ValueError(f"{key} = {value!r} is not a number")
    return float(value)


def share(value: Any, key: str) -> float:
    """A number from 0 to 1."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{key} = {value!r} is not a number from 0 to 1")
    return float(value)


def flag(value: Any, key: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{key} = {value!r} is neither true nor false")
    return value


def table(value: Any, key: str) -> Mapping[str, Any]:
    """A table."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} is not a table")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
