"""Put measured tables into a page of docs/, between their markers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def write(page: Path, made: Mapping[str, str]) -> None:
    """Put each table between ``<!-- table: NAME -->`` and ``<!-- /table: NAME -->``; the rest stays as it is."""
    text = page.read_text()
    for name, table in made.items():
        start, end = f"<!-- table: {name} -->\n", f"<!-- /table: {name} -->"
        text = re.sub(re.escape(start) + ".*?" + re.escape(end), lambda _: f"{start}{table}\n{end}", text, flags=re.S)  # noqa: B023
    page.write_text(text)
