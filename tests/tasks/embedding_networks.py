"""A small network that makes vectors of pictures, and pictures of things that it tells apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from edgekit.graph import Graph, tflite
from tests.tasks import task_networks

SIDE, SIZE = 16, 8
TASK = """schema = 1
task = "embedding"
gallery = "things"
top = 2
threshold = 0.9
[picture]
range = [-1, 1]
"""
THINGS = ("anna", "b\u00f6rge", "carla")


def embedder() -> Graph:
    """A random projection of the pixels."""
    random = np.random.default_rng(11)
    return task_networks.weighing(SIDE, random.normal(0, 0.05, (SIZE, SIDE * SIDE * 3)))


def picture(thing: str, number: int) -> Image.Image:
    """One of a thing's pictures: its own pattern with some noise, in several sizes."""
    own = np.random.default_rng(list(thing.encode())).integers(0, 256, (4, 4, 3))
    noise = np.random.default_rng([number, *thing.encode()]).integers(-25, 26, (SIDE, SIDE, 3))
    pixels = np.clip(np.kron(own, np.ones((SIDE // 4, SIDE // 4, 1))) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((SIDE + number % 3, SIDE))


def photos(folder: Path, first: int, count: int, things: tuple[str, ...] = THINGS) -> Path:
    """Pictures in a folder for each thing."""
    for thing in things:
        (folder / thing).mkdir(parents=True)
        for number in range(first, first + count):
            picture(thing, number).save(folder / thing / f"{number}.png")
    return folder


def written(folder: Path, task: str = TASK) -> Path:
    """The network's file, with its task and the gallery's pictures beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    tflite.write(embedder(), folder / "model.tflite")
    (folder / "task.toml").write_text(task)
    photos(folder / "things", 0, 2)
    return folder / "model.tflite"
