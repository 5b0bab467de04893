"""JSON for others has no NaN, and text files are UTF-8 whatever they hold."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from edgekit.files import documents


def _strict(text: str) -> object:
    def refuse(name: str) -> object:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_what_json_lacks_is_null(value: float) -> None:
    document = {"a": value, "b": [1.5, {"c": (value, 2)}], "d": "NaN", "e": True}
    assert _strict(documents.dumps(document)) == {"a": None, "b": [1.5, {"c": [None, 2]}], "d": "NaN", "e": True}


def test_names_that_are_no_unicode_are_written(tmp_path: Path) -> None:
    documents.write_text(tmp_path / "t", "caf\u00e9 \udcff")
    assert (tmp_path / "t").read_bytes() == b"caf\xc3\xa9 \\udcff"
