"""The proof covers the way from sound to decision: faults planted there must be found, and named in one line."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.api.compile import compile
from edgekit.api.verify import verify
from edgekit.bundle.material import Material
from edgekit.errors import CheckFailed
from tests.api.proofs import changed, check, plant
from tests.networks import hearing

FAULTS = {
    "window": ("keyword", "sound_features.c", "0.5 - 0.5 * f->window[i]", "0.54 - 0.46 * f->window[i]"),
    "bands": ("keyword", "sound_features.c", "number + i) * ((high - low)", "number + i) * 1.01 * ((high - low)"),
    "scale": ("anomaly", "sound.c", "/ 32768.0", "/ 32767.0"),
    "error": ("anomaly", "anomaly.c", "score + other * other", "score + (other < 0 ? -other : other)"),
}  # fmt: skip
"""Kind of task, file, and what is replaced in it."""


def made(folder: Path, kind: str, target: str = "host", **options: Any) -> Path:
    (bundle,) = compile(hearing.written(folder, kind), targets=[target], out=folder / "build", **options)
    return bundle.path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of each kind of task."""
    folder = tmp_path_factory.mktemp("good")
    return {kind: made(folder / kind, kind) for kind in hearing.NETWORKS}


@pytest.mark.parametrize("kind", hearing.NETWORKS)
def test_bundles_are_proven_from_sound_to_decision(good: dict[str, Path], kind: str) -> None:
    found = check(good[kind])
    assert found.ok is True and "4 sounds to decisions, each bit as the reference" in found.detail
    recorded = json.loads((good[kind] / "decisions.json").read_text())["decisions"]
    assert len({json.dumps(each) for each in recorded}) > 1


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_c_library_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, *fault = FAULTS[name]
    plant(*fault, tmp_path / "sources", monkeypatch)
    with pytest.raises(CheckFailed, match=r"sound [0-3]: the C library") as refused:
        made(tmp_path / "new", kind)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("keyword", lambda task: task["sound"]["bands"].update(low=100.0), "the task makes another input: "),
        ("keyword", lambda task: task["sound"].update(scale=[0.04]), "golden.npz has"),
        ("keyword", lambda task: task.update(labels=["high", "low", "silence"]), "decides otherwise"),
        ("anomaly", lambda task: task.update(threshold=1e9), "decides otherwise"),
    ],
)
def test_a_wrong_task_in_the_manifest_is_found(
    good: dict[str, Path], kind: str, change: Callable[[dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    found = check(changed(good[kind], tmp_path / "wrong", lambda _, manifest: change(manifest["task"])))
    assert found.ok is False and words in found.detail, found.detail


@pytest.mark.parametrize(
    "arrays",
    [
        {"sound0": np.zeros((9, 1), np.int16)},
        {"sound0": np.zeros((9, 2), np.int16), "rate0": np.array([8000], np.uint32)},
        {"sound0": np.zeros(9, np.int16), "rate0": np.array([8000], np.uint32)},
        {"sound0": np.zeros(((1 << 21) + 1, 1), np.int16), "rate0": np.array([8000], np.uint32)},
        {"sound0": np.zeros((9, 1), np.int16), "rate0": np.array([1 << 40], np.uint64)},
        {"sound0": np.zeros((9, 1), np.int16), "rate0": np.array([0], np.uint32)},
    ],
)
def test_damaged_material_is_refused(good: dict[str, Path], arrays: dict[str, Any], tmp_path: Path) -> None:
    decisions = '{"schema": 1, "decisions": [{}]}'

    def spoil(at: Path, _: dict[str, Any]) -> None:
        np.savez(at / "material.npz", allow_pickle=False, **arrays)
        (at / "decisions.json").write_text(decisions)

    with pytest.raises(CheckFailed, match=r"material\.npz is damaged") as refused:
        verify(changed(good["keyword"], tmp_path / "bad", spoil))
    assert "\n" not in refused.value.message


def test_sound_that_cannot_be_resampled_is_refused(good: dict[str, Path], tmp_path: Path) -> None:
    def slower(at: Path, _: dict[str, Any]) -> None:
        with np.load(at / "material.npz") as archive:
            arrays = dict(archive)
        np.savez(at / "material.npz", allow_pickle=False, **{**arrays, "rate" + min(arrays)[4:]: np.uint32([767_999])})

    found = check(changed(good["keyword"], tmp_path / "slower", slower))
    assert found.ok is False and "the task refuses it: it has 767999 samples a second" in found.detail


@pytest.mark.parametrize(("channels", "content"), [(1, b"abc"), (2, b"abcdef"), (0, b"ab")])
def test_half_a_sample_is_refused_by_the_program(
    good: dict[str, Path], channels: int, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = struct.pack("<4I", 2, 8000, channels, len(content)) + content
    monkeypatch.setattr(Material, "packed", lambda material: record * len(material.things))
    found = check(good["keyword"])
    assert found.ok is False and "sounds: the C library fails: number 0: the material is damaged" in found.detail


@pytest.mark.emulator
@pytest.mark.parametrize("kind", hearing.NETWORKS)
def test_boards_in_emulators_are_proven(kind: str, tmp_path: Path) -> None:
    found = check(made(tmp_path, kind, "rpi4"))
    assert found.ok is True and "each bit as the reference" in found.detail
