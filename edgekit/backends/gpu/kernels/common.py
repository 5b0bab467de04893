"""What all templates share: how a function loads, stores, clamps and finds elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Types = Mapping[str, str]
"""What the elements of each argument are, by its name in the source."""
Size = tuple[int, int, int]


@dataclass(frozen=True)
class Function:
    """A kernel's body, and how it is launched.

    :param size: work-items in each dimension. :param flops: floating-point operations of one launch; one
        multiplication with its addition is two, a function like ``exp`` is one.
    """

    body: str
    size: Size
    flops: int


def vector(lanes: int) -> str:
    """Return the type of ``lanes`` floats."""
    return "float" if lanes == 1 else f"float{lanes}"


def load(types: Types, lanes: int, pointer: str, place: str) -> str:
    """A vector from an argument."""
    if types[pointer] == "float16":
        return f"vload_half{lanes if lanes > 1 else ''}(0, {pointer} + {place})"
    return f"{pointer}[{place}]" if lanes == 1 else f"vload{lanes}(0, {pointer} + {place})"


def store(types: Types, lanes: int, value: str, place: str) -> str:
    """Return the statement that stores ``value`` at element ``place`` of the output, in the output's type."""
    if types["d"] == "float16":
        return f"vstore_half{lanes if lanes > 1 else ''}({value}, 0, d + {place});"
    return f"d[{place}] = {value};" if lanes == 1 else f"vstore{lanes}({value}, 0, d + {place});"


def number(value: float) -> str:
    """Return a float literal of ``value``."""
    text = repr(float(value))
    return f"{text}f" if "e" in text or "." in text else f"{text}.0f"


def clamped(value: str, low: float, high: float, lanes: int) -> str:
    """Return ``value`` limited to ``low`` and ``high``; infinite limits add nothing."""
    kind = vector(lanes)
    value = f"fmax({value}, ({kind})({number(low)}))" if low > -1e38 else value
    return f"fmin({value}, ({kind})({number(high)}))" if high < 1e38 else value


def place(spec: Sequence[int], y: str, x: str, c: str) -> str:
    """Index of an element of a feature map in its buffer."""
    _, width, channels, top, left = spec
    row = f"({y} + {top})" if top else f"{y}" if y.isalnum() else f"({y})"
    column = f"({x} + {left})" if left else f"{x}" if x.isalnum() else f"({x})"
    return f"(({row} * {width} + {column}) * {channels} + {c})"


def lanes_of(count: int) -> int:
    """Channels of one vector where any will do."""
    return next(n for n in (4, 2, 1) if count % n == 0)


def indented(lines: Sequence[str]) -> str:
    """Return the lines of a kernel's body, indented."""
    return "".join(f"  {line}\n" for line in lines)
