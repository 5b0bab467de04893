"""The index of calibrations says what the files say, and yields to files that it was not written from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit import resources, target
from edgekit.errors import UsageError
from edgekit.profiling import calibrated
from edgekit.profiling.calibrated import calibration, index

BOARD = "n100"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of calibrations with one board and its index."""
    folder = tmp_path / "targets" / "calibration"
    shutil.copytree(calibrated.folder() / BOARD, folder / BOARD)
    (folder / index.FILE).write_text(index.content(folder))
    monkeypatch.setattr(resources, "folder", lambda name: tmp_path / name)
    yield folder
    index._index.cache_clear()


def test_the_index_is_that_of_the_files() -> None:
    folder = calibrated.folder()
    fresh = index.content(folder)
    assert (folder / index.FILE).read_text() == fresh, "run: python tools/calibrate.py --index"
    assert json.loads(fresh)["schema"] == index.SCHEMA


@pytest.mark.parametrize("name", target.names())
def test_the_index_tells_what_calibrations_tell(name: str) -> None:
    assert index.of(name) == tuple(one.json() for one in calibration.of(name))


def test_what_the_index_knows_is_not_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "read", None)
    assert len(index.of(BOARD)) == len(list((data / BOARD).iterdir())) > 0


def test_a_changed_file_is_read_itself(data: Path) -> None:
    path = next(iter(sorted((data / BOARD).iterdir())))
    samples = index.of(BOARD)[0]["samples"]
    path.write_text(path.read_text().replace(f"samples = {samples}", f"samples = {samples + 1}"))
    assert index.of(BOARD)[0]["samples"] == samples + 1


def test_a_new_file_is_read_itself(data: Path) -> None:
    path = next(iter(sorted((data / BOARD).iterdir())))
    runtime = calibration.read(path).runtime
    count = len(index.of(BOARD))
    path.with_name(f"a-new-one-{path.stem.rpartition('-')[2]}.toml").write_text(
        path.read_text().replace(f'runtime = "{runtime}"', 'runtime = "a-new-one"')
    )
    told = index.of(BOARD)
    assert len(told) == count + 1 and "a-new-one" in [one["runtime"] for one in told]


def test_a_removed_file_is_not_told_of(data: Path) -> None:
    count = len(index.of(BOARD))
    next((data / BOARD).iterdir()).unlink()
    assert len(index.of(BOARD)) == count - 1


def test_without_an_index_files_are_read(data: Path) -> None:
    told = index.of(BOARD)
    (data / index.FILE).unlink()
    index._index.cache_clear()
    assert index.of(BOARD) == told


def test_an_index_of_another_form_is_not_read(data: Path) -> None:
    told = index.of(BOARD)
    (data / index.FILE).write_text('{"schema": 2}')
    index._index.cache_clear()
    assert index.of(BOARD) == told


def test_a_damaged_file_is_refused(data: Path) -> None:
    next((data / BOARD).iterdir()).write_text("schema = 1\n")
    with pytest.raises(UsageError, match="not a calibration"):
        index.of(BOARD)
