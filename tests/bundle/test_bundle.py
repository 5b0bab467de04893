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
from edgekit.bundle import writing
from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Graph, Operator, Subgraph, Tensor, tflite

MANIFEST: dict[str, object] = {
    "target": "rpi4", "backend": "null", "runtime": "none", "run": [], "inputs": [], "outputs": [],
    "model": {"name": "m"}, "recipe": {"name": "as-is"},
}  # fmt: skip


def make(final: Path, text: str = "hello") -> Path:
    with writing.folder(final) as folder:
        (folder / "artifact").mkdir()
        (folder / "artifact" / "tool").write_text(text)
        (folder / "artifact" / "tool").chmod(0o755)
        tensors = [Tensor("x", (3,), "int8"), Tensor("y", (1,), "float32")]
        tflite.write(
            Graph([Subgraph("main", tensors, [Operator("CAST", (0,), (1,))], (0,), (1,))]), folder / "model.tflite"
        )
        writing.save_golden(folder, [np.arange(6, dtype=np.int8).reshape(2, 3)], [np.ones((2, 1), np.float32)])
        writing.finish(folder, MANIFEST)
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
    writing.pack(first, tmp_path / "a.edgekit")
    writing.pack(second, tmp_path / "b.edgekit")
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
    with pytest.raises(RuntimeError), writing.folder(tmp_path / "b") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_older_bundle(tmp_path: Path) -> None:
    path = make(tmp_path / "b", "old")
    with pytest.raises(RuntimeError), writing.folder(path):
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
    writing.pack(path, tmp_path / "b.edgekit")
    with bundle.opened(tmp_path / "b.edgekit") as found:
        assert found.damaged() == []
        assert os.access(found.artifact / "tool", os.X_OK)
        where = found.path
    assert not where.exists()


def test_a_folder_is_opened_as_a_copy_that_is_a_bundle(tmp_path: Path) -> None:
    path = make(tmp_path / "b")
    with bundle.opened(path) as found:
        assert found.path != path and bundle.load(found.path).manifest == bundle.load(path).manifest
        assert found.damaged() == []


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


GOLDEN: tuple[list[np.ndarray], list[np.ndarray]] = ([np.zeros((2, 3), np.int8)], [np.zeros((2, 1), np.float32)])


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ([np.zeros((2, 4), np.int8)], GOLDEN[1], "'x' is int8"),
        ([np.zeros((2, 3), np.uint8)], GOLDEN[1], "'x' is int8"),
        (GOLDEN[0], [np.zeros((2, 2), np.float32)], "'y' is float32"),
        (GOLDEN[0], [np.zeros((2, 1), np.float64)], "'y' is float32"),
        (GOLDEN[0], [np.float32(0)], "'y' is float32"),
        (GOLDEN[0], [np.zeros((3, 1), np.float32)], "different numbers of samples"),
        (GOLDEN[0], [], "0 arrays for 1 tensors"),
        ([*GOLDEN[0], *GOLDEN[0]], GOLDEN[1], "2 arrays for 1 tensors"),
    ],
)
def test_golden_samples_have_to_fit_the_network(
    tmp_path: Path, inputs: list[np.ndarray], outputs: list[np.ndarray], words: str
) -> None:
    path = make(tmp_path / "b")
    writing.save_golden(path, inputs, outputs)
    with pytest.raises(CheckFailed, match=words):
        bundle.load(path).golden()
    writing.save_golden(path, *GOLDEN)
    assert len(bundle.load(path).golden()[0]) == 1


@pytest.mark.parametrize(("dtype", "stored"), [("int4", np.int8), ("int2", np.int8), ("uint4", np.uint8)])
def test_golden_samples_of_small_integers_take_a_byte_each(tmp_path: Path, dtype: str, stored: type) -> None:
    path = make(tmp_path / "b")
    tensors = [Tensor("x", (3,), dtype), Tensor("y", (1,), "float32")]
    graph = Graph([Subgraph("main", tensors, [Operator("CAST", (0,), (1,))], (0,), (1,))])
    opened = bundle.Bundle(path, bundle.load(path).manifest)
    opened.__dict__["graph"] = graph
    writing.save_golden(path, [np.zeros((2, 3), stored)], GOLDEN[1])
    opened.golden()
    writing.save_golden(path, [np.zeros((2, 3), np.uint8 if stored is np.int8 else np.int8)], GOLDEN[1])
    with pytest.raises(CheckFailed, match=dtype):
        opened.golden()


@pytest.mark.parametrize("zipped", [False, True])
def test_what_is_wrong_with_an_opened_bundle_is_listed(tmp_path: Path, zipped: bool) -> None:
    path = make(tmp_path / "b")
    (path / "artifact" / "tool").write_text("jello")
    (path / "model.tflite").unlink()
    (path / "artifact" / "extra").write_text("x")
    if zipped:
        writing.pack(path, tmp_path / "b.edgekit")
        path = tmp_path / "b.edgekit"
    with pytest.raises(bundle.Damaged) as caught, bundle.opened(path):
        pass
    assert sorted(caught.value.problems) == [
        "artifact/extra does not belong", "artifact/tool has changed", "model.tflite is missing",
    ]  # fmt: skip
    assert all(problem in caught.value.message for problem in caught.value.problems)


