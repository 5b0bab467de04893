"""From photos to masks: a network compiled with a task, judged on true masks, run and drawn by the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as reference
from PIL import Image

from tests.e2e.command import edgekit, refused
from tests.tasks.task_networks import written

SIZES = {"a": (64, 48), "b": (32, 32), "c": (40, 100)}
COLORS = np.array([[20, 20, 20], [220, 30, 30], [30, 220, 30], [30, 30, 220]], np.uint8)
VOID = 255


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network, pictures of colored rectangles, and their masks, in which a part is wrong and another left out."""
    folder = tmp_path_factory.mktemp("masks")
    written(folder, "segmentation")
    (folder / "photos" / "images").mkdir(parents=True)
    (folder / "photos" / "masks").mkdir()
    rng = np.random.default_rng(4)
    for name, (width, height) in SIZES.items():
        mask = np.zeros((height, width), np.uint8)
        for _ in range(5):
            x, y = rng.integers(0, width), rng.integers(0, height)
            mask[y : y + height // 3, x : x + width // 3] = rng.integers(0, 4)
        Image.fromarray(COLORS[mask]).save(folder / "photos" / "images" / f"{name}.png")
        mask[:3] = 2
        mask[:, -4:] = VOID
        Image.fromarray(mask).save(folder / "photos" / "masks" / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def bundle(place: Path) -> dict[str, object]:
    options = ["--target", "host", "--recipe", "int8", "--data", place / "photos", "--metric", "miou", "--json"]
    document = edgekit("compile", place / "model.tflite", *options, "--out", place / "build").json
    found: dict[str, object] = document["bundles"][0]
    return found


def masks(bundle: dict[str, object], photos: Path, to: Path) -> dict[str, np.ndarray]:
    """The mask of each picture, from the lines of JSON."""
    assert edgekit("run", str(bundle["path"]), "--data", photos, "--decisions", to).code == 0
    found = {}
    for line in to.read_text().splitlines():
        document = json.loads(line)
        mask = document["mask"]
        runs = np.array(mask["runs"])
        found[document["sample"]] = np.repeat(runs[:, 0], runs[:, 1]).reshape(mask["height"], mask["width"])
    return found


def test_mean_iou_is_scikit_learns(place: Path, bundle: dict[str, object], tmp_path: Path) -> None:
    found = masks(bundle, place / "photos", tmp_path / "lines")
    truth, predicted = [], []
    for name, mask in found.items():
        with Image.open(place / "photos" / "masks" / Path(name).name) as image:
            true = np.asarray(image)
        assert mask.shape == true.shape
        truth.append(true[true != VOID])
        predicted.append(mask[true != VOID])
    expected = reference.jaccard_score(
        np.concatenate(truth), np.concatenate(predicted), labels=[0, 1, 2, 3], average="macro"
    )
    (judged,) = bundle["metrics"]  # type: ignore[misc]
    assert judged["name"] == "miou" and judged["samples"] == 3
    assert judged["after"]["value"] == pytest.approx(expected) and 0.3 < expected < 0.98


def test_what_run_prints(place: Path, bundle: dict[str, object]) -> None:
    out = edgekit("run", str(bundle["path"]), "--data", place / "photos" / "images").out
    lines = {line.split(":")[0]: line for line in out.splitlines() if ".png:" in line}
    assert set(lines) == {"a.png", "b.png", "c.png"}
    assert "red" in "".join(lines.values()) and "unseen 60.0%" in lines["c.png"]  # the crop sees 40 of 100 rows


def test_masks_are_drawn(place: Path, bundle: dict[str, object], tmp_path: Path) -> None:
    photos = place / "photos" / "images"
    found = masks(bundle, photos, tmp_path / "lines")
    assert edgekit("run", str(bundle["path"]), "--data", photos, "--draw", tmp_path / "drawn").code == 0
    for name, mask in found.items():
        with Image.open(photos / name) as before, Image.open(tmp_path / "drawn" / name) as after:
            given, drawn = np.asarray(before).astype(int), np.asarray(after).astype(int)
        np.testing.assert_array_equal(drawn[mask == VOID], given[mask == VOID])
        added = 2 * drawn - given
        for number in set(np.unique(mask)) - {VOID}:
            assert np.ptp(added[mask == number], axis=0).max() <= 1, (name, number)  # one color, halved


def test_masks_that_do_not_fit_are_refused(place: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for folder in ("images", "masks"):
        (photos / folder).mkdir(parents=True)
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(photos / "images" / "a.png")
    command = ["compile", place / "model.tflite", "--target", "host", "--out", tmp_path / "build", "--data", photos]
    mask = photos / "masks" / "a.png"
    refused(edgekit(*command), 2, "a.png: cannot be read: No such file")
    for values, words in (
        (np.zeros((8, 8), np.uint8), "the mask has 8 x 8 pixels, its picture 9 x 8"),
        (np.full((8, 9), 4, np.uint8), "the mask has the class 4, but the network has 4"),
        (np.zeros((8, 9, 3), np.uint8), "a mask is grey or has a palette"),
    ):
        Image.fromarray(values).save(mask)
        refused(edgekit(*command), 2, words)
    mask.unlink()
    os.mkfifo(mask)
    refused(edgekit(*command), 2, "a.png: cannot be read: it is not a file")
    mask.unlink()
    mask.touch()
    os.truncate(mask, 1 << 33)
    refused(edgekit(*command), 2, "an image of over 256 MiB is too large to read")
    mask.write_bytes(b"GIF89a")
    refused(edgekit(*command), 2, "not an image that can be read")
    Image.fromarray(np.full((8, 9), VOID, np.uint8)).save(mask)
    refused(edgekit(*command, "--metric", "miou"), 2, "not defined on these samples")
    (tmp_path / "plain.tflite").write_bytes((place / "model.tflite").read_bytes())
    refused(edgekit("compile", tmp_path / "plain.tflite", *command[2:]), 2, "masks are for segmentation")


def test_palettes_are_numbers(place: Path, tmp_path: Path) -> None:
    """As in PASCAL VOC: the bytes are classes, whatever their colors."""
    photos = tmp_path / "photos"
    for folder in ("images", "masks"):
        (photos / folder).mkdir(parents=True)
    Image.fromarray(np.full((8, 8, 3), COLORS[1])).save(photos / "images" / "a.png")
    mask = Image.fromarray(np.ones((8, 8), np.uint8)).convert("P")
    mask.putpalette([7] * 768)
    mask.save(photos / "masks" / "a.png")
    command = ["compile", place / "model.tflite", "--target", "host", "--out", tmp_path / "build", "--data", photos]
    (made,) = edgekit(*command, "--metric", "miou", "--json").json["bundles"]
    assert made["metrics"][0]["after"]["value"] == 1
