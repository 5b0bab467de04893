"""The proof covers the way from picture to neighbour: faults planted there must be found, and named in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit import bundle as bundles
from edgekit.api.compile import compile
from edgekit.bundle import Bundle
from edgekit.errors import CheckFailed, UsageError
from edgekit.tasks.embedder import Embedder
from edgekit.tasks.gallery import FILE, Gallery
from tests.api.proofs import changed, check, plant, rebuilt
from tests.tasks import embedding_networks

FAULTS = {
    "length": ("embedder.c", "double length = sqrt(sum);", "double length = sum;"),
    "order": ("embedder.c", "m->cosine[i] > m->cosine[found]", "m->cosine[i] < m->cosine[found]"),
    "nearest vector": ("embedder.c", "if (cosine > m->cosine[g->number[i]])", "if (i < 2)"),
    "threshold": ("embedder.c", "(double)m->cosine[i] >= m->threshold", "(double)m->cosine[i] < m->threshold"),
    "single precision": ("embedder.c", "double sum = 0;\n        for", "float sum = 0;\n        for"),
    "vector": ("embedder.c", "vector[i] = (float)m->unit[i];", "vector[i] = (float)m->unit[0];"),
    "labels": ("gallery.c", "g->label[i] = next;", "g->label[i] = g->text;"),
}  # fmt: skip
"""File, and what is replaced in it."""


def made(folder: Path, target: str = "host", recipe: str = "as-is", **options: Any) -> Path:
    asked = embedding_networks.photos(folder / "asked", 10, 6)
    model = embedding_networks.written(folder)
    (bundle,) = compile(model, targets=[target], recipe=recipe, out=folder / "build", data=str(asked), **options)
    return bundle.path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of each arithmetic."""
    folder = tmp_path_factory.mktemp("good")
    return {recipe: made(folder / recipe, recipe=recipe) for recipe in ("as-is", "int8")}


def embedder(bundle: Bundle) -> Embedder:
    assert bundle.task is not None and isinstance(bundle.task.decider, Embedder)
    return bundle.task.decider


@pytest.mark.parametrize("recipe", ["as-is", "int8"])
def test_bundles_are_proven_from_picture_to_neighbour(good: dict[str, Path], recipe: str) -> None:
    found = check(good[recipe])
    assert found.ok is True and "4 pictures to decisions, each bit as the reference" in found.detail
    recorded = json.loads((good[recipe] / "decisions.json").read_text())["decisions"]
    assert {each["label"] for each in recorded} <= {*embedding_networks.THINGS, None}
    assert all(len(each["neighbours"]) == 2 and len(each["vector"]) == 8 for each in recorded)


def test_a_network_in_integers_is_compared_with_what_it_rounded_itself(good: dict[str, Path]) -> None:
    """The same bytes each time."""
    bundle = bundles.load(good["int8"])
    found = embedder(bundle).gallery
    assert found.labels == embedding_networks.THINGS and len(found.numbers) == 6
    floats = embedder(bundles.load(good["as-is"])).gallery.vectors
    assert 1e-4 < np.abs(found.vectors - floats).max() < 0.1
    again = made(good["int8"].parents[1] / "again", recipe="int8")
    assert (again / FILE).read_bytes() == (good["int8"] / FILE).read_bytes()


@pytest.mark.emulator
@pytest.mark.parametrize("recipe", ["as-is", "int8"])
def test_an_emulated_board_is_proven(tmp_path: Path, recipe: str) -> None:
    assert check(made(tmp_path, "rpi4", recipe)).ok is True


def test_without_a_gallery_the_vector_is_proven(tmp_path: Path) -> None:
    model = embedding_networks.written(tmp_path, embedding_networks.TASK.replace('gallery = "things"\n', ""))
    (bundle,) = compile(model, targets=["host"], out=tmp_path / "build")
    assert check(bundle.path).ok is True and not (bundle.path / FILE).exists()
    assert json.loads((bundle.path / "decisions.json").read_text())["decisions"][0]["neighbours"] == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_c_library_is_found(
    good: dict[str, Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(*FAULTS[name], tmp_path / "sources", monkeypatch)
    with pytest.raises(CheckFailed, match=r"picture [0-3]: the C library") as refused:
        made(tmp_path / "new")
    assert "\n" not in refused.value.message
    found = check(rebuilt(good["as-is"], tmp_path / "spoilt"))
    assert found.ok is False and "the C library" in found.detail and "\n" not in found.detail


def with_gallery(at: Path, manifest: dict[str, Any], gallery: Gallery) -> None:
    (at / FILE).write_bytes(gallery.packed())
    manifest["task"]["vectors"] = len(gallery.numbers)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda at, m: m["task"].update(top=1), "decides otherwise"),
        (lambda at, m: m["task"].update(threshold=1), "decides otherwise"),
        (lambda at, m: m["task"]["picture"].update(offset=[0.0] * 3), "the task makes another input"),
        (lambda at, m: with_gallery(at, m, Gallery.of(np.eye(8)[:3], list("abc"))), "decides otherwise"),
    ],
)
def test_a_wrong_task_is_found(
    good: dict[str, Path], change: Callable[[Path, dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    found = check(changed(good["as-is"], tmp_path / "wrong", change))
    assert found.ok is False and words in found.detail and "\n" not in found.detail, found.detail


def test_folders_that_make_no_gallery_are_refused(tmp_path: Path) -> None:
    model = embedding_networks.written(tmp_path)
    (tmp_path / "things" / "anna" / "0.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=re.escape("0.png")) as refused:
        compile(model, targets=["host"], out=tmp_path / "build")
    assert "\n" not in refused.value.message and not list((tmp_path / "build").glob("*"))


def test_pictures_without_direction_are_refused(tmp_path: Path) -> None:
    """A network that answers with zeros cannot be asked."""
    model = embedding_networks.written(tmp_path, embedding_networks.TASK.replace("[-1, 1]", "[0, 1]"))
    Image.new("RGB", (16, 16)).save(tmp_path / "things" / "anna" / "0.png")
    with pytest.raises(UsageError, match="vector 1, of 'anna', has no direction"):
        compile(model, targets=["host"], out=tmp_path / "build")
