"""Private folders go away, also those of processes that were killed; never those of others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgekit.files import temporary
from edgekit.graph import tflite
from tests.networks.small import dense

HOLDER = """
import sys, time
from pathlib import Path
from edgekit.files import temporary
with temporary.folder(Path(sys.argv[1])) as folder:
    (folder / "half-written").touch()
    print(folder, flush=True)
    time.sleep(60)
"""


def _hold(place: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(place)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def _age(*folders: Path) -> None:
    for folder in folders:
        os.utime(folder, (time.time() - 3600,) * 2)


def test_what_a_killed_process_left_is_swept_and_a_running_one_keeps_its_own(tmp_path: Path) -> None:
    killed, dead = _hold(tmp_path)
    running, alive = _hold(tmp_path)
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        _age(dead, alive)
        assert dead.is_dir() and alive.is_dir()
        with temporary.folder(tmp_path):
            assert not dead.exists()
            assert (alive / "half-written").exists()
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("name", [".edgekit-notes", "edgekit-1-short", ".net.int8-abcdefgh", ".edgekit-x-abcdefgh"])
def test_folders_of_others_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    _age(tmp_path / name)
    temporary.sweep(tmp_path)
    assert (tmp_path / name).is_dir()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / ".edgekit-4000000-abcdefgh").symlink_to(tmp_path / "precious")
    temporary.sweep(tmp_path)
    assert (tmp_path / "precious").is_dir()


def test_what_was_locked_by_somebody_stays_though_its_process_is_unknown_here(tmp_path: Path) -> None:
    """As where two containers share a folder: the other's process numbers mean nothing here."""
    killed, folder = _hold(tmp_path)
    try:
        renamed = folder.rename(tmp_path / ".edgekit-4000000-abcdefgh")
        _age(renamed)
        temporary.sweep(tmp_path)
        assert renamed.is_dir()
    finally:
        killed.kill()
        killed.wait()
    temporary.sweep(tmp_path)
    assert not renamed.exists()


def test_a_bundle_that_had_stepped_aside_comes_back(tmp_path: Path) -> None:
    """Killed between the two renames of a swap."""
    dead = tmp_path / ".edgekit-4000000-abcdefgh"
    (dead / "replaced" / "net.int8.rpi4").mkdir(parents=True)
    (dead / "replaced" / "net.int8.rpi4" / "manifest.json").touch()
    _age(dead)
    temporary.sweep(tmp_path)
    assert (tmp_path / "net.int8.rpi4" / "manifest.json").exists()
    assert not dead.exists()


def test_nothing_comes_back_through_a_link(tmp_path: Path) -> None:
    home, place = tmp_path / "home", tmp_path / "place"
    dead = place / ".edgekit-4194399-abcdefgh"
    for folder in (home, dead):
        folder.mkdir(parents=True)
    (home / "key").touch()
    (dead / "replaced").symlink_to(home)
    os.utime(dead, (1, 1))
    temporary.sweep(place)
    assert (home / "key").exists() and not list(place.iterdir())


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    with pytest.raises(RuntimeError), temporary.replacing(tmp_path / "f") as file:
        file.write_text("half")
        raise RuntimeError
    assert (tmp_path / "f").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_network_is_written_through_no_name_that_somebody_could_know(tmp_path: Path) -> None:
    """A link that lies where a temporary file would be expected leads elsewhere, and stays unused."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    for name in (".net.tflite.tmp", "net.tflite.tmp", f".net.tflite.{os.getpid()}"):
        (tmp_path / name).symlink_to(precious)
    tflite.write(dense(np.ones((4, 8), np.float32), np.zeros(4, np.float32)), tmp_path / "net.tflite")
    assert precious.read_text() == "kept"
    assert tflite.read(tmp_path / "net.tflite").operators
    assert len(list(tmp_path.iterdir())) == 5


def test_what_a_killed_write_left_is_swept_by_the_next(tmp_path: Path) -> None:
    killed, folder = _hold(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    _age(folder)
    tflite.write(dense(np.ones((4, 8), np.float32), np.zeros(4, np.float32)), tmp_path / "net.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["net.tflite"]
