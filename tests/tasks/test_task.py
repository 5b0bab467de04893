"""Tasks: what task.toml may say, what is refused and how, and what the manifest keeps."""

from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Graph, Quantization, Tensor
from edgekit.tasks import task
from edgekit.tasks.classifier import Class, Classes, Classifier
from edgekit.tasks.decisions import Decision
from edgekit.tasks.labels import Scores, label
from edgekit.tasks.picture import Colors, Fit, Picture
from edgekit.tasks.task import Task
from tests.networks.small import Builder

GOOD = """schema = 1
task = "classification"
labels = ["cat", "dog", "cow", "owl"]
top = 2
scores = "logits"

[picture]
fit = "crop"
short = 40
colors = "bgr"
mean = [0.5, 0.25, 0]
std = [0.5, 1, 2]
"""


def network(shape: tuple[int, ...] = (1, 32, 24, 3), outputs: tuple[int, ...] = (1, 4)) -> Graph:
    b = Builder()
    x = b.tensor(shape, name="x")
    return b.graph((x,), (b.add("NONE", (x,), outputs),))


def read(folder: Path, text: str, graph: Graph | None = None) -> Task:
    (folder / "task.toml").write_text(text)
    return task.read(folder / "task.toml", graph or network())


def parts(found: Task) -> tuple[Picture, Classifier]:
    assert isinstance(found.source, Picture) and isinstance(found.decider, Classifier)
    return found.source, found.decider


def test_all_keys(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    picture, classifier = parts(found)
    assert found.kind == "classification"
    assert classifier == Classifier(("cat", "dog", "cow", "owl"), 2, Scores.LOGITS)
    assert (picture.fit, picture.short, picture.colors) == (Fit.CROP, 40, Colors.BGR)
    assert picture.scale == tuple(float(np.float32(v)) for v in (2 / 255, 1 / 255, 0.5 / 255))
    assert picture.offset == (-1.0, -0.25, 0.0)


def test_defaults(tmp_path: Path) -> None:
    picture, classifier = parts(read(tmp_path, 'schema = 1\ntask = "classification"\n'))
    assert picture == Picture(Fit.STRETCH, Colors.RGB, (float(np.float32(1 / 255)),) * 3, (0.0,) * 3)
    assert classifier == Classifier((), 1, Scores.PROBABILITIES) and label(classifier.labels, 3) == "3"
    ranged, _ = parts(read(tmp_path, 'schema = 1\ntask = "classification"\n[picture]\nrange = [-1, 1]\n'))
    assert ranged.scale == (float(np.float32(2 / 255)),) * 3 and ranged.offset == (-1.0,) * 3
    grey, _ = parts(read(tmp_path, 'schema = 1\ntask = "classification"\n', network((1, 1, 8, 9))))
    assert grey.colors is Colors.GREY and len(grey.scale) == 1


def test_labels_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\n\n cow \nowl\n")
    found = read(tmp_path, GOOD.replace('["cat", "dog", "cow", "owl"]', '"names.txt"'))
    assert parts(found)[1].labels == ("cat", "dog", "cow", "owl")


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/hostname", "link.txt", "pipe", "folder", "missing.txt"])
def test_labels_come_from_a_plain_file_beside_the_task_only(tmp_path: Path, name: str) -> None:
    """A stranger's task must not bring a file of the user's into the bundle."""
    folder = tmp_path / "theirs"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("a\nb\nc\nd\n")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError, match="cannot be read") as refused:
        read(folder, GOOD.replace('["cat", "dog", "cow", "owl"]', f'"{name}"'))
    assert "\n" not in refused.value.message


def test_a_key_of_many_parts_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="over 50 parts"):
        read(tmp_path, GOOD + "a." * 20_000 + "b = 1\n")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("schema = 1", "schema = 2", "reads schema = 1"),
        ("schema = 1", "schema = ", "cannot be read"),
        ('"classification"', '"detective"', "it is one of anomaly, classification, detection"),
        ("top = 2", "top = 0", "at least 1"),
        ("top = 2", "top = true", "whole number"),
        ("top = 2", "top = 1001", "up to 1000"),
        ("top = 2", "best = 2", "best is not a key; there are labels"),
        ('"logits"', '"odds"', "one of probabilities, logits"),
        ('"crop"', '"zoom"', "picture.fit = 'zoom': it is one of stretch, crop, letterbox"),
        ('"bgr"', '"grey"', "are 1 numbers each"),
        ("short = 40", "short = 31", "less than the network's input, 32 x 24"),
        ('fit = "crop"', 'fit = "stretch"', 'short is for fit = "crop"'),
        ("std = [0.5, 1, 2]", "std = [0.5, 1]", "3 numbers each"),
        ("std = [0.5, 1, 2]", "std = [0.5, 1, 0]", "above 0"),
        ("std = [0.5, 1, 2]", "range = [0, 1]", "range excludes mean and std"),
        ("std = [0.5, 1, 2]", "std = [0.5, 1, inf]", "not a list of numbers"),
        ('"owl"]', '"owl", "hen"]', "5 labels for 4 classes"),
        ('"owl"]', "4]", "the label 4"),
        ('"owl"]', '"a\\nb"]', "is no text"),
        ('["cat", "dog", "cow", "owl"]', '"none.txt"', "'none.txt' cannot be read"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError) as refused:
        read(tmp_path, GOOD.replace(old, new))
    assert words in refused.value.message and "\n" not in refused.value.message, refused.value.message


