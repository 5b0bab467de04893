"""What a bundle's manifest says of its backend may be damaged: one line each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.api.prove import prove
from edgekit.bundle import Bundle
from edgekit.errors import EdgekitError
from edgekit.runners import get


@pytest.mark.parametrize(
    "manifest",
    [
        {}, {"backend": 5}, {"backend": []}, {"backend": "nothing"}, {"backend": "c99", "options": 5},
        {"backend": "c99", "options": ["optimize"]}, {"backend": "c99", "options": {"optimize": 5}},
        {"backend": "c99", "options": {"optimize": []}}, {"backend": "c99", "options": {"format": {}}},
        {"backend": "c99", "options": {"other": 1}}, {"backend": "overlay", "options": {"seed": "x"}},
        {"backend": "litert", "options": {"x": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_damaged_backends_and_options_are_told_in_one_line(manifest: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(EdgekitError) as caught:
        prove(Bundle(tmp_path, manifest), get("null"))
    assert caught.value.message and "\n" not in caught.value.message
