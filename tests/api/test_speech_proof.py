"""The proof covers the way from speech to text: faults planted there must be found, and named in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.api.compile import compile
from edgekit.errors import CheckFailed
from tests.api.proofs import changed, check, plant
from tests.networks import speaking

FAULTS = {
    "blank": ("transcriber.c", "label != t->blank &&", "label != t->blank + 1 &&"),
    "merging": ("transcriber.c", "t->merge && label == t->previous", "t->merge && label == t->previous + 1"),
    "separator": ("transcriber.c", "apart || *label == ' ' ?", "*label == ' ' ?"),
    "ties": ("transcriber.c", "t->frames_last ? (size_t)label", "!t->frames_last ? (size_t)label"),
    "times": ("transcriber.c", "(float)(clip + within)", "(float)(clip + within + 0.01)"),
    "softmax": ("transcriber.c", "exact_exp(highest - highest) / sum", "exact_exp(highest - highest) / (sum + 1e-6)"),
    "filter": ("resample.c", "beta = 5.0", "beta = 5.001"),
    "zeros": ("resample.c", "ZEROS = 10", "ZEROS = 9"),
    "place": ("resample.c", "(int64_t)(number * r->down)", "(int64_t)(number * r->down + 1)"),
}
"""File, and what is replaced in it."""


def made(folder: Path, target: str = "host", **options: Any) -> Path:
    model = speaking.written(folder)
    data = str(speaking.recordings(folder / "sounds"))
    (bundle,) = compile(model, targets=[target], out=folder / "build", data=data, **options)
    return bundle.path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("speech"))


def test_bundles_are_proven_from_speech_to_text(good: Path) -> None:
    found = check(good)
    assert found.ok is True and "2 sounds to decisions, each bit as the reference" in found.detail
    first, second = json.loads((good / "decisions.json").read_text())["decisions"]
    assert first["text"] == speaking.SENTENCES[0] and second != first
    with np.load(good / "material.npz") as material:
        rates = sorted(int(material[name][0]) for name in material.files if name.startswith("rate"))
    assert rates == [speaking.RATE, 44_100]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_c_library_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(*FAULTS[name], tmp_path / "sources", monkeypatch)
    with pytest.raises(CheckFailed, match=r"sound [01]: the C library") as refused:
        made(tmp_path / "new")
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    "change",
    [
        lambda task: task.update(blank=1),
        lambda task: task.update(merge=False),
        lambda task: task.update(labels=["_", "b", "a", *task["labels"][3:]]),
        lambda task: task.update(scores="probabilities"),
    ],
)
def test_a_wrong_task_in_the_manifest_is_found(
    good: Path, change: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    found = check(changed(good, tmp_path / "wrong", lambda _, manifest: change(manifest["task"])))
    assert found.ok is False and "decides otherwise" in found.detail, found.detail


@pytest.mark.emulator
@pytest.mark.parametrize("recipe", ["as-is", "int8"])
def test_boards_in_emulators_are_proven(recipe: str, tmp_path: Path) -> None:
    found = check(made(tmp_path, "rpi4", recipe=recipe))
    assert found.ok is True and "each bit as the reference" in found.detail
