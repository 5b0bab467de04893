"""A one-stage detector of handwritten digits: scenes to train it on, the network, and the training, in plain Keras.

``detector.py FOLDER`` writes ``detector.keras`` there. A scene reaches the network as 160 x 160 pixels of grey, in
0..1. For each of 10 x 10 cells it gives one row: left, top, right and bottom in pixels of the camera, four of which are
one of the network, and a score in 0..1, all in one output ``[1, 100, 5]``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE, CELLS = 160, 10
CELL = SIDE // CELLS
ZOOM = 4.0
NOISE = 0.2
DIGITS = Path(__file__).parents[1] / "mnist" / "digits.npz"
Array = NDArray[Any]


def scenes(count: int, seed: int, height: int = SIDE) -> tuple[Array, list[Array]]:
    """Scenes of one to three digits that do not overlap.

    :returns: images ``[count, height, 160, 1]`` in 0..1, and the digits' boxes in pixels, ``[digits, 4]`` each.
    """
    rng = np.random.default_rng(seed)
    with np.load(DIGITS) as archive:
        digits = archive["x"]
    pictures = rng.uniform(0, NOISE, (count, height, SIDE)).astype(np.float32)
    boxes: list[Array] = []
    for picture in pictures:
        placed: list[Array] = []
        for _ in range(rng.integers(1, 4)):
            size = int(rng.integers(32, 57))
            left, top = rng.integers(0, [SIDE - size, height - size])
            steps = np.arange(size) * 28 // size
            digit = digits[rng.integers(len(digits))][np.ix_(steps, steps)] / 255
            rows, columns = np.flatnonzero(digit.max(axis=1) > 0.3), np.flatnonzero(digit.max(axis=0) > 0.3)
            box = np.array([left + columns[0], top + rows[0], left + columns[-1] + 1.0, top + rows[-1] + 1.0])
            if any((np.minimum(box[2:], o[2:]) > np.maximum(box[:2], o[:2])).all() for o in placed):
                continue
            area = picture[top : top + size, left : left + size]
            np.maximum(area, digit, out=area)
            placed.append(box)
        boxes.append(np.array(placed))
    return pictures[..., None], boxes


def targets(boxes: list[Array]) -> Array:
    """What each cell should give, ``[scenes, 100, 5]``: the box of the digit whose centre it holds, and 1; or zeros."""
    wanted = np.zeros((len(boxes), CELLS * CELLS, 5), np.float32)
    for row, truth in zip(wanted, boxes, strict=True):
        for box in truth:
            x, y = ((box[:2] + box[2:]) / 2 // CELL).astype(int)
            row[y * CELLS + x] = [*(box * ZOOM), 1]
    return wanted


def network(keras: Any) -> Any:
    """Convolutions down to 10 x 10 cells; boxes and scores from two layers, joined."""
    layers = keras.layers
    x = inputs = layers.Input((SIDE, SIDE, 1), batch_size=1)
    for filters, stride in ((16, 4), (32, 2), (48, 2), (64, 1), (64, 1)):
        x = layers.Conv2D(filters, 5 if stride == 4 else 3, stride, "same", activation="relu")(x)
    corners = layers.Reshape((CELLS * CELLS, 4))(layers.Conv2D(4, 1, name="corners")(x))
    score = layers.Reshape((CELLS * CELLS, 1))(layers.Conv2D(1, 1, activation="sigmoid", name="score")(x))
    place = np.stack(np.meshgrid(np.arange(CELLS), np.arange(CELLS)), axis=-1).reshape(-1, 2) * CELL + CELL / 2
    centres = np.concatenate([place, place], axis=1) * ZOOM
    boxes = layers.Rescaling(float(CELL * ZOOM), offset=centres[None].tolist())(corners)
    return keras.Model(inputs, layers.Concatenate(axis=-1)([boxes, score]))


def trained(keras: Any, tf: Any, pictures: Array, wanted: Array, epochs: int = 14) -> Any:
    """The network, trained: cross entropy of the scores, and Huber's loss of boxes where there is a digit."""
    keras.utils.set_random_seed(1)
    model = network(keras)
    inputs = keras.Input(model.input_shape[1:])
    training = keras.Model(inputs, model(inputs))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(pictures) // 25)

    def loss(truth: Any, made: Any) -> Any:
        score = tf.clip_by_value(made[..., 4], 1e-6, 1 - 1e-6)
        cross = -truth[..., 4] * tf.math.log(score) - (1 - truth[..., 4]) * tf.math.log(1 - score)
        off = tf.abs(truth[..., :4] - made[..., :4]) / (CELL * ZOOM)
        near = tf.where(off < 1, off**2 / 2, off - 0.5)
        return tf.reduce_sum(cross) + tf.reduce_sum(near * truth[..., 4:])

    training.compile(keras.optimizers.Adam(rate), loss)
    training.fit(pictures, wanted, batch_size=25, epochs=epochs, verbose=2)
    model.set_weights(training.get_weights())
    return model


def main(folder: str) -> None:
    """Train it."""
    import keras
    import tensorflow as tf

    pictures, boxes = scenes(1500, seed=1)
    trained(keras, tf, pictures, targets(boxes)).save(Path(folder) / "detector.keras")


if __name__ == "__main__":
    main(sys.argv[1])
