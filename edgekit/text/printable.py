"""Make untrusted text safe for a terminal: nothing in it moves the cursor, sets a title or reverses the direction.

Names in a model, in a bundle or of a file, a program's output and a board's messages may hold anything. Every line
that edgekit prints for people goes through :func:`printable`; JSON is not among them, which escapes by itself.
"""

from __future__ import annotations

import re
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

MOST = 8_000
"""The largest number of characters in a line: room for the longest path and more."""
MOST_IN_CELL = 300
"""The largest number of characters in a table's cell or a name."""

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they change the direction of what follows
    "\u2028\u2029"  # line and paragraph separators
    "\ufff9-\ufffb\U000e0000-\U000e007f"  # annotations and tags, which show nothing
    "\ud800-\udc9f\udd00-\udfff]"  # no letters; \udc80-\udc9f would be written as bytes that are C1
)


def printable(text: object, most: int = MOST) -> str:
    r"""Return ``text`` with control characters and the like as escapes (``\x1b``).

    If it is longer than ``most``, its middle is left out. Bytes of file names that are not UTF-8 stay as they are,
    except those that are control characters.
    """
    found = str(text)
    if len(found) > most:
        found = f"{found[: most * 2 // 3]} ...({len(found) - most} more)... {found[len(found) - most // 3 :]}"
    return _UNSAFE.sub(_escaped, found)


def name(text: object) -> str:
    """Return a name as :func:`printable` does, shortened as in a table's cell."""
    return printable(text, MOST_IN_CELL)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode()


def guard(write: Callable[[str], object]) -> None:
    """Let warnings, and errors that nobody caught, be printed by ``write``, line by line, as :func:`printable`."""

    def lines(text: str) -> None:
        for line in text.rstrip("\n").split("\n"):
            write(printable(line))

    def warned(message: object, category: type[Warning], file: str, number: int, *_: object) -> None:
        lines(f"{file}:{number}: {category.__name__}: {message}")

    def failed(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
        import traceback

        lines("".join(traceback.format_exception(kind, error, trace)))

    warnings.showwarning = warned  # type: ignore[assignment]
    sys.excepthook = failed
    threading.excepthook = lambda seen: failed(seen.exc_type, seen.exc_value, seen.exc_traceback)
