"""From photos to boxes: a detector compiled with a task, run and judged by the command line, in C and in Python."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit import resources, target
from edgekit.api.measuring import drops_checked
from edgekit.backends import runner_build
from edgekit.compression import budget
from edgekit.errors import CheckFailed, ToolMissing
from edgekit.graph import Graph, tflite
from edgekit.metrics.tasks.registry import Judged
from edgekit.metrics.tasks.tally import Comparison, Score
from edgekit.passes import recipe
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.e2e.command import edgekit, refused
from tests.tasks.task_networks import CELL, CELLS_TASK, SIDE, detector

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
LINUX = resources.folder("firmware_stubs") / "linux"
TASK = f"{CELLS_TASK}anchors = [[[{CELL}, {CELL}]]]\n"
SIZES = {"a.png": (64, 48), "b.png": (32, 32), "c.png": (100, 200), "d.png": (50, 40)}
MARKS = {
    "a.png": [("red", 1, 1), ("blue", 2, 3)], "b.png": [("blue", 0, 0), ("red", 3, 3), ("red", 0, 2)],
    "c.png": [("red", 2, 1)], "d.png": [],
}  # fmt: skip
"""The row and column of each colored cell, in the network's input."""


def network() -> Graph:
    """Sees a cell's color: boxes are the anchors, which are the cells."""
    return detector(box=(0, 0, 0, 0))


