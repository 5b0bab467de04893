"""A small network that reads generated speech: each letter is a tone. And recordings for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, tflite
from edgekit.tasks import task
from edgekit.tasks.features import clip
from edgekit.tasks.sound import Sound
from tests.networks.hearing import RATE, wav
from tests.networks.small import Builder

FRAMES, BANDS = 96, 16
LABELS = ("_", "a", "b", "\u00e7", "d", "e", "|")
TONES = {"a": 300, "b": 600, "\u00e7": 1000, "d": 1600, "e": 2400, "|": 3500}
SPOKEN, PAUSE = 0.055, 0.045
"""Seconds of a letter, and of the silence that follows."""
TASK = f"""schema = 1
task = "speech-to-text"
labels = ["_", "a", "b", "\u00e7", "d", "e", "|"]
blank = "_"
separator = "|"
scores = "logits"

[sound]
rate = {RATE}
features = "log-mel"
window = 200
hop = 100
bands = {BANDS}
center = false
mean = -40
std = 20
"""


def speech(text: str, *, rate: int = RATE, seed: int = 0, first: float = 0.03) -> NDArray[np.int16]:
    """What a text sounds like, after ``first`` seconds of silence."""
    random = np.random.default_rng([seed, len(text)])
    parts = [np.zeros(int(first * rate))]
    for letter in text.replace(" ", "|"):
        t = np.arange(int(SPOKEN * rate)) / rate
        parts += [0.4 * np.sin(2 * np.pi * TONES[letter] * t), np.zeros(int(PAUSE * rate))]
    sound = np.concatenate(parts)
    return np.rint((sound + random.normal(0, 0.001, len(sound))) * 32767).astype(np.int16)


def network(*, last: bool = False) -> Graph:
    """``[1, frames, bands] -> [1, frames, labels]``, fitted to generated speech; ``last``: ``[1, labels, frames]``."""
    weights = _fitted()
    count = len(LABELS)
    b = Builder()
    x = b.tensor((1, FRAMES, BANDS), name="sound")
    rows = b.constant(np.array([FRAMES, BANDS], np.int32))
    flat = b.add("RESHAPE", (x, rows), (FRAMES, BANDS), options="Reshape", newShape=[FRAMES, BANDS])
    kernel, bias = b.constant(np.ascontiguousarray(weights[:-1].T)), b.constant(weights[-1])
    y = b.add("FULLY_CONNECTED", (flat, kernel, bias), (FRAMES, count), options="FullyConnected")
    if last:
        y = b.add("TRANSPOSE", (y, b.constant(np.array([1, 0], np.int32))), (count, FRAMES), options="Transpose")
    shape = [1, count, FRAMES] if last else [1, FRAMES, count]
    y = b.add("RESHAPE", (y, b.constant(np.array(shape, np.int32))), tuple(shape), options="Reshape", newShape=shape)
    return b.graph((x,), (y,))


def _fitted() -> NDArray[np.float32]:
    """Weights and bias by least squares: which letter is heard in each frame."""
    b = Builder()
    x = b.tensor((1, FRAMES, BANDS), name="sound")
    graph = b.graph((x,), (b.add("NONE", (x,), (1, FRAMES, len(LABELS))),))
    source = _source(graph)
    heard, right = [], []
    for number, letter in enumerate(LABELS[1:], 1):
        for seed in range(3):
            samples = speech(letter * 11, seed=seed)
            values = source.values(clip(samples[:, None]), graph.inputs[0])[0, 0]
            middle = np.arange(FRAMES) * 100 + 100 - int(0.03 * RATE)
            inside = middle % int((SPOKEN + PAUSE) * RATE)
            loud = (middle >= 0) & (inside < int(SPOKEN * RATE)) & (middle < 11 * int((SPOKEN + PAUSE) * RATE))
            heard.append(values)
            right.append(np.where(loud, number, 0))
    inputs = np.concatenate(heard).astype(np.float64)
    wanted = np.eye(len(LABELS))[np.concatenate(right)] * 12 - 6
    wide = np.hstack([inputs, np.ones((len(inputs), 1))])
    return np.linalg.solve(wide.T @ wide + 1e-3 * np.eye(BANDS + 1), wide.T @ wanted).astype(np.float32)


def _source(graph: Graph) -> Sound:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "task.toml").write_text(TASK)
        found = task.read(Path(folder) / "task.toml", graph).source
    assert isinstance(found, Sound)
    return found


def written(folder: Path, *, last: bool = False, more: str = "") -> Path:
    """The network's file, with its task beside it; ``more`` is added to ``[sound]``."""
    folder.mkdir(parents=True, exist_ok=True)
    tflite.write(network(last=last), folder / "model.tflite")
    (folder / "task.toml").write_text(TASK + more)
    return folder / "model.tflite"


SENTENCES = ("a bee", "abba", "ded \u00e7a", "cab".replace("c", "\u00e7"), "dad bed", "ebb", "a", "bead add")


def recordings(folder: Path, *, rate: int = RATE) -> Path:
    """WAV files of sentences, and their transcripts in a table."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file,text"]
    for number, text in enumerate(SENTENCES):
        (folder / f"{number}.wav").write_bytes(wav(speech(text, rate=rate, seed=number + 100), rate=rate))
        rows.append(f"{number}.wav,{text}")
    (folder / "transcripts.csv").write_text("\n".join(rows) + "\n")
    return folder
