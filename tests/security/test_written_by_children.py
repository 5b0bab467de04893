"""Folders that a child may write to: the parent follows no link in them, and no result is made in one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import sandbox, target
from edgekit.backends import Request, coreml
from edgekit.errors import ModelError, ToolMissing
from edgekit.files import plain_files
from edgekit.graph import tflite
from edgekit.tools import toolchain
from edgekit.training import checkpoint
from tests.networks.small import dense

SECRET = b"the user's key"


def link(place: Path, secret: Path) -> None:
    place.symlink_to(secret)


def fifo(place: Path, secret: Path) -> None:
    os.mkfifo(place)


def linked_folder(place: Path, secret: Path) -> None:
    place.symlink_to(secret.parent)


PLANTED = [link, fifo, linked_folder]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    path = tmp_path / "home" / "key"
    path.write_bytes(SECRET)
    return path


@pytest.mark.parametrize("plant", PLANTED)
def test_only_plain_files_are_copied(plant: Callable[[Path, Path], None], secret: Path, tmp_path: Path) -> None:
    left, to = tmp_path / "left", tmp_path / "to"
    (left / "deep" / "er").mkdir(parents=True)
    (left / "deep" / "er" / "a").write_bytes(b"12")
    (left / "b").write_bytes(b"345")
    assert plain_files.copied_all(left, to, 5) == ["b", "deep/er/a"]
    assert (to / "deep" / "er" / "a").read_bytes() == b"12" and (to / "b").read_bytes() == b"345"
    with pytest.raises(plain_files.NotPlain, match="has over"):
        plain_files.copied_all(left, tmp_path / "less", 4)
    plant(left / "deep" / "c", secret)
    with pytest.raises(plain_files.NotPlain, match="deep/c is a"):
        plain_files.copied_all(left, tmp_path / "again", 100)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("plant", PLANTED)
def test_core_ml_children_write_to_a_folder_of_their_own(
    plant: Callable[[Path, Path], None], secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        toolchain.load("coremltools").find()
    except ToolMissing as error:
        pytest.skip(error.message)
    real, artifact = sandbox.call, tmp_path / "artifact"
    artifact.mkdir()
    graph = dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32))
    tflite.write(graph, tmp_path / "model.tflite")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def hostile(task: str, args: Any, *more: Any, **settings: Any) -> Any:
        told = real(task, args, *more, **settings)
        for folder in settings["writable"]:
            assert not artifact.resolve().is_relative_to(folder)
            plant(folder / "description.json", secret)
        return told

    monkeypatch.setattr(coreml.sandbox, "call", hostile)
    planned = coreml.CoreML().plan(graph, target.load("ios"))
    with pytest.raises(ModelError, match=r"wrote more than a package: description\.json is a"):
        coreml.CoreML().build(planned, Request(tmp_path / "model.tflite", artifact))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_state_is_not_read(plant: Callable[[Path, Path], None], secret: Path, tmp_path: Path) -> None:
    states = tmp_path / "states"
    states.mkdir()
    checkpoint.save(secret.parent, {"a": np.arange(3)}, {"epoch": 2})
    plant(states / checkpoint.NAME, secret.parent / checkpoint.NAME)
    assert checkpoint.load(states) is None


def test_a_state_is_not_written_through_a_link(secret: Path, tmp_path: Path) -> None:
    states, elsewhere = tmp_path / "states", tmp_path / "elsewhere"
    for folder in (states, elsewhere):
        folder.mkdir()
    checkpoint.save(elsewhere, {"a": np.arange(3)}, {"epoch": 2})
    state = checkpoint.load(elsewhere)
    assert state is not None
    for name in (f".{checkpoint.NAME}.{os.getpid()}", checkpoint.NAME):
        (states / name).symlink_to(secret)
    checkpoint.store(states, state)
    assert secret.read_bytes() == SECRET and checkpoint.load(states) == state


def test_what_a_killed_training_left_is_swept(tmp_path: Path) -> None:
    old, young = (tmp_path / f".{checkpoint.NAME}.{name}" for name in ("aaaa", "bbbb"))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    checkpoint.sweep(tmp_path)
    assert not old.exists() and young.exists()
