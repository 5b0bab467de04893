"""Two towers: one makes a vector of a household and the moment, one of each film; their product is the score.

``train.py FOLDER`` writes ``recommend.keras`` there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import taste

WIDTH = 24


def network(keras: Any) -> Any:
    """Scores of all films, ``[1, films]``."""
    layers = keras.layers
    household = layers.Input((1,), batch_size=1, dtype="int32", name="household")
    moment = layers.Input((3,), batch_size=1, name="moment")  # the hour, and the kind of day
    who = layers.Reshape((WIDTH,))(layers.Embedding(taste.HOUSEHOLDS, WIDTH, name="households")(household))
    when = layers.Dense(WIDTH)(layers.Dense(16, activation="relu")(moment))
    mine = layers.Dense(WIDTH, name="tower")(layers.Add()([who, when]))
    return keras.Model([household, moment], layers.Dense(len(taste.FILMS), name="films")(mine))


def trained(keras: Any, seen: taste.Watched, epochs: int = 12) -> Any:
    """The network, trained to tell which of all films was watched."""
    keras.utils.set_random_seed(1)
    model = network(keras)
    inputs = [keras.Input((1,), dtype="int32"), keras.Input((3,))]
    training = keras.Model(inputs, model(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    training.compile(keras.optimizers.Adam(3e-3), loss)
    moment = np.stack([(seen.hour - 15) / 5, seen.day == 0, seen.day == 1], axis=1).astype(np.float32)
    training.fit([seen.household[:, None], moment], seen.film, batch_size=128, epochs=epochs, verbose=2)
    model.set_weights(training.get_weights())
    return model


def main(folder: str) -> None:
    """Train it."""
    import keras

    trained(keras, taste.watched(seed=1)).save(Path(folder) / "recommend.keras")


if __name__ == "__main__":
    main(sys.argv[1])
