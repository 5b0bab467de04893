"""Bundles whose task was damaged: the runtime library refuses them, or decides, without a sanitizer's complaint."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from c_programs import ENVIRONMENT, SANITIZE, runtime_driver

from edgekit.graph import Graph, tflite
from edgekit.tasks.gallery import FILE as GALLERY
from edgekit.tasks.text import FILE as TOKENS
from tests.e2e.command import edgekit
from tests.networks import hearing, tabular
from tests.networks.small import Builder
from tests.tasks import embedding_networks, task_networks, tokenizer_files
from tests.tasks.text_networks import averaging

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

CLASSIFICATION = """schema = 1
task = "classification"
labels = ["a", "b", "c"]
[picture]
fit = "crop"
"""
DETECTION = """schema = 1
task = "detection"
labels = ["a", "b"]
[head]
boxes = "ssd"
cells = [2]
anchors = [[[2, 2]]]
"""
TEXT = """schema = 1
task = "text-classification"
labels = ["go", "stop", "wait"]
top = 2
"""


def seeing(shape: tuple[int, ...]) -> Graph:
    """Takes small pictures; each number of its output is the sum of all pixels."""
    count = int(np.prod(shape))
    b = Builder()
    x = b.tensor((1, 4, 4, 3), name="x")
    order = b.constant(np.array([1, 48], np.int32))
    flat = b.add("RESHAPE", (x, order), (1, 48), options="Reshape", newShape=[1, 48])
    parts = (flat, b.constant(np.ones((count, 48), np.float32)), b.constant(np.zeros(count, np.float32)))
    y = b.add("FULLY_CONNECTED", parts, (1, count), options="FullyConnected")
    if len(shape) > 2:
        y = b.add("RESHAPE", (y, b.constant(np.array(shape, np.int32))), shape, options="Reshape", newShape=[*shape])
    return b.graph((x,), (y,))


def written(graph: Callable[[], Graph], task: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        tflite.write(graph(), folder / "model.tflite")
        (folder / "task.toml").write_text(task)

    return write


def reading(folder: Path) -> None:
    """Takes texts; its tokenizer lies beside it."""
    document = tokenizer_files.bert()
    written(lambda: averaging(len(document["model"]["vocab"])), TEXT)(folder)
    (folder / "tokenizer.json").write_text(json.dumps(document))


KINDS: dict[str, Callable[[Path], object]] = {
    "classification": written(lambda: seeing((1, 3)), CLASSIFICATION),
    "detection": written(lambda: seeing((1, 4, 6)), DETECTION),
    "segmentation": lambda folder: task_networks.written(folder, "segmentation"),
    "keyword": lambda folder: hearing.written(folder, "keyword"),
    "anomaly": lambda folder: hearing.written(folder, "anomaly"),
    "regression": lambda folder: tabular.written(folder, "regression"),
    "text": reading,
    "embedding": embedding_networks.written,
}


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runtime_driver(tmp_path_factory.mktemp("sanitized"), *SANITIZE, "-Wno-format-truncation")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a bundle of each kind once."""
    folder = tmp_path_factory.mktemp("bundles")

    def bundle(kind: str) -> Path:
        place = folder / kind
        if not place.exists():
            place.mkdir()
            KINDS[kind](place)
            options = ("--target", "host", "--backend", "c99", "--out", place, "--json")
            (made,) = edgekit("compile", place / "model.tflite", *options).json["bundles"]
            (place / "bundle").symlink_to(made["path"])
        return place / "bundle"

    return bundle


def damaged(sanitized: Path, bundle: Path, file: str, count: int, *more: str) -> tuple[int, int]:
    """How often a bundle was refused, and how often it decided, after a file of it was damaged."""
    command = [sanitized, "damaged", bundle, bundle / file, str(count), "3", *more]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    refused, decided = map(int, done.stdout.split())
    return refused, decided


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_tasks_are_refused_or_decide(
    sanitized: Path, bundles: Callable[[str], Path], kind: str, tmp_path: Path
) -> None:
    """Of a manifest with little else in it."""
    bundle = tmp_path / "bundle"
    shutil.copytree(bundles(kind), bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    small = {key: manifest[key] for key in ("schema", "execution", "inputs", "outputs", "task")}
    needed = ("artifact/network.so", TOKENS, GALLERY)
    small["files"] = {name: entry for name, entry in manifest["files"].items() if name in needed}
    (bundle / "manifest.json").write_text(json.dumps(small))
    refused, decided = damaged(sanitized, bundle, "manifest.json", 1500)
    assert 750 < refused < 1500 and 5 < decided <= 1500 - refused


@pytest.mark.parametrize("kind", KINDS)
def test_whole_bundles_with_a_damaged_manifest(
    sanitized: Path, bundles: Callable[[str], Path], kind: str, tmp_path: Path
) -> None:
    shutil.copytree(bundles(kind), tmp_path / "bundle")
    refused, decided = damaged(sanitized, tmp_path / "bundle", "manifest.json", 150)
    assert 50 < refused < 150 and 0 < decided <= 150 - refused


@pytest.mark.parametrize(("kind", "file"), [("text", TOKENS), ("embedding", GALLERY)])
def test_damaged_files_of_tasks_are_refused_or_serve(
    sanitized: Path, bundles: Callable[[str], Path], kind: str, file: str, tmp_path: Path
) -> None:
    """Where nobody compares their digests: else, each of them is refused for that."""
    shutil.copytree(bundles(kind), tmp_path / "bundle")
    refused, decided = damaged(sanitized, tmp_path / "bundle", file, 500, "unchecked")
    assert 100 < refused < 500 and decided == 500 - refused
    assert damaged(sanitized, tmp_path / "bundle", file, 20) == (20, 0)
