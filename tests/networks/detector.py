"""A one-stage detector of handwritten digits: that of ``examples/detect_digits``, for tests to take apart.

``detector.py FOLDER`` writes ``detector.keras`` there. Boxes are in pixels of the camera's picture,
which reaches the network four times as small. For each of 10 x 10 cells it gives one row: left, top, right and bottom,
and a score in 0..1, all in one output ``[1, 100, 5]``.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.tasks import boxes as metric

EXAMPLE = Path(__file__).parents[2] / "examples" / "detect_digits" / "detector.py"
Array = NDArray[Any]


def example() -> Any:
    """The example's module."""
    spec = importlib.util.spec_from_file_location("detect_digits", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scenes(count: int, seed: int) -> tuple[Array, list[Array]]:
    """Scenes of one to three digits that do not overlap.

    They are images ``[count, 160, 160, 1]`` in 0..1, and boxes in the camera's pixels, ``[digits, 4]`` each.
    """
    digits = example()
    pictures, boxes = digits.scenes(count, seed)
    return pictures, [rows * digits.ZOOM for rows in boxes]


def overlap(box: Array, others: Array) -> Array:
    """Intersection over union of one box ``[4]`` with others ``[n, 4]``."""
    shares: Array = metric.overlaps(box[None], others, np.zeros(len(others), bool))[0]
    return shares


def average_precision(outputs: Array, boxes: list[Array]) -> float:
    """Average precision at an overlap of 0.5, by edgekit's own metric.

    Rows that overlap a better one by more than half are suppressed first.

    :param outputs: ``[scenes, 100, 5]``.
    """
    detected = [metric.Boxes(rows[:, :4], _digit(rows), rows[:, 4]) for rows in map(_best, outputs)]
    truth = [metric.Boxes(corners.reshape(-1, 4), _digit(corners)) for corners in boxes]
    return metric.average_precision(detected, truth, (0.5,)).value(np.ones(len(truth)))


def _best(output: Array) -> Array:
    kept: list[Array] = []
    for row in output[np.argsort(-output[:, 4], kind="stable")]:
        if row[4] > 0.01 and not (kept and (overlap(row[:4], np.array(kept)[:, :4]) > 0.5).any()):
            kept.append(row)
    return np.array(kept, output.dtype).reshape(-1, 5)


def _digit(boxes: Array) -> Array:
    """The only class there is."""
    return np.zeros(len(boxes), np.int64)


if __name__ == "__main__":
    example().main(sys.argv[1])
