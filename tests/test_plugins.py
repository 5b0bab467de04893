"""Plugins are found by name, and a wrong name meets a helpful line."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path

import numpy as np
import pytest

from edgekit import plugins
from edgekit.errors import UsageError
from edgekit.graph import tflite
from tests.e2e.command import EDGEKIT


@pytest.mark.parametrize("group", ["readers", "passes", "backends", "runners"])
def test_every_entry_point_loads(group: str) -> None:
    assert plugins.names(group)
    for name in plugins.names(group):
        assert plugins.get(group, name).name == name


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(UsageError, match="no pass named 'prun'"):
        plugins.get("passes", "prun")
    with pytest.raises(UsageError, match="no backend named 'litrt'") as caught:
        plugins.get("backends", "litrt")
    assert "'litert'" in caught.value.hint


def point(group: str, name: str, value: str, package: str, folder: Path) -> EntryPoint:
    """An entry point of an installed package."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[edgekit.{group}]\n{name} = {value}\n")
    (found,) = Distribution.at(info).entry_points
    return found


def test_a_name_that_two_packages_register_is_refused(tmp_path: Path) -> None:
    ours = point("backends", "litert", "edgekit.backends.litert:LiteRT", "edgekit", tmp_path / "a")
    theirs = point("backends", "litert", "quick.backend:Fast", "quick", tmp_path / "b")
    other = point("backends", "quick", "quick.backend:Fast", "quick-more", tmp_path / "c")
    again = point("backends", "litert", "edgekit.backends.litert:LiteRT", "edgekit", tmp_path / "d")
    assert list(plugins.distinct("backends", [other, ours, again])) == ["litert", "quick"]
    with pytest.raises(UsageError) as caught:
        plugins.distinct("backends", [theirs, other, ours])
    ours_first = "edgekit.backends.litert:LiteRT of edgekit and quick.backend:Fast of quick"
    assert caught.value.message == f"two plug-ins are the backend 'litert': {ours_first}"


@pytest.mark.parametrize(("group", "name", "words"), [
    ("steps", "detection", "the kind of task 'detection'"), ("passes", "prune", "the pass 'prune'"),
    ("backends", "litert", "the backend 'litert'"),
])  # fmt: skip
def test_commands_refuse_such_plugins(group: str, name: str, words: str, tmp_path: Path) -> None:
    from tests.networks.small import dense

    point(group, name, "intruder:Plugin", "intruder", tmp_path)
    tflite.write(dense(np.ones((2, 3), np.float32), np.zeros(2, np.float32)), tmp_path / "model.tflite")
    (tmp_path / "task.toml").write_text(
        'schema = 1\ntask = "classification"\n[row]\ncolumns = [{name = "a"}, {name = "b"}, {name = "c"}]\n'
    )
    command = [EDGEKIT, "compile", "model.tflite", "-t", "host", "-r", "prune", "--data", "random"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert "of edgekit and intruder:Plugin of intruder" in done.stderr
