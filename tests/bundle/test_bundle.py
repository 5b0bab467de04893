"""Bundles: whole or not at all, and every change is seen."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgekit import bundle
from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Graph, Operator, Subgraph, Tensor, tflite

MANIFEST: dict[str, object] = {
    "target": "rpi4", "backend": "null", "runtime": "none", "run": [], "inputs": [], "outputs": [],
    "model": {"name": "m"}, "recipe": {"name": "as-is"},
}  # fmt: skip


def make(final: Path, text: str = "hello") -> Path:
    with bundle.writing(final) as folder:
        (folder / "artifact").mkdir()
        (folder / "artifact" / "tool").write_text(text)
        (folder / "artifact" / "tool").chmod(0o755)
        tensors = [Tensor("x", (3,), "int8"), Tensor("y", (1,), "float32")]
        tflite.write(
            Graph([Subgraph("main", tensors, [Operator("CAST", (0,), (1,))], (0,), (1,))]), folder / "model.tflite"
        )
        bundle.save_golden(folder, [np.arange(6, dtype=np.int8).reshape(2, 3)], [np.ones((2, 1), np.float32)])
        bundle.finish(folder, MANIFEST)
    return final


def test_sound_bundle(tmp_path: Path) -> None:
    found = bundle.load(make(tmp_path / "b"))
    assert found.damaged() == []
    inputs, outputs = found.golden()
    np.testing.assert_array_equal(inputs[0], [[0, 1, 2], [3, 4, 5]])
    assert outputs[0].dtype == np.float32
    assert found.target.name == "rpi4"


def test_same_inputs_same_bytes(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    for name in bundle.relative_files(first):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    bundle.pack(first, tmp_path / "a.edgekit")
    bundle.pack(second, tmp_path / "b.edgekit")
    assert (tmp_path / "a.edgekit").read_bytes() == (tmp_path / "b.edgekit").read_bytes()


@pytest.mark.parametrize("change", ["edit", "delete", "add", "link"])
def test_every_change_is_seen(tmp_path: Path, change: str) -> None:
    path = make(tmp_path / "b")
    tool = path / "artifact" / "tool"
    if change == "edit":
        tool.write_text("jello")
    elif change == "delete":
        tool.unlink()
    elif change == "add":
        (path / "artifact" / "extra").write_text("x")
    else:
        copy = tmp_path / "copy"
        tool.rename(copy)
        tool.symlink_to(copy)
    if change == "link":  # nothing in a bundle may be one
        with pytest.raises(CheckFailed, match="is a link"):
            bundle.load(path)
    else:
        assert len(bundle.load(path).damaged()) == 1


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), bundle.writing(tmp_path / "b") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_older_bundle(tmp_path: Path) -> None:
    path = make(tmp_path / "b", "old")
    with pytest.raises(RuntimeError), bundle.writing(path):
        raise RuntimeError
    assert (path / "artifact" / "tool").read_text() == "old"
    make(path, "new")
    assert (path / "artifact" / "tool").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_other_peoples_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="not a bundle"):
        make(tmp_path / "b")
    assert (tmp_path / "b" / "thesis.txt").read_text() == "precious"


def test_pack_and_open(tmp_path: Path) -> None:
    path = make(tmp_path / "b")
    bundle.pack(path, tmp_path / "b.edgekit")
    with bundle.opened(tmp_path / "b.edgekit") as found:
        assert found.damaged() == []
        assert os.access(found.artifact / "tool", os.X_OK)
        where = found.path
    assert not where.exists()


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_hostile_archives(tmp_path: Path, name: str) -> None:
    file = tmp_path / "x.edgekit"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(CheckFailed, match="unsafe"), bundle.opened(file):
        pass
    assert not (tmp_path / "evil").exists()


def test_archive_with_a_link(tmp_path: Path) -> None:
    file = tmp_path / "x.edgekit"
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(CheckFailed, match="plain file"), bundle.opened(file):
        pass


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": 1}', json.dumps({"schema": 1, **MANIFEST, "files": {"../x": {}}})]
)
def test_damaged_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CheckFailed, match="damaged"):
        bundle.load(tmp_path)


@pytest.mark.parametrize("key", [*MANIFEST, "files"])
@pytest.mark.parametrize("value", ["missing", None, 3, {"name": None}])
def test_a_manifest_lacks_what_the_verbs_read(tmp_path: Path, key: str, value: object) -> None:
    path = make(tmp_path / "b")
    manifest = json.loads((path / "manifest.json").read_text())
    manifest[key] = value
    if value == "missing":
        del manifest[key]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckFailed, match=r"manifest\.json is damaged"):
        bundle.load(path)


def test_damaged_golden(tmp_path: Path) -> None:
    path = make(tmp_path / "b")
    (path / "golden.npz").write_bytes(b"not a zip")
    with pytest.raises(CheckFailed, match="golden"):
        bundle.load(path).golden()


def test_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a bundle"):
        bundle.load(tmp_path)
    (tmp_path / "x.edgekit").write_bytes(b"PK nonsense")
    with pytest.raises(CheckFailed, match="readable"), bundle.opened(tmp_path / "x.edgekit"):
        pass
