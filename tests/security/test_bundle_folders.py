"""Bundles from strangers: nothing but the manifest's files, with its digests, is read, run or sent to a board."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit import bundle
from edgekit import compile as compile_model
from edgekit.api.profile import profile
from edgekit.api.run import run
from edgekit.api.verify import verify
from edgekit.bundle import Bundle
from edgekit.errors import CheckFailed
from edgekit.graph import tflite
from edgekit.runners.linux.program import Program
from tests.networks.small import dense


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A bundle of one small network for this machine."""
    random = np.random.default_rng(1)
    graph = dense(random.standard_normal((4, 8)).astype(np.float32), np.zeros(4, np.float32))
    tflite.write(graph, tmp_path / "net.tflite")
    return compile_model(tmp_path / "net.tflite", targets=["host"], out=tmp_path / "out", recipe="as-is")[0].path


def _secret(made: Path) -> Path:
    secret = made.parent / "id_key"
    secret.write_text("a private key")
    return secret


def _linked_file(made: Path) -> None:
    (made / "artifact" / "notes.txt").symlink_to(_secret(made))


def _linked_model(made: Path) -> None:
    (made / "model.tflite").rename(made.parent / "elsewhere")
    (made / "model.tflite").symlink_to(made.parent / "elsewhere")


def _linked_manifest(made: Path) -> None:
    (made / "manifest.json").rename(made.parent / "elsewhere")
    (made / "manifest.json").symlink_to(made.parent / "elsewhere")


def _linked_folder(made: Path) -> None:
    (made / "artifact").rename(made.parent / "elsewhere")
    (made / "artifact").symlink_to(made.parent / "elsewhere")


def _linked_inner_folder(made: Path) -> None:
    (made / "artifact" / "inner").symlink_to("/proc/self")


def _dangling(made: Path) -> None:
    (made / "artifact" / "x").symlink_to("/nonexistent")


def _fifo(made: Path) -> None:
    os.mkfifo(made / "artifact" / "pipe")


def _socket(made: Path) -> None:
    here = os.getcwd()
    os.chdir(made / "artifact")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s")
    os.chdir(here)


def _listed_fifo(made: Path) -> None:
    (made / "golden.npz").unlink()
    os.mkfifo(made / "golden.npz")


SPOILT: list[Callable[[Path], None]] = [
    _linked_file, _linked_model, _linked_manifest, _linked_folder, _linked_inner_folder, _dangling, _fifo, _socket,
    _listed_fifo,
]  # fmt: skip
VERBS: dict[str, Callable[[Path], object]] = {
    "load": bundle.load,
    "run": lambda path: run(path, on="host"),
    "profile": lambda path: profile(path, on="host", repeat=1),
    "estimate": profile,
    "verify": lambda path: verify(path, on="host"),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_links_devices_and_fifos_are_refused_by_every_verb(made: Path, spoil: Callable[[Path], None]) -> None:
    spoil(made)
    for name, verb in VERBS.items():
        with pytest.raises(CheckFailed, match=r"is a (link|FIFO|socket)"):
            pytest.fail(f"{name} took it: {verb(made)}")


def test_a_device_is_refused(made: Path) -> None:
    try:
        os.mknod(made / "artifact" / "zero", 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes device nodes")
    with pytest.raises(CheckFailed, match="zero is a device"):
        bundle.load(made)


@pytest.mark.parametrize("verb", ["run", "profile", "estimate"])
@pytest.mark.parametrize("change", ["edit", "add", "delete"])
def test_run_and_profile_check_digests(made: Path, verb: str, change: str) -> None:
    target = made / "model.tflite"
    if change == "edit":
        target.write_bytes(target.read_bytes() + b"\0")
    elif change == "add":
        (made / "artifact" / "extra").write_text("x")
    else:
        target.unlink()
    with pytest.raises(CheckFailed, match=r"has changed|does not belong|is missing"):
        VERBS[verb](made)


def test_what_changes_after_the_check_is_not_read(made: Path) -> None:
    with bundle.opened(made) as found:
        (made / "model.tflite").unlink()
        (made / "model.tflite").symlink_to(_secret(made))
        assert found.damaged() == []
        assert found.model.read_bytes() != b"a private key"


def test_a_compiled_network_brings_only_files_of_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "artifact").mkdir()
    for name in ("edgekit-run", "network.so", "weights.bin", "stray"):
        (tmp_path / "artifact" / name).write_text(name)
    listed = {f"artifact/{name}": {} for name in ("edgekit-run", "network.so", "weights.bin")}
    sent = Program("network.so", True).files(Bundle(tmp_path, {"files": listed}))
    assert sorted(sent) == ["edgekit-run", "network.so", "weights.bin"]
    (tmp_path / "artifact" / "notes.txt").symlink_to("/proc/self/environ")
    with pytest.raises(CheckFailed, match=r"notes\.txt is a link"):
        Program("network.so", True).files(Bundle(tmp_path, {"files": listed}))


def test_a_manifest_that_names_a_file_outside_is_refused(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    manifest["files"]["../id_key"] = {"bytes": 1, "sha256": "0"}
    (made / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckFailed, match="unsafe file name"):
        run(made, on="host")
