"""Files that arrive in a folder: each once, complete ones only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekit.data import arrivals
from edgekit.data.arrivals import SETTLED, Arrivals
from edgekit.errors import UsageError


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def names(watched: Arrivals, clock: Clock, after: float = 1.01 * SETTLED) -> list[str]:
    clock.now += after
    return [file.name for file in watched.ready()]


def test_a_file_arrives_once_it_stays_as_it_is(tmp_path: Path) -> None:
    clock = Clock()
    watched = Arrivals(tmp_path, (".png",), clock)
    (tmp_path / "b.png").write_bytes(b"1")
    (tmp_path / "a.PNG").write_bytes(b"1")
    assert names(watched, clock) == []  # seen for the first time
    (tmp_path / "b.png").write_bytes(b"12")
    assert names(watched, clock) == ["a.PNG"]
    assert names(watched, clock, 0.6 * SETTLED) == []
    assert names(watched, clock, 0.6 * SETTLED) == ["b.png"]
    assert names(watched, clock) == []


def test_what_changes_arrives_again(tmp_path: Path) -> None:
    clock = Clock()
    watched = Arrivals(tmp_path, (".png",), clock)
    file = tmp_path / "a.png"
    file.write_bytes(b"1")
    assert [names(watched, clock) for _ in range(3)] == [[], ["a.png"], []]
    os.utime(file, (1, 1))
    assert [names(watched, clock) for _ in range(3)] == [[], ["a.png"], []]
    file.unlink()
    assert names(watched, clock) == []
    file.write_bytes(b"1")
    assert [names(watched, clock) for _ in range(2)] == [[], ["a.png"]]


def test_what_is_no_file_with_such_an_ending_never_arrives(tmp_path: Path) -> None:
    clock = Clock()
    watched = Arrivals(tmp_path, (".png",), clock)
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nothing")
    for name in (".hidden.png", "a.txt", "a.png.part"):
        (tmp_path / name).touch()
    assert [names(watched, clock) for _ in range(3)] == [[], [], []]


def test_folders_that_cannot_be_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        Arrivals(tmp_path / "none", (".png",)).ready()
    monkeypatch.setattr(arrivals, "MOST", 1)
    for name in "ab":
        (tmp_path / f"{name}.png").touch()
    with pytest.raises(UsageError, match="there are over 1 files"):
        Arrivals(tmp_path, (".png",)).ready()
