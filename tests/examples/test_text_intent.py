"""The example of a network of language keeps its promises, on an emulated board."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.demos import decided
from tests.installed import needed


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.emulator
def test_sentences_are_understood_in_int8(tmp_path: Path) -> None:
    needed("tokenizers", "dev")
    assert [row["classes"][0]["label"] for row in decided("text_intent", tmp_path)][3] == "alarm"
