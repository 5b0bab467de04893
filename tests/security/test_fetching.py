"""A ``uv.toml`` beside a model, or a variable, does not say where edgekit's tools come from, and nothing is built."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgekit.backends.litert import library
from edgekit.backends.runner_build import litert_version
from edgekit.errors import ToolMissing
from edgekit.readers import onnx2tf
from edgekit.tools import environment, toolchain
from edgekit.tools.toolchain import fetching_environment


@pytest.mark.parametrize("way", ["uv.toml", "environment"])
def test_a_strangers_package_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    mark, folder = tmp_path / "ran", tmp_path / "stranger"
    folder.mkdir()
    name = f"ai_edge_litert-{litert_version()}"
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {
        "pyproject.toml": project,
        "backend.py": f"open({str(mark)!r}, 'w').close()\n",
        "PKG-INFO": f"Metadata-Version: 2.1\nName: ai-edge-litert\nVersion: {litert_version()}\n",
    }
    with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as tar:
        for file, text in files.items():
            entry = tarfile.TarInfo(f"{name}/{file}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    if way == "uv.toml":
        (tmp_path / "uv.toml").write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
    else:
        (folder / "other.toml").write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
        monkeypatch.setenv("UV_CONFIG_FILE", str(folder / "other.toml"))
    monkeypatch.chdir(tmp_path)
    known = {"platform": "aarch64-manylinux_2_35", "sha256": "0" * 64, "wheel": "0" * 64}
    with pytest.raises(ToolMissing):
        library._fetch("aarch64", known, tmp_path / "cache" / library.FILE)
    assert not mark.exists()


def wheel(folder: Path, project: str, version: str, tag: str, member: str) -> Path:
    """A wheel that puts one file into an environment."""
    name = f"{project.replace('-', '_')}-{version}"
    path = folder / f"{name}-{tag}.whl"
    info = f"{name}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "a stranger's")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", f"{member},,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.mark.parametrize("known", [True, False])
def test_a_wheel_for_boards_is_not_unpacked_unless_it_is_the_known_one(tmp_path: Path, known: bool) -> None:
    """From an index that serves another file of that name."""
    version = litert_version()
    served = wheel(tmp_path, library.PACKAGE, version, "cp311-cp311-manylinux_2_27_aarch64", "ai_edge_litert/x.py")
    said = hashlib.sha256(served.read_bytes()).hexdigest() if known else library.facts("aarch64")["wheel"]
    command = library._fetch_command("aarch64-manylinux_2_35", str(tmp_path / "out"))
    done = subprocess.run(
        [*command, "--no-index", "--find-links", str(tmp_path)], input=library._wanted({"wheel": said}), cwd=tmp_path,
        env=fetching_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (tmp_path / "out" / "ai_edge_litert").exists() == known
    assert (done.returncode == 0) == known, done.stderr
    assert known or "hash" in done.stderr.lower()


@pytest.mark.parametrize("known", [True, False])
def test_an_environment_is_made_of_known_wheels_only(tmp_path: Path, known: bool) -> None:
    served = wheel(tmp_path, "onnx2tf", "2.6.9", "py3-none-any", "onnx2tf/__init__.py")
    said = hashlib.sha256(served.read_bytes()).hexdigest() if known else "0" * 64
    (tmp_path / "lock").write_text(f"onnx2tf==2.6.9 \\\n    --hash=sha256:{said}\n")
    why = environment.install(tmp_path / "env", tmp_path / "lock", "3.12", "--no-index", "--find-links", str(tmp_path))
    assert bool(list((tmp_path / "env").glob("lib/python*/site-packages/onnx2tf"))) == known
    assert (why == "") == known


@pytest.mark.parametrize(("name", "packages"), [("onnx2tf", 25), ("nvrtc", 1), ("ethos-u-vela", 3), ("yowasp", 6)])
def test_every_package_is_pinned_with_its_hashes(name: str, packages: int) -> None:
    text = onnx2tf.lock_file().with_name(f"{name}.lock").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) >= packages
    for line in lines:
        assert re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line
    assert "://" not in text


def test_the_lock_of_nvidias_compiler_is_of_the_package_that_is_looked_for() -> None:
    (package,) = toolchain.load("nvrtc").tools[0].pip
    assert f"\n{package} " in onnx2tf.lock_file().with_name("nvrtc.lock").read_text()
