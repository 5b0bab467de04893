"""The example of a network that recommends keeps its promises, on an emulated board."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.demos import decided


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.emulator
def test_films_are_found_with_int8_tables(tmp_path: Path) -> None:
    assert [len(row["ranked"]) for row in decided("recommend", tmp_path)] == [5] * 4