def test_what_looks_like_a_bundle(tmp_path: Path) -> None:
    assert bundle.is_bundle(make(tmp_path / "b"))
    assert bundle.is_bundle(tmp_path / "b.edgekit")
    assert not bundle.is_bundle(tmp_path) and not bundle.is_bundle(tmp_path / "model.tflite")


def test_a_folder_may_end_like_a_packed_bundle(tmp_path: Path) -> None:
    path = make(tmp_path / "b.edgekit")
    with bundle.opened(path) as found:
        assert found.golden()[0][0].shape == (2, 3)
    (tmp_path / "model.tflite").write_bytes(b"x")
    with pytest.raises(UsageError, match="not a bundle"), bundle.opened(tmp_path / "model.tflite"):
        pass


def test_a_packed_bundle_is_written_beside_the_folder(tmp_path: Path) -> None:
    with writing.folder(tmp_path / "b", packed=True) as folder:
        make(folder / "inner").rename(tmp_path / "source")
        for entry in (tmp_path / "source").iterdir():
            entry.rename(folder / entry.name)
    (tmp_path / "source").rmdir()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["b", "b.edgekit"]
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o755
    with bundle.opened(tmp_path / "b.edgekit") as found:
        assert found.damaged() == []
    with zipfile.ZipFile(tmp_path / "b.edgekit") as archive:
        members = {info.filename: info for info in archive.infolist()}
    assert {info.date_time for info in members.values()} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.compress_type for info in members.values()} == {zipfile.ZIP_DEFLATED}
    assert members["artifact/tool"].external_attr >> 16 == stat.S_IFREG | 0o755
    assert members["golden.npz"].external_attr >> 16 == stat.S_IFREG | 0o644


def test_a_bundle_that_cannot_take_its_place_leaves_the_older_one(tmp_path: Path) -> None:
    path = make(tmp_path / "b", "old")
    with pytest.raises(UsageError), writing.folder(path) as folder:
        folder.rmdir()  # what is to be renamed is gone
    assert (path / "artifact" / "tool").read_text() == "old"
    assert bundle.load(path).damaged() == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]


def test_a_file_in_the_place_of_a_bundle_stays(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("precious")
    with pytest.raises(UsageError, match="not a bundle"):
        make(tmp_path / "b")
    assert (tmp_path / "b").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    assert bundle.load(make(tmp_path / "empty")).damaged() == []


def test_bounds_on_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacked bytes, the manifest's and all files' together: as many as the bound are taken, one more is not."""
    assert bundle.MAX_UNPACKED_BYTES == 4 * 2**30
    assert bundle.MAX_MANIFEST_BYTES == 16 * 2**20
    assert bundle.MAX_GOLDEN_BYTES == 512 * 2**20
    path = make(tmp_path / "b")
    writing.pack(path, tmp_path / "b.edgekit")
    sizes = [(path / name).stat().st_size for name in bundle.relative_files(path)]
    manifest = (path / "manifest.json").stat().st_size
    monkeypatch.setattr(bundle, "MAX_UNPACKED_BYTES", sum(sizes))
    with bundle.opened(tmp_path / "b.edgekit"):
        pass
    monkeypatch.setattr(bundle, "MAX_UNPACKED_BYTES", sum(sizes) - 1)
    with pytest.raises(CheckFailed, match="too many bytes"), bundle.opened(tmp_path / "b.edgekit"):
        pass
    monkeypatch.setattr(bundle, "MAX_UNPACKED_BYTES", sum(sizes) - manifest)
    with bundle.opened(path):
        pass
    monkeypatch.setattr(bundle, "MAX_UNPACKED_BYTES", sum(sizes) - manifest - 1)
    with pytest.raises(CheckFailed, match="has over"), bundle.opened(path):
        pass
    monkeypatch.setattr(bundle, "MAX_MANIFEST_BYTES", manifest)
    bundle.load(path)
    monkeypatch.setattr(bundle, "MAX_MANIFEST_BYTES", manifest - 1)
    with pytest.raises(CheckFailed, match="it has over"):
        bundle.load(path)


def test_only_this_schema_is_read(tmp_path: Path) -> None:
    path = make(tmp_path / "b")
    text = (path / "manifest.json").read_text()
    assert '"schema": 1' in text
    (path / "manifest.json").write_text(text.replace('"schema": 1', '"schema": 2'))
    with pytest.raises(UsageError, match="schema 2"):
        bundle.load(path)


@pytest.mark.parametrize("entry", [{"bytes": "5", "sha256": "x"}, {"bytes": 5, "sha256": 3}, {"bytes": 5}])
def test_a_manifest_says_size_and_digest_of_every_file(tmp_path: Path, entry: dict[str, object]) -> None:
    path = make(tmp_path / "b")
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["files"]["artifact/tool"]["bytes"] == 5
    manifest["files"]["artifact/tool"] = entry
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckFailed, match="damaged"):
        bundle.load(path)
