"""What ``--data`` names: ``FILE.npz``, a folder or ``random``, and options behind a question mark, joined with ``&``.

``range=LOW,HIGH`` says which real values the bytes 0 and 255 of an image stand for (default ``0,1``); ``part=K/N``
takes the K-th of N parts, drawn with the seed; given again, a part of that part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edgekit.errors import UsageError

T = TypeVar("T", int, float)
PIXELS = (0.0, 1.0)
"""What the bytes 0 and 255 stand for unless ``range`` says otherwise."""


def parsed(spec: str) -> tuple[str, tuple[float, float], list[tuple[int, int]]]:
    """Split ``NAME?range=LOW,HIGH&part=K/N``; a file whose name holds a question mark is taken as it is."""
    name, mark, options = spec.rpartition("?")
    pixel_range, parts = PIXELS, list[tuple[int, int]]()
    if not mark or Path(spec).exists():
        return spec, pixel_range, parts
    for option in options.split("&"):
        key, _, value = option.partition("=")
        try:
            if key == "range":
                low, high = pixel_range = _two(value, ",", float)
                valid = math.isfinite(low) and math.isfinite(high) and low < high
            else:
                parts.append(_two(value, "/", int))
                valid = key == "part" and 1 <= parts[-1][0] <= parts[-1][1]
            if not valid:
                raise ValueError(option)
        except ValueError:
            raise UsageError(
                f"--data: {option!r} is not an option",
                "the options are ?range=LOW,HIGH, as in ?range=-1,1, and ?part=K/N, as in ?part=1/2",
            ) from None
    return name, pixel_range, parts


def part(spec: str, number: int, count: int) -> str:
    """Return the spec of the ``number``-th of ``count`` parts of what ``spec`` names."""
    name, _, _ = parsed(spec)
    return f"{spec}{'?' if name == spec else '&'}part={number}/{count}"


def _two(text: str, between: str, kind: Callable[[str], T]) -> tuple[T, T]:
    first, second = text.split(between)
    return kind(first), kind(second)
