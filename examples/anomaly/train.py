"""Trains an auto-encoder on recordings of a sound machine, with plain Keras: ``python train.py FOLDER``.

The network is that of MLPerf Tiny's anomaly detection (640 -> 128 -> ... -> 8 -> ... -> 640), on the features that
``task.toml`` describes. Writes ``machine.keras``, and ``task.toml`` with mean, std and threshold.
"""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from numpy.typing import NDArray

from edgekit.data import wav
from edgekit.tasks import features, sound_file

FRAMES, EPOCHS = 5, 25
SURE = 99
"""Percentile of the scores of normal recordings that is the threshold."""


def heard(files: list[Path], table: dict[str, Any]) -> NDArray[np.float64]:
    """The features of all clips, ``[recordings, clips, frames * bands]``."""
    spec = sound_file.bands(table, table["rate"], coefficients=False)
    made = []
    for file in files:
        samples = features.clip(wav.read(file).samples)
        frames = features.features(samples[None], sound_file.frames(spec, len(samples)), spec, table["rate"])[0]
        clips = np.lib.stride_tricks.sliding_window_view(frames, FRAMES, axis=0)
        made.append(clips.transpose(0, 2, 1).reshape(len(clips), -1))
    return np.stack(made)


def network(width: int) -> Any:
    """The auto-encoder, untrained."""
    from keras import Input, Sequential, layers

    hidden = [
        part
        for units in (128, 128, 8, 128, 128)
        for part in (layers.Dense(units, use_bias=False), layers.BatchNormalization(), layers.ReLU())
    ]
    return Sequential([Input((width,), name="sound"), *hidden, layers.Dense(width)], name="machine")


def main(out: Path) -> None:
    """Train, and write both files."""
    import keras

    text = Path(__file__).with_name("task.toml").read_text()
    table = tomllib.loads(text)["sound"]
    files = sorted((out / "normal").glob("*.wav"))
    every = heard(files, table)
    mean, std = float(np.round(every.mean(), 3)), float(np.round(every.std(), 3))
    every = ((every - mean) / std).astype(np.float32)
    kept, others = every[: len(files) * 4 // 5], every[len(files) * 4 // 5 :]
    keras.utils.set_random_seed(0)
    model = network(every.shape[2])
    rows = kept.reshape(-1, every.shape[2])
    model.compile(optimizer=keras.optimizers.Adam(0.002), loss="mse")
    model.fit(rows, rows, batch_size=128, epochs=EPOCHS, verbose=2)
    model.save(out / "machine.keras")
    flat = others.reshape(-1, every.shape[2])
    errors = ((model.predict(flat, batch_size=512, verbose=0) - flat) ** 2).mean(axis=1)
    threshold = float(np.percentile(errors.reshape(len(others), -1).mean(axis=1), SURE))
    text = text.replace("mean = 0\n", f"mean = {mean}\n").replace("std = 1\n", f"std = {std}\n")
    (out / "task.toml").write_text(f"threshold = {threshold:.4f}\n".join(_around(text, "threshold")))


def _around(text: str, key: str) -> tuple[str, str]:
    """The lines before and after that of a key."""
    before, _, rest = text.partition(f"{key} = ")
    return before, rest.partition("\n")[2]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
