"""The proof covers the way from picture to decision: faults planted there must be found, and named in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit import bundle as bundles
from edgekit.api.compile import compile
from edgekit.api.verify import verify
from edgekit.bundle import material
from edgekit.errors import CheckFailed
from edgekit.tasks.classifier import Class, Classes
from edgekit.tasks.detection import Detection
from edgekit.tasks.detector import Detections
from edgekit.tasks.parts import Outcome
from tests.api.proofs import changed, check, plant, rebuilt
from tests.tasks.task_networks import NETWORKS, written

FAULTS = {
    "red for blue": ("classification", "picture.c", "from[in->bgr ? blue : red]", "from[in->bgr ? red : blue]"),
    "no rounding": ("classification", "picture.c", "int32_t sum = (1 << (BITS - 1)) + a", "int32_t sum = a"),
    "place": ("detection", "picture.c", "p->y = (in->height - p->height) / 2;", "p->y = 0;"),
    "score": ("detection", "detection.c", "(float)c->score", "(float)(c->score * 0.999)"),
    "overlap": ("detection", "detection.c", "shared > d->overlap *", "shared > 2 * d->overlap *"),
    "no inference": ("classification", "decide.c", "status = edgekit_run(instance)", "status = EDGEKIT_OK"),
    "box": ("detection", "detection.c", "corners(c, x - w / 2.0", "corners(c, x - w / 3.0"),
}  # fmt: skip
"""Kind of task, file, and what is replaced in it."""


def made(folder: Path, kind: str, target: str = "host", **options: Any) -> Path:
    (bundle,) = compile(written(folder, kind), targets=[target], out=folder / "build", **options)
    return bundle.path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of each kind of task."""
    folder = tmp_path_factory.mktemp("sound")
    return {kind: made(folder / kind, kind) for kind in NETWORKS}


@pytest.mark.parametrize("kind", NETWORKS)
def test_sound_bundles_are_proven_from_picture_to_decision(sound: dict[str, Path], kind: str) -> None:
    found = check(sound[kind])
    assert found.ok is True and "4 pictures to decisions, each bit as the reference" in found.detail
    parity = json.loads((sound[kind] / "manifest.json").read_text())["parity"]["decision"]
    assert parity["agree"] >= 3  # a score may be on either side of the least one
    assert parity == {
        "ok": True, "samples": 4, "agree": parity["agree"], "reason": "", "what": "picture", "decider": "",
    }  # fmt: skip


