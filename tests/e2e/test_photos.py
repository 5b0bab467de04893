"""From photos to decisions: compiled with a task, run by the command line, in C and in Python, with one result."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit import resources, target
from edgekit.backends import runner_build
from edgekit.errors import ToolMissing
from edgekit.graph import tflite
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.e2e.command import edgekit, refused
from tests.tasks.task_networks import CLASSIFIER_TASK, weighing

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
LINUX = resources.folder("firmware_stubs") / "linux"
SIDE, CLASSES = 12, 3
SIZES = {
    "a.png": (40, 30),
    "b.png": (12, 12),
    "c.png": (9, 31),
    "d.png": (70, 64),
    "e.png": (25, 25),
    "f.png": (13, 90),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that tells the reddest picture from the greenest, photos, and a task beside the model."""
    folder = tmp_path_factory.mktemp("task")
    random = np.random.default_rng(2)
    weights = np.tile(np.eye(3), (1, SIDE * SIDE)) / 90 + random.normal(0, 0.01, (CLASSES, SIDE * SIDE * 3))
    tflite.write(weighing(SIDE, weights), folder / "model.tflite")
    (folder / "task.toml").write_text(CLASSIFIER_TASK)
    (folder / "photos").mkdir()
    for name, (width, height) in SIZES.items():
        pixels = random.integers(0, 256, (height, width, 3)) * random.uniform(0.3, 1, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / name)
    return folder


@pytest.fixture(scope="module", params=["float", "int8"])
def bundle(place: Path, request: pytest.FixtureRequest) -> Path:
    recipe = [] if request.param == "float" else ["--recipe", "int8"]
    options = ["--target", "host", "--backend", "c99", "--data", place / "photos", "--out", place / "build", "--json"]
    (made,) = edgekit("compile", place / "model.tflite", *options, *recipe).json["bundles"]
    return Path(made["path"])


def decided(bundle: Path, photos: Path) -> dict[str, list[tuple[str, float]]]:
    """What ``edgekit run`` decides, by picture."""
    found = edgekit("run", bundle, "--data", photos, "--json").json["decisions"]
    return {one["sample"]: [(c["label"], c["score"]) for c in one["classes"]] for one in found}


def test_run_prints_decisions(bundle: Path, place: Path) -> None:
    done = edgekit("run", bundle, "--data", place / "photos")
    lines = [line for line in done.out.splitlines() if line.startswith(tuple(SIZES))]
    assert [line.split(":")[0] for line in lines] == list(SIZES)
    assert all(
        re.fullmatch(r"\S+: (red|gr\u00fcn|blue) [\d.e-]+, (red|gr\u00fcn|blue) [\d.e-]+", line) for line in lines
    )
    found = decided(bundle, place / "photos")
    assert len({classes[0][0] for classes in found.values()}) > 1  # the pictures matter
    for name, classes in found.items():
        pixels = np.asarray(Image.open(place / "photos" / name)).mean(axis=(0, 1)) / [0.2, 0.25, 0.3]
        assert len(classes) == 2 and classes[0][1] >= classes[1][1]
        assert classes[0][0] in np.array(["red", "gr\u00fcn", "blue"])[np.argsort(pixels)[1:]]
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["task"]["picture"]["fit"] == "letterbox"
    checks = edgekit("verify", bundle, "--json").json["checks"]
    assert {"name": "task", "ok": True, "detail": "classification, for this network"} in checks


def test_decisions_as_lines(bundle: Path, place: Path, tmp_path: Path) -> None:
    lines = tmp_path / "decisions.jsonl"
    assert edgekit("run", bundle, "--data", place / "photos", "--decisions", lines).code == 0
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    assert found == edgekit("run", bundle, "--data", place / "photos", "--json").json["decisions"]
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["task"]
    shutil.copytree(bundle, tmp_path / "b")
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    refused(edgekit("run", tmp_path / "b", "--decisions", tmp_path / "none"), 2, "the bundle has no task")
    assert not (tmp_path / "none").exists()


def test_a_damaged_task_is_found(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "b")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["task"]["labels"].append("one more")
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    refused(edgekit("verify", tmp_path / "b"), 5, "model", "4 labels for 3 classes")
    refused(edgekit("run", tmp_path / "b"), 5, "4 labels for 3 classes")


