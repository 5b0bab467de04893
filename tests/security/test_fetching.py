"""A ``uv.toml`` beside a model, or a variable, does not say where edgekit's tools come from, and nothing is built."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from edgekit.backends.litert import library
from edgekit.errors import ToolMissing


@pytest.mark.parametrize("way", ["uv.toml", "environment"])
def test_a_strangers_package_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    mark, folder = tmp_path / "ran", tmp_path / "stranger"
    folder.mkdir()
    name = f"ai_edge_litert-{library.litert_version()}"
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {
        "pyproject.toml": project,
        "backend.py": f"open({str(mark)!r}, 'w').close()\n",
        "PKG-INFO": f"Metadata-Version: 2.1\nName: ai-edge-litert\nVersion: {library.litert_version()}\n",
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
    known = {"platform": "aarch64-manylinux_2_35", "sha256": "0" * 64}
    with pytest.raises(ToolMissing):
        library._fetch("aarch64", known, tmp_path / "cache" / library.FILE)
    assert not mark.exists()