def test_detections_are_made_of_the_synthesized_pictures(sound: dict[str, Path]) -> None:
    """Otherwise the proof would say little about detectors."""
    recorded = json.loads((sound["detection"] / "decisions.json").read_text())["decisions"]
    assert sum(bool(each["detections"]) for each in recorded) >= 3


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_c_library_is_found(
    sound: dict[str, Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, *fault = FAULTS[name]
    plant(*fault, tmp_path / "sources", monkeypatch)
    with pytest.raises(CheckFailed, match=r"picture [0-3]: the C library") as refused:
        made(tmp_path / "new", kind)
    assert "\n" not in refused.value.message
    found = check(rebuilt(sound[kind], tmp_path / "spoilt"))
    assert found.ok is False and "the C library" in found.detail and "\n" not in found.detail


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("classification", lambda task: task["picture"].update(fill=51), "the task makes another input: "),
        ("classification", lambda task: task["picture"].update(colors="bgr"), "golden.npz has"),
        ("classification", lambda task: task.update(top=1), "decides otherwise"),
        ("classification", lambda task: task.update(labels=["red", "blue", "gr\u00fcn"]), "decides otherwise"),
        ("classification", lambda task: task.update(scores="probabilities"), "decides otherwise"),
        ("detection", lambda task: task["head"].update(yx=not task["head"]["yx"]), "decides otherwise"),
        ("detection", lambda task: task["suppression"].update(score=0.9), "decides otherwise"),
    ],
)
def test_a_wrong_task_in_the_manifest_is_found(
    sound: dict[str, Path], kind: str, change: Callable[[dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    found = check(changed(sound[kind], tmp_path / "wrong", lambda _, manifest: change(manifest["task"])))
    assert found.ok is False and words in found.detail, found.detail


def test_pictures_of_the_data_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        size = (900, 700, 3) if number == 0 else (20 + number, 31, 3)
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(folder / f"{number}.png")
    bundle = bundles.load(made(tmp_path / "x", "classification", data=str(folder)))
    inputs, _ = bundle.golden()
    kept = bundle.material(len(inputs[0]))
    assert kept is not None and kept.rows == (0, 1) and len(inputs[0]) == 8
    assert kept.things[0].shape[0] * kept.things[0].shape[1] <= material.MOST_PIXELS
    with Image.open(folder / "1.png") as image:
        np.testing.assert_array_equal(kept.things[1], np.asarray(image))
    assert check(bundle.path).ok is True


def _nothing(bundle: Path) -> None:
    np.savez(bundle / "material.npz")
    (bundle / "decisions.json").write_text('{"schema": 1, "decisions": []}')


def _named(bundle: Path, *names: str) -> None:
    np.savez(bundle / "material.npz", allow_pickle=False, **{name: np.zeros((4, 4, 3), np.uint8) for name in names})
    (bundle / "decisions.json").write_text(json.dumps({"schema": 1, "decisions": [{}] * len(names)}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda at: (at / "material.npz").write_bytes(b"PK"), "material.npz is damaged"),
        (lambda at: (at / "decisions.json").write_text("[" * 100_000), "material.npz is damaged"),
        (lambda at: (at / "decisions.json").write_text('{"schema": 1, "decisions": []}'), "not about these 4"),
        (lambda at: (at / "decisions.json").unlink(), "material.npz is damaged"),
        (_nothing, "does not hold 1 to 4 samples"),
        (lambda at: _named(at, "picture0", "picture00"), "'picture00' is not of a golden sample"),
        (lambda at: np.savez(at / "material.npz", picture900=np.zeros((4, 4, 3), np.uint8)), "damaged"),
        (lambda at: np.savez(at / "material.npz", **_four((4, 4))), "no picture"),
        (lambda at: np.savez(at / "material.npz", **_four((0, 4, 3))), "no picture"),
        (lambda at: np.savez(at / "material.npz", **_four((1000, 1000, 3))), "over 262144 pixels"),
    ],
)
def test_damaged_material_is_refused_in_one_line(
    sound: dict[str, Path], spoil: Callable[[Path], object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckFailed, match=words) as refused:
        verify(changed(sound["classification"], tmp_path / "bad", lambda at, _: spoil(at)))
    assert "\n" not in refused.value.message


def _four(shape: tuple[int, ...]) -> dict[str, Any]:
    return {f"picture{row}": np.zeros(shape, np.uint8) for row in range(4)}


@pytest.mark.parametrize(
    ("target", "backend"),
    [
        ("rpi4", "litert"),
        pytest.param("rpi5", "tvm", marks=pytest.mark.slow),
        pytest.param("android-arm64", "first", marks=pytest.mark.slow),
        pytest.param("jetson-orin-nano", "cuda", marks=pytest.mark.slow),
    ],
)
@pytest.mark.emulator
def test_boards_in_emulators_are_proven(target: str, backend: str, tmp_path: Path) -> None:
    found = check(made(tmp_path, "detection", target, backend=backend))
    assert found.ok is True and "each bit as the reference" in found.detail


@pytest.mark.emulator
def test_microcontrollers_say_that_it_is_not_covered(tmp_path: Path) -> None:
    path = made(tmp_path, "classification", "nucleo-l4r5zi")
    found = check(path)
    assert found.ok is None and "not executed" in found.detail and "emulator runs the network" in found.detail
    assert json.loads((path / "manifest.json").read_text())["parity"]["decision"]["ok"] is None


def _boxes(*rows: tuple[int, float]) -> Detections:
    return Detections(tuple(Detection(n, str(n), 0.5, left, 0.0, left + 10, 10.0) for n, left in rows))


def _classes(*rows: tuple[int, float]) -> Classes:
    return Classes(tuple(Class(number, str(number), score) for number, score in rows))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (_boxes((0, 0)), _boxes((0, 1)), True),
        (_boxes((0, 0)), _boxes((0, 6)), False),
        (_boxes((0, 0)), _boxes((1, 0)), False),
        (_boxes((0, 0), (0, 1)), _boxes((0, 0)), False),
        (_boxes((0, 0)), _boxes((0, 0), (0, 1)), False),
        (_boxes((0, 0), (0, 1)), _boxes((0, 0), (0, 30)), False),
        (_boxes(), _boxes(), True),
        (_classes((1, 0.9), (0, 0.1)), _classes((1, 0.5), (2, 0.5)), True),
        (_classes((1, 0.9)), _classes((0, 0.9)), False),
    ],
)
def test_what_counts_as_the_same_decision(first: Outcome, second: Outcome, same: bool) -> None:
    assert first.agrees(second) is same
