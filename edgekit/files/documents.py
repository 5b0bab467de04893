"""Text for other programs: JSON that every parser accepts, files in UTF-8 whatever the locale."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_VALUES = 1_000_000
MOST_TOML_BYTES = 256 << 10
_LONG_KEY = re.compile(r"""\.(?:[\w "'-]{0,200}\.){49}""")


def dumps(document: Any, *, indent: int | None = 1, sort_keys: bool = False) -> str:
    """Return ``document`` as JSON, with ``null`` for NaN and infinity, which JSON lacks (RFC 8259, section 6)."""
    return json.dumps(_finite(document), indent=indent, sort_keys=sort_keys, allow_nan=False)


def loads(data: bytes | str, most: int = MOST_VALUES) -> Any:
    """Parse JSON from others.

    :raises ValueError: if it is none, is nested too deeply, or could hold over ``most`` values: a byte of ``[]`` takes
        thirty in memory.
    """
    content = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    if sum(content.count(mark) for mark in (b"[", b"{", b",")) > most:
        raise ValueError(f"it has over {most} values")
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file from others.

    :raises ValueError: if it is none, is large, or is nested deeply, which takes Python's parser long.
    """
    return toml(read_text(path, MOST_TOML_BYTES))


def read_text(path: Path, most: int) -> str:
    """Read a text file from others.

    :raises ValueError: if it has over ``most`` bytes, or is not UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most >> 10} KiB")
    return data.decode()


def toml(text: str) -> dict[str, Any]:
    """Parse TOML from others.

    :raises ValueError: if it is none, or is nested deeply, which takes Python's parser long.
    """
    if _LONG_KEY.search(text):
        raise ValueError("it has a key of over 50 parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_text(path: Path, text: str) -> None:
    r"""Write a text file in UTF-8; bytes of file names that are not UTF-8 are written as ``\udcXX``."""
    path.write_text(text, "utf-8", errors="backslashreplace")


def _finite(value: Any) -> Any:
    """The same document with None for every float that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value
