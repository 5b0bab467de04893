"""Train a small keyword spotting network on synthetic speech, with plain Keras, and save it for edgekit.

    python examples/keyword_spotting/train.py      # a minute and a half on two cores

The features are MFCC in integer arithmetic (``edgekit.data.mfcc``), the same numbers that the firmware computes.
Writes to ``--out`` (default ``build/keywords``):

* ``keywords.keras``     the trained network: float32 ``[n, 49, 10, 1]`` -> twelve probabilities;
* ``calibration.npz``    500 clips it was trained on, to calibrate quantization: ``x`` float32, ``y`` labels;
* ``test.npz``           clips of voices that it has never heard: ``x`` float32, ``y`` labels;
* ``wav/``               some of these clips, as WAV files named after the word.
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
import speech
from numpy.typing import NDArray

from edgekit.data.mfcc import Q, mfcc

TEST_VOICES = speech.VOICES[::5]
TRAINING_VOICES = tuple(voice for voice in speech.VOICES if voice not in TEST_VOICES)
CALIBRATION_CLIPS = 500
BATCH = 64
LABEL_SMOOTHING = 0.05
MOMENTUM = 0.9
"""Of the statistics of batch normalization: a short training has few batches."""


def features(clips: NDArray[np.int16]) -> NDArray[np.float32]:
    """Turn clips ``[n, 16000]`` into what the network takes, ``[n, 49, 10, 1]``."""
    return (mfcc(clips) / (1 << Q)).astype(np.float32)[..., np.newaxis]


def network(channels: int) -> Any:
    """Return a depthwise separable CNN (Zhang et al., "Hello Edge", 2017), untrained."""
    from keras import Input, Sequential, layers

    def convolution(layer: Any) -> list[Any]:
        return [layer, layers.BatchNormalization(momentum=MOMENTUM), layers.ReLU()]

    blocks = [
        part
        for _ in range(4)
        for part in (
            *convolution(layers.DepthwiseConv2D(3, padding="same", use_bias=False)),
            *convolution(layers.Conv2D(channels, 1, use_bias=False)),
        )
    ]
    return Sequential(
        [
            Input((49, 10, 1), name="mfcc"),
            *convolution(layers.Conv2D(channels, (10, 4), strides=2, padding="same", use_bias=False)),
            *blocks,
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(speech.LABELS)),
            layers.Softmax(),
        ],
        name="keywords",
    )


def train(x: NDArray[np.float32], y: NDArray[np.int64], channels: int, epochs: int, seed: int) -> Any:
    """Train with Adam and a learning rate that falls to zero; the same seed gives the same weights."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model = network(channels)
    steps = epochs * math.ceil(len(y) / BATCH)
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.004, steps))
    targets = np.eye(len(speech.LABELS), dtype=np.float32)[y]
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=LABEL_SMOOTHING)
    model.compile(optimizer=adam, loss=loss, metrics=["accuracy"])
    model.fit(x, targets, batch_size=BATCH, epochs=epochs, verbose=2)
    return model


def save_examples(clips: NDArray[np.int16], labels: NDArray[np.int64], folder: Path) -> None:
    """Write the first clip of each class."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(speech.LABELS):
        found = np.flatnonzero(labels == number)
        if len(found):
            speech.write_wav(folder / f"{name}.wav", clips[found[0]])


def main() -> None:
    """Make the speech, train the network, write both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speakers", type=int, default=220, help="for training; a quarter as many for the test")
    parser.add_argument("--channels", type=int, default=48, help="of each convolution")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the order of the clips")
    parser.add_argument("--out", type=Path, default=Path("build/keywords"), help="folder to write to")
    args = parser.parse_args()

    words = speech.spoken(speech.speakers(args.speakers, TRAINING_VOICES, seed=1), seed=1)
    unheard = speech.spoken(speech.speakers(max(1, args.speakers // 4), TEST_VOICES, seed=2), seed=2)
    clips, y = speech.clips(words, copies=2, seed=1)
    test_clips, test_y = speech.clips(unheard, copies=1, seed=2)
    x, test_x = features(clips), features(test_clips)
    print(
        f"{len(words)} words of {len(TRAINING_VOICES)} voices, {len(unheard)} of {len(TEST_VOICES)} others", flush=True
    )

    args.out.mkdir(parents=True, exist_ok=True)
    np.savez(args.out / "calibration.npz", x=x[:CALIBRATION_CLIPS], y=y[:CALIBRATION_CLIPS])
    np.savez(args.out / "test.npz", x=test_x, y=test_y)
    save_examples(test_clips, test_y, args.out / "wav")
    model = train(x, y, args.channels, args.epochs, args.seed)
    model.save(args.out / "keywords.keras")
    right = model.predict(test_x, batch_size=256, verbose=0).argmax(axis=1) == test_y
    print(f"trained on {len(y)} clips: {right.mean():.2%} of {len(test_y)} clips of unheard voices are right")
    print(f"saved {args.out}/keywords.keras, calibration.npz, test.npz and wav/")


if __name__ == "__main__":
    main()
