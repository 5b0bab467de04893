"""Documents of artifacts: JSON of a stranger, read with bounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgekit.errors import DeviceError
from edgekit.files import documents

if TYPE_CHECKING:
    from pathlib import Path

AGAIN = "compile the bundle again"


@contextmanager
def reading(folder: Path, name: str, most_bytes: int, most_values: int) -> Iterator[dict[str, Any]]:
    """The content of ``artifact/NAME``; what is wrong with it inside of the context is damage, too.

    :raises DeviceError: if it is missing or damaged.
    """
    try:
        with (folder / name).open("rb") as file:
            data = documents.loads(file.read(most_bytes), most_values)
        if not isinstance(data, dict) or data.get("schema") != 1:
            raise ValueError("it is of another version")
        yield data
    except OSError as error:
        raise DeviceError(f"the bundle has no artifact/{name}: {error.strerror}", AGAIN) from error
    except (KeyError, ValueError, TypeError) as error:
        raise DeviceError(f"artifact/{name} is damaged: {error}", AGAIN) from error


def listed(value: Any) -> list[Any]:
    """A list, or a ValueError."""
    if not isinstance(value, list):
        raise ValueError("a list is missing")
    return value


def whole(value: Any, least: int = 0, most: int = 1 << 31) -> int:
    """A whole number within limits, or a ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r} is not a number from {least} to {most}")
    return value


def numbers(value: Any) -> tuple[int, ...]:
    """A list of whole numbers from 0 on, or a ValueError."""
    return tuple(whole(one) for one in listed(value))
