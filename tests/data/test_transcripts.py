"""Recordings with transcripts: a table or a text file beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.data import dataset, transcripts
from edgekit.errors import UsageError
from edgekit.tasks import task
from tests.networks import speaking


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speaking.recordings(tmp_path_factory.mktemp("spoken") / "sounds")


def test_a_table_and_a_text_file_say_the_same(sounds: Path, tmp_path: Path) -> None:
    purpose, graph = (
        task.read(speaking.written(tmp_path).with_name("task.toml"), speaking.network()),
        speaking.network(),
    )
    found = dataset.load(str(sounds), graph, task=purpose)
    assert found.truth is not None and found.truth.tolist() == list(speaking.SENTENCES) and found.labels is None
    rows = [f"{number}  {text}" for number, text in enumerate(speaking.SENTENCES)]
    table = (sounds / "transcripts.csv").read_text()
    try:
        (sounds / "transcripts.csv").unlink()
        assert dataset.load(str(sounds), graph, task=purpose).truth is None
        (sounds / "transcripts.txt").write_text("\n".join(rows))
        again = dataset.load(str(sounds), graph, task=purpose)
        assert again.truth is not None and again.truth.tolist() == found.truth.tolist()
        assert np.array_equal(again.inputs[0], found.inputs[0])
        (sounds / "transcripts.txt").write_text(rows[3] + "\n\n4")
        few = dataset.load(str(sounds), graph, task=purpose)
        assert few.truth is not None and few.truth.tolist() == [speaking.SENTENCES[3], ""]
    finally:
        (sounds / "transcripts.txt").unlink(missing_ok=True)
        (sounds / "transcripts.csv").write_text(table)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("transcripts.csv", "name,text\n0.wav,a", "it has no column 'file', but name, text"),
        ("transcripts.csv", "file,said\n0.wav,a", "it has no column 'text'"),
        ("transcripts.csv", "file,text\n9.wav,a", "row 2: '9.wav' is no recording in this folder"),
        ("transcripts.csv", "file,text\n0.wav,a\n../b.wav,a", "row 3: '../b.wav' is no recording in this folder"),
        ("transcripts.csv", "file,text\n0.wav,a\n0,b", "row 3: '0' is there twice"),
        ("transcripts.txt", "0 a\n/etc/passwd a", "row 2: '/etc/passwd' is no recording in this folder"),
        ("transcripts.txt", "\n", "there are no transcripts"),
        ("transcripts.txt", "\xff", "not text in UTF-8"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / "b.wav").write_bytes(b"")
    folder = tmp_path / "sounds"
    folder.mkdir()
    (folder / "0.wav").write_bytes(b"")
    (folder / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as refused:
        transcripts.read(folder)
    assert words in refused.value.message and "\n" not in refused.value.message, refused.value.message


def test_a_text_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "MOST_BYTES", 10)
    (tmp_path / "transcripts.txt").write_text("0 " + "a" * 20)
    with pytest.raises(UsageError, match="too large"):
        transcripts.read(tmp_path)
