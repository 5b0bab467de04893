"""Fills in templates: ``@name@`` stands for a value."""

from __future__ import annotations

import re
from collections.abc import Mapping

_MARK = re.compile(r"@([a-zA-Z_]+)@")


def filled(text: str, values: Mapping[str, str]) -> str:
    """Replace the marks that have a value."""
    return _MARK.sub(lambda mark: values.get(mark.group(1), mark.group()), text)
