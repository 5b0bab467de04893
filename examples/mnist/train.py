"""Train a small convolutional network on MNIST, the way one would without edgekit, and save it for edgekit.

    python examples/mnist/train.py                 # the 10,000 digits in digits.npz, 8,000 / 2,000: about a minute
    python examples/mnist/train.py --full          # the complete MNIST, 60,000 / 10,000: downloads it

Writes to ``--out`` (default ``build/mnist``):

* ``mnist.keras``        the trained network: float32 ``[n, 28, 28, 1]`` in 0..1 -> ten probabilities;
* ``calibration.npz``    500 digits it was trained on, to calibrate quantization: ``x`` float32, ``y`` labels;
* ``test.npz``           the digits it has never seen, to measure accuracy: ``x`` float32, ``y`` labels.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow starts: no chatter about the processor
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from numpy.typing import NDArray

Digits = tuple[NDArray[np.float32], NDArray[np.int64]]

SPLIT_SEED = 2023
"""Fixes which digits are for training and which for testing, whatever ``--seed`` says."""

TRAINING_DIGITS = 8_000
CALIBRATION_DIGITS = 500
BATCH = 32


def kept_digits() -> tuple[Digits, Digits]:
    """Return training and test digits from ``digits.npz``; it is sorted by class, so they are shuffled first."""
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        x, y = archive["x"], archive["y"]
    order = np.random.default_rng(SPLIT_SEED).permutation(len(x))
    train, test = order[:TRAINING_DIGITS], order[TRAINING_DIGITS:]
    return prepared(x[train], y[train]), prepared(x[test], y[test])


def all_digits() -> tuple[Digits, Digits]:
    """Download the complete MNIST through Keras."""
    import keras

    train, test = keras.datasets.mnist.load_data()
    return prepared(*train), prepared(*test)


def prepared(x: NDArray[np.uint8], y: NDArray[np.uint8]) -> Digits:
    """Turn bytes ``[n, 28, 28]`` into what the network takes: float32 ``[n, 28, 28, 1]`` in 0..1."""
    return (x[..., np.newaxis] / 255).astype(np.float32), y.astype(np.int64)


def network(width: float = 1.0) -> Any:
    """Return the article's network, untrained.

    :param width: factor of its channels; a half is a quarter of the weights.
    """
    from keras import Input, Sequential, layers

    wide, wider = round(32 * width), round(64 * width)
    return Sequential(
        [
            Input((28, 28, 1), name="image"),
            layers.Conv2D(wide, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(wider, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(wider, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(wider, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="mnist",
    )


def fit(model: Any, digits: Digits, epochs: int, rate: float = 0.002) -> None:
    """Train a classifier on the labels with Adam."""
    import keras

    # With only 8,000 digits a learning rate that falls to zero is worth a whole point of accuracy.
    steps = epochs * math.ceil(len(digits[1]) / BATCH)
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))
    model.compile(optimizer=adam, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*digits, batch_size=BATCH, epochs=epochs, verbose=2)


def repeatable(seed: int) -> None:
    """From here on the same seed gives the same weights."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def train(digits: Digits, test: Digits, epochs: int, seed: int, model_file: Path) -> float:
    """Train, save the network to ``model_file`` and return its accuracy on ``test`` (0..1)."""
    repeatable(seed)
    model = network()
    fit(model, digits, epochs)
    model.save(model_file)
    _, accuracy = model.evaluate(*test, batch_size=256, verbose=0)
    return float(accuracy)


def main() -> None:
    """Train the network; write it and the test digits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights and of the order of the digits")
    parser.add_argument("--full", action="store_true", help="download and use the complete MNIST")
    parser.add_argument("--out", type=Path, default=Path("build/mnist"), help="folder to write to")
    args = parser.parse_args()

    digits, test = all_digits() if args.full else kept_digits()
    args.out.mkdir(parents=True, exist_ok=True)
    np.savez(args.out / "calibration.npz", x=digits[0][:CALIBRATION_DIGITS], y=digits[1][:CALIBRATION_DIGITS])
    np.savez(args.out / "test.npz", x=test[0], y=test[1])
    accuracy = train(digits, test, args.epochs, args.seed, args.out / "mnist.keras")
    print(f"trained on {len(digits[1])} digits: {accuracy:.2%} of {len(test[1])} unseen digits are right")
    print(f"saved {args.out}/mnist.keras, calibration.npz and test.npz")


if __name__ == "__main__":
    main()
