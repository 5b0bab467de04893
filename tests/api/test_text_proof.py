"""The proof covers the way from text to decision: faults planted there must be found, and named in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import bundle as bundles
from edgekit.api.compile import compile
from edgekit.api.verify import verify
from edgekit.errors import CheckFailed
from edgekit.graph import tflite
from tests.api.proofs import changed, check, plant
from tests.installed import needed
from tests.tasks import tokenizer_files
from tests.tasks.text_networks import averaging

needed("tokenizers", "dev")

TASK = """schema = 1
task = "text-classification"
labels = ["go", "stop", "wait"]
scores = "logits"
[text]
"""
FAULTS = {
    "mask": ("text_source.c", "i < used", "i <= used"),
    "pieces": ("wordpiece.c", "p->size == prefix + size", "p->size == prefix + size && size != 3"),
}
"""File, and what is replaced in it."""


def made(folder: Path, target: str = "host", **options: Any) -> Path:
    folder.mkdir(exist_ok=True)
    document = tokenizer_files.bert()
    tflite.write(averaging(len(document["model"]["vocab"])), folder / "model.tflite")
    (folder / "tokenizer.json").write_text(json.dumps(document))
    (folder / "task.toml").write_text(TASK)
    (bundle,) = compile(folder / "model.tflite", targets=[target], out=folder / "build", **options)
    return bundle.path


def test_bundles_are_proven_from_text_to_decision(tmp_path: Path) -> None:
    found = check(made(tmp_path))
    assert found.ok is True and "4 texts to decisions, each bit as the reference" in found.detail


@pytest.mark.emulator
def test_an_emulated_board_is_proven(tmp_path: Path) -> None:
    found = check(made(tmp_path, "rpi4"))
    assert found.ok is True and "each bit as the reference" in found.detail


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_c_library_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(*FAULTS[name], tmp_path / "sources", monkeypatch)
    with pytest.raises(CheckFailed, match=r"text [0-3]: the C library makes another input") as refused:
        made(tmp_path / "new")
    assert "\n" not in refused.value.message


def test_texts_of_the_data_are_kept(tmp_path: Path) -> None:
    rows = [f'"turn the lights {"on" * (n + 1)}, na\u00efve",{"go" if n % 2 else "stop"}' for n in range(8)]
    (tmp_path / "texts.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    bundle = bundles.load(made(tmp_path / "x", data=str(tmp_path / "texts.csv")))
    inputs, _ = bundle.golden()
    kept = bundle.material(len(inputs[0]))
    assert kept is not None and kept.rows == (0, 1)
    assert kept.things == ("turn the lights on, na\u00efve", "turn the lights onon, na\u00efve")
    assert check(bundle.path).ok is True


@pytest.mark.parametrize(("values", "words"), [(np.uint8([0xFF]), "damaged"), (np.zeros((2, 2), np.uint8), "no text")])
def test_damaged_texts_are_refused_in_one_line(values: np.ndarray, words: str, tmp_path: Path) -> None:
    def spoil(at: Path, _: object) -> None:
        with np.load(at / "material.npz") as archive:
            names = archive.files
        np.savez(at / "material.npz", **dict.fromkeys(names, values))

    with pytest.raises(CheckFailed, match=words) as refused:
        verify(changed(made(tmp_path / "x"), tmp_path / "bad", spoil))
    assert "\n" not in refused.value.message