def true_box(size: tuple[int, int], row: int, column: int) -> list[float]:
    """A cell in the picture's pixels, cut at its edges."""
    scale = SIDE / max(size)
    left, top = (SIDE - round(size[0] * scale)) // 2, (SIDE - round(size[1] * scale)) // 2
    box = [(column * CELL - left) / scale, (row * CELL - top) / scale]
    box += [box[0] + CELL / scale, box[1] + CELL / scale]
    return [min(max(v, 0.0), float(size[i % 2])) for i, v in enumerate(box)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network, photos, and annotations of both kinds."""
    folder = tmp_path_factory.mktemp("detection")
    tflite.write(network(), folder / "model.tflite")
    (folder / "task.toml").write_text(TASK)
    for name in ("photos", "yolo", "yolo/images", "yolo/labels"):
        (folder / name).mkdir()
    found: list[dict[str, Any]] = []
    for number, (name, size) in enumerate(SIZES.items()):
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        lines = []
        for color, row, column in MARKS[name]:
            x0, y0, x1, y1 = true_box(size, row, column)
            pixels[round(y0) : round(y1), round(x0) : round(x1), 0 if color == "red" else 2] = 255
            found.append({"id": len(found) + 1, "image_id": number, "category_id": 7 if color == "red" else 3,
                          "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0})  # fmt: skip
            x, y, w, h = (x0 + x1) / 2 / size[0], (y0 + y1) / 2 / size[1], (x1 - x0) / size[0], (y1 - y0) / size[1]
            lines.append(f"{0 if color == 'red' else 1} {x} {y} {w} {h}\n")
        for place in (folder / "photos", folder / "yolo" / "images"):
            Image.fromarray(pixels).save(place / name)
        if lines:
            (folder / "yolo" / "labels" / name).with_suffix(".txt").write_text("".join(lines))
    images = [{"id": i, "file_name": n, "width": s[0], "height": s[1]} for i, (n, s) in enumerate(SIZES.items())]
    document = {
        "images": images, "annotations": found,
        "categories": [{"id": 3, "name": "blue"}, {"id": 7, "name": "red"}],
    }  # fmt: skip
    (folder / "photos" / "boxes.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="module", params=["as-is", "int8"])
def bundle(place: Path, request: pytest.FixtureRequest) -> Path:
    metrics = ["--metric", "ap50", "--metric", "ap50-95", "--budget", "metric-drop=0.05"]
    data = place / ("photos/boxes.json" if request.param == "int8" else "yolo")
    options = ["--target", "host", "--backend", "c99", "--data", data, "--out", place / "build", "--json", *metrics]
    (made,) = edgekit("compile", place / "model.tflite", *options, "--recipe", request.param).json["bundles"]
    assert [row["name"] for row in made["metrics"]] == ["ap50", "ap50-95"]
    for row in made["metrics"]:
        assert row["before"]["value"] > 0.999 and row["after"]["value"] > 0.95, row
        assert row["after"]["low"] <= row["after"]["value"] <= row["after"]["high"]
    return Path(made["path"])


def found(bundle: Path, photos: Path) -> dict[str, list[dict[str, Any]]]:
    """What ``edgekit run`` finds, by picture."""
    decided = edgekit("run", bundle, "--data", photos, "--json").json["decisions"]
    return {one["sample"]: one["detections"] for one in decided}


def test_boxes_are_where_the_marks_are(bundle: Path, place: Path) -> None:
    made = found(bundle, place / "photos")
    assert list(made) == list(SIZES)
    for name, rows in made.items():
        expected = sorted((color, *true_box(SIZES[name], row, column)) for color, row, column in MARKS[name])
        boxes = sorted((r["label"], r["left"], r["top"], r["right"], r["bottom"]) for r in rows)
        assert [box[0] for box in boxes] == [box[0] for box in expected]
        np.testing.assert_allclose([b[1:] for b in boxes], [b[1:] for b in expected], atol=1.5)
        assert all(row["score"] > 0.9 for row in rows)


def test_run_prints_and_draws(bundle: Path, place: Path, tmp_path: Path) -> None:
    lines, drawn = tmp_path / "found.jsonl", tmp_path / "drawn"
    done = edgekit("run", bundle, "--data", place / "photos", "--decisions", lines, "--draw", drawn)
    printed = [line for line in done.out.splitlines() if line.startswith(tuple(SIZES))]
    assert re.fullmatch(r"c\.png: red [\d.]+ at 0 100 50 150", printed[2]) and printed[3] == "d.png: nothing"
    kept = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {one["sample"]: one["detections"] for one in kept} == found(bundle, place / "photos")
    assert sorted(path.name for path in drawn.iterdir()) == list(SIZES)
    before, after = (np.asarray(Image.open(folder / "c.png").convert("RGB")) for folder in (place / "photos", drawn))
    assert after.shape == before.shape and not np.array_equal(after, before)
    assert np.array_equal(after[110:140, 10:40], before[110:140, 10:40])  # inside the box nothing is drawn
    np.testing.assert_array_equal(
        np.asarray(Image.open(drawn / "d.png")), np.asarray(Image.open(place / "photos/d.png"))
    )
    refused(edgekit("run", bundle, "--data", place / "photos", "--draw", drawn), 2, "there is something already")
    refused(edgekit("run", bundle, "--draw", tmp_path / "none"), 2, "--draw needs pictures")


def test_python_on_the_board_finds_the_same_bits(bundle: Path, place: Path, tmp_path: Path) -> None:
    (tmp_path / "board.py").write_text(
        """
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image
from edgekit_runtime import Error, Network
network, made = Network(sys.argv[1]), {}
try:
    network.classify(np.zeros((4, 4, 3), np.uint8))
except Error as error:
    assert error.status == 2 and "call edgekit_detections" in str(error), error
for path in sorted(Path(sys.argv[2]).glob("*.png")):
    made[path.name] = [one._asdict() for one in network.detect(Image.open(path).convert("RGB"))]
print(json.dumps(made))
"""
    )
    library = runner_build.library(platform.machine()).path
    env = {**os.environ, "PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library)}
    command = [sys.executable, tmp_path / "board.py", bundle, place / "photos"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == found(bundle, place / "photos")


@pytest.mark.emulator
def test_an_emulated_pi_finds_the_same(place: Path, tmp_path: Path) -> None:
    """The program of docs/tasks.md."""
    options = ["--target", "rpi5", "--recipe", "int8", "--data", place / "photos", "--out", tmp_path / "b", "--json"]
    try:
        emulator, root = tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi5"))
        library = runner_build.library("aarch64").path
    except (ToolMissing, FileNotFoundError) as error:
        pytest.skip(str(error))
    (bundle,) = edgekit("compile", place / "model.tflite", *options).json["bundles"]
    blocks = re.findall(r"^```c\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (code,) = (block for block in blocks if "edgekit_detections" in block)
    (tmp_path / "find.c").write_text(code)
    shutil.copyfile(library, tmp_path / "libedgekit.so.1")
    (tmp_path / "libedgekit.so").symlink_to("libedgekit.so.1")
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", f"-I{LINUX}", f"-L{tmp_path}"]
    subprocess.run(
        ["aarch64-linux-gnu-gcc", *flags, tmp_path / "find.c", "-o", tmp_path / "find", "-ledgekit"], check=True
    )
    run = [emulator, "-cpu", "cortex-a76", "-L", root, "-E", f"LD_LIBRARY_PATH={tmp_path}", tmp_path / "find"]
    for name, rows in found(Path(bundle["path"]), place / "photos").items():
        Image.open(place / "photos" / name).save(tmp_path / "photo.ppm")
        done = subprocess.run(
            [*run, bundle["path"], tmp_path / "photo.ppm"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        sides = ("left", "top", "right", "bottom")
        expected = [f"{r['label']} {r['score']:.9g} " + " ".join(f"{r[s]:.9g}" for s in sides) for r in rows]
        assert done.stdout.splitlines() == expected, name


def compiled(place: Path, data: Path, out: Path, *more: str) -> Any:
    return edgekit("compile", place / "model.tflite", "--target", "host", "--data", data, "--out", out, *more)


def test_labels_that_do_not_match_are_refused(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "yolo", tmp_path / "yolo")
    document = json.loads((place / "photos" / "boxes.json").read_text())
    (tmp_path / "yolo" / "classes.txt").write_text("red\ngreen\n")
    refused(compiled(place, tmp_path / "yolo", tmp_path / "b"), 2, "class 'green' is not among the task's labels")
    (tmp_path / "yolo" / "classes.txt").unlink()
    (tmp_path / "yolo" / "labels" / "a.txt").write_text("2 0.5 0.5 0.1 0.1\n")
    refused(compiled(place, tmp_path / "yolo", tmp_path / "b"), 2, "line 1 has the class 2, but there are 2")
    (tmp_path / "yolo" / "labels" / "a.txt").write_text("1 0.5 0.5 x\n")
    refused(compiled(place, tmp_path / "yolo", tmp_path / "b"), 2, "is not a class and four shares")
    for change, words in (
        ({"categories": [{"id": 3, "name": "blue"}, {"id": 7, "name": "rot"}]}, "'rot' is not among"),
        ({"images": [{"id": 0, "file_name": "../photos/a.png"}]}, "is not beside it"),
        ({"images": [{"id": 0, "file_name": "z.png"}]}, "is in none of"),
        ({"categories": []}, "there is no category 7"),
        ({"images": 3}, "no annotations of COCO's form"),
    ):
        changed = place / "photos" / "changed.json"
        changed.write_text(json.dumps({**document, **change}))
        refused(compiled(place, changed, tmp_path / "b"), 2, words)
        changed.unlink()
    assert not (tmp_path / "b").exists() or not any((tmp_path / "b").iterdir())


def test_metrics_without_boxes_are_refused(place: Path, tmp_path: Path) -> None:
    none = "needs to know what is right"
    refused(compiled(place, place / "photos", tmp_path / "b", "--metric", "ap50"), 2, none)
    refused(compiled(place, place / "photos", tmp_path / "b", "--budget", "metric-drop=1"), 2, "name one with --metric")
    refused(compiled(place, place / "photos", tmp_path / "b", "--budget", "size=1kB"), 2, "is not for compile")
    shutil.copyfile(place / "model.tflite", tmp_path / "model.tflite")
    refused(compiled(tmp_path, place / "yolo", tmp_path / "b"), 2, "boxes are for detectors")
    (tmp_path / "task.toml").write_text(TASK.replace('"blue"', '"blue", "green"'))
    refused(compiled(tmp_path, place / "yolo", tmp_path / "b"), 2, "needs outputs [1, 16, 7]", "[[1, 4, 4, 6]]")


def test_a_recipe_that_costs_too_much_is_refused() -> None:
    drop = Comparison(Score(0.9, 0.8, 1), Score(0.5, 0.4, 0.6), Score(0.4, 0.3, 0.5), 10)
    judged, plan = [Judged("ap50", True, drop)], recipe.load("as-is")
    drops_checked(budget.parse(["metric-drop=0.4"]), judged, plan)
    with pytest.raises(CheckFailed, match=r"costs 0\.4 of ap50 \(0\.3 to 0\.5\), more than metric-drop=0\.39"):
        drops_checked(budget.parse(["metric-drop=0.39"]), judged, plan)
