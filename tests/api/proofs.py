"""What tests of the proof from source to decision share: bundles that are changed, and faults in the C library."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.api.verify import Check, verify
from edgekit.backends import runner_build
from edgekit.bundle import writing
from tests import objects


def check(path: Path, on: str | None = None) -> Check:
    """What ``verify`` says of a bundle's decisions."""
    (found,) = [each for each in verify(path, on=on).checks if each.name == "decision"]
    return found


def changed(bundle: Path, to: Path, change: Callable[[Path, dict[str, Any]], object]) -> Path:
    """A copy of a bundle with other contents, and digests that are right.

    :param change: of the copy's folder and manifest.
    """
    shutil.copytree(bundle, to)
    manifest = json.loads((to / "manifest.json").read_text())
    (to / "manifest.json").unlink()
    change(to, manifest)
    writing.finish(to, {key: value for key, value in manifest.items() if key not in ("schema", "files")})
    return to


def plant(file: str, old: str, new: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the C runner be built from a copy of its sources with a fault, while the patch lasts."""
    shutil.copytree(runner_build.sources(), folder)
    text = (folder / file).read_text()
    assert text.count(old) == 1, (file, old, text.count(old))
    (folder / file).write_text(text.replace(old, new))
    monkeypatch.setattr(runner_build, "sources", lambda: folder)
    compile_ = runner_build._compile

    def compiled(command: list[str], sources: Path, program: Path) -> None:
        compile_(objects.instead(command, sources), sources, program)

    monkeypatch.setattr(runner_build, "_compile", compiled)


def rebuilt(bundle: Path, to: Path) -> Path:
    """A copy of a bundle for this machine whose program is built from the C runner's present sources."""
    program = runner_build.get("x86_64" if runner_build.native_arch("native") == "x86_64" else "aarch64").path
    return changed(bundle, to, lambda at, _: shutil.copyfile(program, at / "artifact" / runner_build.NAME))