@pytest.mark.parametrize(
    ("shape", "outputs", "words"),
    [
        ((1, 10), (1, 4), "takes a picture, but the network's inputs are [1, 10]"),
        ((1, 8, 8, 1), (1, 4), "the colors are rgb, but the network's input has 1 channels"),
        ((1, 32, 24, 3), (1, 5, 4), "needs an output [1, classes], but the network's are [[1, 5, 4]]"),
        ((1, 32, 24, 3), (1, 1), "needs an output [1, classes]"),
    ],
)
def test_networks_that_do_not_fit(tmp_path: Path, shape: tuple[int, ...], outputs: tuple[int, ...], words: str) -> None:
    text = 'schema = 1\ntask = "classification"\n[picture]\ncolors = "rgb"\n'
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text, network(shape, outputs))
    assert words in refused.value.message


def test_the_manifest_keeps_it(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert task.of_manifest({"task": found.json()}) == found
    assert task.of_manifest({}) is None


@pytest.mark.parametrize(
    "key", ["task", "labels", "top", "scores", "picture.fit", "picture.scale", "picture.offset", "picture.fill"]
)
@pytest.mark.parametrize("value", [None, -1, "x", [1, "y"], {}])
def test_damaged_manifests(tmp_path: Path, key: str, value: Any) -> None:
    data = copy.deepcopy(read(tmp_path, GOOD).json())
    place = data["picture"] if "." in key else data
    place[key.rpartition(".")[2]] = value
    with pytest.raises(CheckFailed, match=r"'task' in manifest\.json is damaged"):
        task.of_manifest({"task": data})


def test_scale_and_offset_of_other_numbers_of_channels(tmp_path: Path) -> None:
    data = read(tmp_path, GOOD).json()
    data["picture"]["offset"] = []
    with pytest.raises(CheckFailed, match="not of the same channels"):
        task.of_manifest({"task": data})


def test_a_task_of_a_newer_edgekit(tmp_path: Path) -> None:
    data = {**read(tmp_path, GOOD).json(), "schema": 2}
    with pytest.raises(UsageError, match="of a newer edgekit"):
        task.of_manifest({"task": data})


def test_decisions(tmp_path: Path) -> None:
    _, found = parts(read(tmp_path, GOOD))
    best = found.classes(np.array([[1, 3, 3, -1]], np.float32), Tensor("y", (1, 4), "float32")).classes
    assert [(one.number, one.label) for one in best] == [(1, "dog"), (2, "cow")]  # of equal ones, the first
    assert best[0].score == pytest.approx(np.exp(3) / (np.exp([1, 3, 3, -1]).sum()), abs=1e-7)
    quantized = Tensor("y", (1, 4), "int8", quantization=Quantization(np.float32([0.5]), np.array([-8])))
    _, plain = parts(read(tmp_path, GOOD.replace('"logits"', '"probabilities"')))
    first, _ = plain.classes(np.array([[-8, -7, -6, -8]], np.int8), quantized).classes
    assert (first.label, first.score) == ("cow", 1.0)


def test_lines_of_decisions_are_json_whatever_a_network_computes() -> None:
    line = Decision("a", Classes((Class(1, "dog", float("nan")),))).line()
    assert json.loads(line, parse_constant=pytest.fail)["classes"][0]["score"] is None and line.endswith("}\n")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"task": "rating"}, CheckFailed, "task = 'rating': it is one of anomaly, classification, detection"),
        ({"task": ["classification"]}, CheckFailed, "it is one of anomaly"),
        ({"task": "rating", "plugin": "theirs"}, UsageError, "of the plug-in 'theirs', which is not installed"),
        ({"task": [], "plugin": "theirs"}, CheckFailed, "is damaged"),
        ({"plugin": "theirs"}, CheckFailed, "is a kind of edgekit, not of theirs"),
    ],
)
def test_kinds_that_a_manifest_names(
    tmp_path: Path, change: dict[str, object], error: type[Exception], words: str
) -> None:
    written = read(tmp_path, GOOD).json()
    with pytest.raises(error, match=re.escape(words)):
        task.of_manifest({"task": {**written, **change}})
