"""``verify --on`` proves the way from picture or row to decision on a board, too, over ssh and adb."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgekit import bundle as bundles
from edgekit import target
from edgekit.api.compile import compile
from edgekit.backends import runner_build, tvm
from edgekit.backends.android import native
from tests.api.proofs import changed, check, plant
from tests.networks import tabular
from tests.runners.adb_phone import SERIAL, phone
from tests.runners.ssh_board import StandIn, reached
from tests.tasks import task_networks

pytestmark = pytest.mark.emulator

FAULTS = {
    "row": ("row_source.c", "(number - c->mean) / c->std", "number / c->std"),
    "picture": ("picture.c", "from[in->bgr ? blue : red]", "from[in->bgr ? red : blue]"),
}
"""Of each source, the file in which what is replaced by what."""
MODELS: dict[str, Callable[[Path], Path]] = {
    "row": lambda folder: tabular.written(folder, "regression"),
    "picture": lambda folder: task_networks.written(folder, "classification"),
}


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with reached(monkeypatch) as found:
        yield found


def made(folder: Path, source: str, board: str) -> Path:
    (bundle,) = compile(MODELS[source](folder), targets=[board], out=folder / "build")
    return bundle.path


def for_rpi4(bundle: Path, to: Path) -> None:
    shutil.copyfile(runner_build.get("aarch64").path, to)


def for_phones(bundle: Path, to: Path) -> None:
    to.unlink()
    kernels = tvm.TVM().plan(bundles.load(bundle).graph, target.load("android-arm64"))
    assert not isinstance(kernels, list)
    native.program(kernels, to)


def faulty(
    bundle: Path, folder: Path, source: str, build: Callable[[Path, Path], object], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of a bundle whose program has a fault, and digests that are right."""
    with monkeypatch.context() as patched:
        plant(*FAULTS[source], folder / "sources", patched)
        return changed(bundle, folder / "faulty", lambda at, _: build(bundle, at / "artifact" / runner_build.NAME))


@pytest.mark.parametrize("source", FAULTS)
def test_decisions_are_proven_over_ssh(
    source: str, board: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, on = made(tmp_path / "x", source, "rpi4"), f"ssh:{board.address}"
    found = check(bundle, on)
    assert found.ok is True and f"4 {source}s to decisions, each bit as the reference" in found.detail
    found = check(faulty(bundle, tmp_path, source, for_rpi4, monkeypatch), on)
    assert found.ok is False and f"{source} 0: the C library makes another input: " in found.detail
    assert "\n" not in found.detail


def test_decisions_are_proven_over_adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "phone").mkdir()
    bundle, on = made(tmp_path / "x", "row", "android-arm64"), f"adb:{SERIAL}"
    with phone(tmp_path / "phone") as device:
        for name, value in device.env.items():
            monkeypatch.setenv(name, value)
        found = check(bundle, on)
        assert found.ok is True and "4 rows to decisions, each bit as the reference" in found.detail
        found = check(faulty(bundle, tmp_path, "row", for_phones, monkeypatch), on)
        assert found.ok is False and "row 0: the C library makes another input: " in found.detail
