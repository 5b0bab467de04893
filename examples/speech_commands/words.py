"""Speaks words, and trains a network to tell them apart, with plain Keras: ``python words.py FOLDER``.

Speech and network are those of ``examples/keyword_spotting``, which runs on a microcontroller. The features are those
that ``task.toml`` describes, by the definition that ``edgekit run`` and the board use.
"""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1] / "keyword_spotting"))

import numpy as np
import speech
import train
from numpy.typing import NDArray

from edgekit.tasks import features, sound_file

SPEAKERS, TESTERS, CHANNELS, EPOCHS = 100, 25, 40, 10
KEPT = {"calibration": 25, "test": 40}
"""WAV files of each word that are written, at most."""


def heard(clips: NDArray[np.int16]) -> NDArray[np.float32]:
    """The features of clips ``[n, samples]``, ``[n, frames, coefficients, 1]``."""
    table = tomllib.loads(Path(__file__).with_name("task.toml").read_text())["sound"]
    spec = sound_file.bands(table, table["rate"], coefficients=True)
    frames = sound_file.frames(spec, clips.shape[1])
    made = features.features(clips / 32768, frames, spec, table["rate"])
    return made.astype(np.float32)[..., np.newaxis]


def write(folder: Path, clips: NDArray[np.int16], labels: NDArray[np.int64], most: int) -> None:
    """WAV files in a folder for each word."""
    for number, name in enumerate(speech.LABELS):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for place in np.flatnonzero(labels == number)[:most].tolist():
            speech.write_wav(folder / name / f"{place:05}.wav", clips[place])


def main(out: Path) -> None:
    """Speak, write WAV files, train."""
    spoken = {
        "calibration": speech.spoken(speech.speakers(SPEAKERS, train.TRAINING_VOICES, seed=1), seed=1),
        "test": speech.spoken(speech.speakers(TESTERS, train.TEST_VOICES, seed=2), seed=2),
    }
    made = {name: speech.clips(words, copies=2 - (name == "test"), seed=1) for name, words in spoken.items()}
    for name, (clips, labels) in made.items():
        write(out / name, clips, labels, KEPT[name])
    clips, labels = made["test"]
    write(out / "heard", clips[::-1], labels[::-1], 1)
    clips, labels = made["calibration"]
    model = train.train(heard(clips), labels, CHANNELS, EPOCHS, seed=0)
    model.save(out / "words.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
