"""Small networks with a task: what they see in a picture is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, tflite
from tests.networks.small import Builder

SIDE, CELL = 32, 8
CLASSIFIER_TASK = """schema = 1
task = "classification"
labels = ["red", "gr\u00fcn", "blue"]
top = 2
scores = "logits"
[picture]
fit = "letterbox"
fill = 50
mean = [0.4, 0.45, 0.5]
std = [0.2, 0.25, 0.3]
"""
CELLS_TASK = """schema = 1
task = "detection"
labels = ["red", "blue"]
scores = "logits"
[picture]
fit = "letterbox"
fill = 0
[head]
boxes = "ssd"
cells = [4]
"""
"""What a detector of colored cells takes and gives; the anchors follow."""
DETECTOR_TASK = f"""{CELLS_TASK}anchors = [[[12, 12]]]
[suppression]
score = 0.05
overlap = 0.15
"""


def classifier() -> Graph:
    """Tells red pictures from green and blue ones; weights are a little noisy."""
    random = np.random.default_rng(2)
    return weighing(SIDE, np.tile(np.eye(3), (1, SIDE * SIDE)) / 600 + random.normal(0, 0.001, (3, SIDE * SIDE * 3)))


def weighing(side: int, weights: NDArray[np.float64]) -> Graph:
    """Gives each class the sum of a picture's weighted values: ``weights [classes, side * side * 3]``."""
    classes, flat = weights.shape
    b = Builder()
    x = b.tensor((1, side, side, 3), name="picture")
    shape = b.constant(np.array([1, flat], np.int32))
    rows = b.add("RESHAPE", (x, shape), (1, flat), options="Reshape", newShape=[1, flat])
    bias = b.constant(np.zeros(classes, np.float32))
    inputs = (rows, b.constant(weights.astype(np.float32)), bias)
    y = b.add("FULLY_CONNECTED", inputs, (1, classes), options="FullyConnected")
    return b.graph((x,), (y,))


def detector(box: tuple[float, float, float, float] = (0.3, 0.2, 0.1, 0.4)) -> Graph:
    """Sees the color of each of 4 x 4 cells; boxes are a little off the anchors, by what the network gives for each."""
    b = Builder()
    x = b.tensor((1, SIDE, SIDE, 3), name="picture")
    weights = np.zeros((6, CELL, CELL, 3), np.float32)
    weights[4, ..., 0] = weights[5, ..., 2] = 12 / CELL**2
    options = {"strideH": CELL, "strideW": CELL, "padding": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    bias = b.constant(np.float32([*box, -6, -6]))
    y = b.add("CONV_2D", (x, b.constant(weights), bias), (1, 4, 4, 6), options="Conv2D", **options)
    return b.graph((x,), (y,))


SEGMENTER_TASK = """schema = 1
task = "segmentation"
labels = ["none", "red", "gr\u00fcn", "blue"]
[picture]
fit = "crop"
"""


def segmenter(form: str = "last", classes: int = 4) -> Graph:
    """Sees the color of each of 16 x 16 cells; the first class is what is dark."""
    b = Builder()
    x = b.tensor((1, SIDE, SIDE, 3), name="picture")
    weights = np.zeros((classes, 2, 2, 3), np.float32)
    for number in range(1, classes):
        weights[number, ..., (number - 1) % 3] = 0.25
    options = {"strideH": 2, "strideW": 2, "padding": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    bias = b.constant(np.float32([0.45, *[0.0] * (classes - 1)]))
    y = b.add("CONV_2D", (x, b.constant(weights), bias), (1, 16, 16, classes), options="Conv2D", **options)
    if form == "first":
        order = b.constant(np.array([0, 3, 1, 2], np.int32))
        y = b.add("TRANSPOSE", (y, order), (1, classes, 16, 16), options="Transpose")
    elif form == "number":
        axis = b.constant(np.array(3, np.int32))
        y = b.add("ARG_MAX", (y, axis), (1, 16, 16), "int32", options="ArgMax", outputType=2)
    return b.graph((x,), (y,))


NETWORKS = {
    "classification": (classifier, CLASSIFIER_TASK), "detection": (detector, DETECTOR_TASK),
    "segmentation": (segmenter, SEGMENTER_TASK),
}  # fmt: skip


def written(folder: Path, kind: str) -> Path:
    """A network's file, with its task beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    network, task = NETWORKS[kind]
    tflite.write(network(), folder / "model.tflite")
    (folder / "task.toml").write_text(task)
    return folder / "model.tflite"
