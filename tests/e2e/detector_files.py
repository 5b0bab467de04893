"""A detector as files: the network, its task, and annotated photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from edgekit.graph import tflite
from tests.tasks import task_networks

COLORS = ("red", "blue")


def detector(folder: Path, rng: np.random.Generator) -> None:
    """The network, and 90 photos of red and blue cells with COCO's annotations."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    tflite.write(task_networks.detector(), folder / "model.tflite")
    (folder / "task.toml").write_text(task_networks.DETECTOR_TASK)
    side, cell = task_networks.SIDE, task_networks.CELL
    found = []
    for number in range(90):
        pixels = rng.integers(0, 90, (side, side, 3)).astype(np.uint8)
        for place in rng.permutation(16)[:3]:
            row, column, kind = place // 4 * cell, place % 4 * cell, int(rng.integers(2))
            pixels[row : row + cell, column : column + cell, 2 * kind] = rng.integers(110, 255)
            box = [int(column), int(row), cell, cell]
            found.append({"id": len(found) + 1, "image_id": number, "category_id": kind, "bbox": box,
                          "area": cell**2, "iscrowd": 0})  # fmt: skip
        Image.fromarray(pixels).save(photos / f"{number}.png")
    images = [{"id": i, "file_name": f"{i}.png", "width": side, "height": side} for i in range(90)]
    kinds = [{"id": i, "name": name} for i, name in enumerate(COLORS)]
    (photos / "boxes.json").write_text(json.dumps({"images": images, "annotations": found, "categories": kinds}))