def test_python_on_the_board_decides_the_same(bundle: Path, place: Path, tmp_path: Path) -> None:
    """The very bits of the input, and the decisions."""
    (tmp_path / "board.py").write_text(
        """
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image
from edgekit_runtime import Network
network, made = Network(sys.argv[1]), {}
for path in sorted(Path(sys.argv[2]).iterdir()):
    classes = network.classify(Image.open(path).convert("RGB"))
    made[path.name] = [[one.label, one.score] for one in classes], network.input(0).tobytes().hex()
print(json.dumps(made))
"""
    )
    library = runner_build.library(platform.machine()).path
    env = {**os.environ, "PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library)}
    command = [sys.executable, tmp_path / "board.py", bundle, place / "photos"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = decided(bundle, place / "photos")
    inputs = packed_inputs(bundle, place / "photos")
    for number, (name, (classes, bits)) in enumerate(json.loads(done.stdout).items()):
        assert [label for label, _ in classes] == [label for label, _ in expected[name]]
        assert [score for _, score in classes] == pytest.approx([score for _, score in expected[name]], abs=1e-6)
        assert bits == inputs[number].tobytes().hex(), name


def packed_inputs(bundle: Path, photos: Path) -> np.ndarray:
    """The inputs that the reference makes of the photos, in the network's type."""
    from edgekit import bundle as bundles
    from edgekit.data import dataset

    with bundles.opened(bundle) as opened:
        (made,) = dataset.as_network_inputs(dataset.load(str(photos), opened.graph, task=opened.task), opened.graph)
    return made


def program(compiler: str, library: Path, folder: Path) -> Path:
    blocks = re.findall(r"^```c\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (code,) = (block for block in blocks if "Usage: decide" in block)
    (folder / "decide.c").write_text(code)
    shutil.copyfile(library, folder / "libedgekit.so.1")
    (folder / "libedgekit.so").symlink_to("libedgekit.so.1")
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", f"-I{LINUX}", f"-L{folder}"]
    subprocess.run([compiler, *flags, folder / "decide.c", "-o", folder / "decide", "-ledgekit"], check=True)
    return folder / "decide"


def decides(expected: dict[str, list[tuple[str, float]]], photos: Path, folder: Path, *command: str | Path) -> None:
    """Run the documentation's program on each photo."""
    env = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    for name, classes in expected.items():
        Image.open(photos / name).save(folder / "photo.ppm")
        done = subprocess.run([*command, folder / "photo.ppm"], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        rows = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
        assert [label for label, _ in rows] == [label for label, _ in classes]
        assert [float(score) for _, score in rows] == pytest.approx([score for _, score in classes], abs=2e-6)


def test_c_on_the_board_decides_the_same(bundle: Path, place: Path, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    made = program("gcc", runner_build.library(platform.machine()).path, tmp_path)
    decides(decided(bundle, place / "photos"), place / "photos", tmp_path, made, bundle)


@pytest.mark.emulator
def test_an_emulated_pi_decides_the_same(place: Path, tmp_path: Path) -> None:
    options = ["--target", "rpi4", "--recipe", "int8", "--data", place / "photos", "--out", tmp_path / "b", "--json"]
    try:
        emulator, root = tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi4"))
        made = program("aarch64-linux-gnu-gcc", runner_build.library("aarch64").path, tmp_path)
    except (ToolMissing, FileNotFoundError) as error:
        pytest.skip(str(error))
    (bundle,) = edgekit("compile", place / "model.tflite", *options).json["bundles"]
    expected = decided(Path(bundle["path"]), place / "photos")
    run = [emulator, "-cpu", "cortex-a72", "-L", root, "-E", f"LD_LIBRARY_PATH={tmp_path}", made, bundle["path"]]
    decides(dict(list(expected.items())[:3]), place / "photos", tmp_path, *run)


def test_tasks_that_do_not_fit_are_refused(place: Path, tmp_path: Path) -> None:
    shutil.copyfile(place / "model.tflite", tmp_path / "model.tflite")
    (tmp_path / "other.toml").write_text(CLASSIFIER_TASK.replace('"blue"', '"blue", "black"'))
    command = ["compile", tmp_path / "model.tflite", "--target", "host", "--out", tmp_path / "b"]
    refused(edgekit(*command, "--task", tmp_path / "other.toml"), 2, "there are 4 labels for 3 classes")
    refused(edgekit(*command, "--task", tmp_path / "none.toml"), 2, "none.toml", "cannot be read")


def test_pictures_that_cannot_be_decoded_are_refused(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"no picture")
    refused(edgekit("run", bundle, "--data", tmp_path), 2, "photo.png", "not an image that can be read")


def test_without_a_task_the_library_says_so(place: Path, tmp_path: Path) -> None:
    shutil.copyfile(place / "model.tflite", tmp_path / "model.tflite")
    options = ["--target", "host", "--backend", "c99", "--out", tmp_path / "b", "--json"]
    (made,) = edgekit("compile", tmp_path / "model.tflite", *options).json["bundles"]
    code = f"""
import numpy as np
from edgekit_runtime import Error, Network
try:
    Network({made["path"]!r}).classify(np.zeros((4, 4, 3), np.uint8))
except Error as error:
    assert error.status == 2 and "the bundle has no task" in str(error), error
else:
    raise AssertionError
"""
    library = runner_build.library(platform.machine()).path
    env = {**os.environ, "PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
