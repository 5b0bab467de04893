"""What a compile that fails leaves behind: the older bundle, whole, and nothing of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import bundle
from edgekit.api import compile as api
from edgekit.api.compile import compile
from edgekit.errors import CheckFailed, ModelError, UsageError
from edgekit.graph import tflite
from tests.networks.small import dense


def network(folder: Path, weight: float) -> Path:
    path = folder / "net.tflite"
    tflite.write(dense(np.full((2, 4), weight, np.float32), np.zeros(2, np.float32)), path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def failing_build(*args: Any) -> Any:
    raise ModelError("the compiler failed half-way")


def wrong_proof(*args: Any) -> Any:
    proof = prove(*args)
    proof.ok = False
    return proof


def full_disk(*args: Any) -> Any:
    raise OSError(28, "No space left on device")


prove = api._prove
FAILURES: list[tuple[str, Callable[..., Any], type[Exception]]] = [
    ("edgekit.api.compile.readme", failing_build, ModelError),
    ("edgekit.api.compile._prove", wrong_proof, CheckFailed),
    ("edgekit.bundle.writing.save_golden", full_disk, UsageError),
    ("edgekit.bundle.writing.pack", full_disk, UsageError),
    ("edgekit.files.temporary.swap", full_disk, UsageError),
]


@pytest.mark.parametrize(("place", "failure", "error"), FAILURES, ids=[place for place, *_ in FAILURES])
def test_the_older_bundle_stays(
    place: str, failure: Callable[..., Any], error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    (made,) = compile(network(tmp_path, 1.0), targets=["host"], out=out, pack=True)
    before = contents(out)
    assert made.path.with_name(made.path.name + ".edgekit").is_file()
    with monkeypatch.context() as patch:
        patch.setattr(place, failure)
        with pytest.raises(error):
            compile(network(tmp_path, 2.0), targets=["host"], out=out, pack=True)
    assert contents(out) == before and bundle.load(made.path).damaged() == []
    compile(network(tmp_path, 2.0), targets=["host"], out=out, pack=True)
    assert contents(out).keys() == before.keys() and contents(out) != before


def test_a_first_compile_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.api.compile._prove", wrong_proof)
    with pytest.raises(CheckFailed, match="parity failed for host"):
        compile(network(tmp_path, 1.0), targets=["host"], out=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*")) and not list((tmp_path / "out").glob(".*"))
