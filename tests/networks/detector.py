"""A one-stage detector of handwritten digits, trained with TensorFlow.

``detector.py FOLDER`` writes ``detector.keras`` and ``scenes.npz`` there. Scenes, and the average precision, are for
tests to use.

A scene of 640 x 640 pixels reaches the network as 160 x 160. For each of 10 x 10 cells it gives one row: left, top,
right and bottom in pixels of the scene, and a score in 0..1, all in one output ``[1, 100, 5]``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.tasks import boxes as metric

SIDE, SHRUNK, CELLS = 640, 160, 10
CELL = SIDE // CELLS
Array = NDArray[Any]


def scenes(count: int, seed: int) -> tuple[Array, list[Array]]:
    """Scenes of one to three digits that do not overlap.

    They are images ``[count, 160, 160, 1]`` in 0..1, and the digits' boxes in pixels of the whole scene,
    ``[digits, 4]`` each.
    """
    rng = np.random.default_rng(seed)
    with np.load(Path(__file__).parents[2] / "examples" / "mnist" / "digits.npz") as archive:
        digits = archive["x"]
    pictures = rng.uniform(0, 0.2, (count, SHRUNK, SHRUNK)).astype(np.float32)
    boxes: list[Array] = []
    for picture in pictures:
        placed: list[Array] = []
        for _ in range(rng.integers(1, 4)):
            size = int(rng.integers(32, 57))
            left, top = rng.integers(0, SHRUNK - size, 2)
            steps = np.arange(size) * 28 // size
            digit = digits[rng.integers(len(digits))][np.ix_(steps, steps)] / 255
            rows, columns = np.flatnonzero(digit.max(axis=1) > 0.3), np.flatnonzero(digit.max(axis=0) > 0.3)
            box = np.array([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1]) * 4.0
            if any((overlap(box, other[None]) > 0).any() for other in placed):
                continue
            area = picture[top : top + size, left : left + size]
            np.maximum(area, digit, out=area)
            placed.append(box)
        boxes.append(np.array(placed))
    return pictures[..., None], boxes


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


def targets(boxes: list[Array]) -> Array:
    """What each cell should give, ``[scenes, 100, 5]``: the box of the digit whose centre it holds, and 1; or zeros."""
    wanted = np.zeros((len(boxes), CELLS * CELLS, 5), np.float32)
    for row, truth in zip(wanted, boxes, strict=True):
        for box in truth:
            x, y = ((box[:2] + box[2:]) / 2 // CELL).astype(int)
            row[y * CELLS + x] = [*box, 1]
    return wanted


def network(keras: Any) -> Any:
    """Convolutions down to 10 x 10 cells; boxes and scores from two layers, joined."""
    layers = keras.layers
    x = inputs = layers.Input((SHRUNK, SHRUNK, 1), batch_size=1)
    for filters, stride in ((16, 4), (32, 2), (48, 2), (64, 1), (64, 1)):
        x = layers.Conv2D(filters, 5 if stride == 4 else 3, stride, "same", activation="relu")(x)
    corners = layers.Reshape((CELLS * CELLS, 4))(layers.Conv2D(4, 1, name="corners")(x))
    score = layers.Reshape((CELLS * CELLS, 1))(layers.Conv2D(1, 1, activation="sigmoid", name="score")(x))
    place = np.stack(np.meshgrid(np.arange(CELLS), np.arange(CELLS)), axis=-1).reshape(-1, 2) * CELL + CELL / 2
    centres = np.concatenate([place, place], axis=1)
    boxes = layers.Rescaling(float(CELL), offset=centres[None].tolist())(corners)
    return keras.Model(inputs, layers.Concatenate(axis=-1)([boxes, score]))


def main(folder: str) -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(1)
    pictures, boxes = scenes(1500, seed=1)
    wanted = targets(boxes)
    model = network(keras)
    training = keras.Model(*_open(keras, model))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, 14 * len(pictures) // 25)

    def loss(truth: Any, made: Any) -> Any:
        score = tf.clip_by_value(made[..., 4], 1e-6, 1 - 1e-6)
        cross = -truth[..., 4] * tf.math.log(score) - (1 - truth[..., 4]) * tf.math.log(1 - score)
        off = tf.abs(truth[..., :4] - made[..., :4]) / CELL
        near = tf.where(off < 1, off**2 / 2, off - 0.5)
        return tf.reduce_sum(cross) + tf.reduce_sum(near * truth[..., 4:])

    training.compile(keras.optimizers.Adam(rate), loss)
    training.fit(pictures, wanted, batch_size=25, epochs=14, verbose=2)
    model.set_weights(training.get_weights())
    model.save(Path(folder) / "detector.keras")
    np.savez(Path(folder) / "scenes.npz", x=scenes(100, seed=2)[0])


def _open(keras: Any, model: Any) -> tuple[Any, Any]:
    """The same layers for any batch size."""
    inputs = keras.Input(model.input_shape[1:])
    return inputs, model(inputs)


if __name__ == "__main__":
    main(sys.argv[1])
