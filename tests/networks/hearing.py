"""Small networks that hear: what they make of a tone is known. And WAV files for them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, tflite
from tests.networks.small import Builder

RATE, FRAMES, BANDS = 8000, 12, 16
LABELS = ("low", "high", "silence")
FRONT_END = f"""[sound]
rate = {RATE}
features = "log-mel"
window = 200
hop = 100
bands = {BANDS}
center = false
"""
KEYWORD_TASK = f"""schema = 1
task = "keyword"
labels = ["low", "high", "silence"]
top = 2
scores = "logits"

{FRONT_END}mean = -40
std = 20
"""
ANOMALY_TASK = f"""schema = 1
task = "anomaly"
threshold = 0.5

{FRONT_END}step = 400
mean = -40
std = 20
"""


def keyword() -> Graph:
    """Tells low tones from high ones, and both from silence, by the energy of bands; ``[1, frames, bands, 1]``."""
    flat = FRAMES * BANDS
    rows = np.zeros((3, FRAMES, BANDS), np.float32)
    rows[0, :, : BANDS // 2] = rows[1, :, BANDS // 2 :] = 12 / flat
    rows[0, :, BANDS // 2 :] = rows[1, :, : BANDS // 2] = -6 / flat
    rows[2] = -8 / flat
    b = Builder()
    x = b.tensor((1, FRAMES, BANDS, 1), name="sound")
    shape = b.constant(np.array([1, flat], np.int32))
    line = b.add("RESHAPE", (x, shape), (1, flat), options="Reshape", newShape=[1, flat])
    bias = b.constant(np.float32([0, 0, -4]))
    y = b.add("FULLY_CONNECTED", (line, b.constant(rows.reshape(3, flat)), bias), (1, 3), options="FullyConnected")
    return b.graph((x,), (y,))


def encoder() -> Graph:
    """Keeps the low bands and loses the high ones; ``[1, frames * bands]``."""
    flat = FRAMES * BANDS
    keep = np.tile((np.arange(BANDS) < BANDS // 2).astype(np.float32), FRAMES)
    b = Builder()
    x = b.tensor((1, flat), name="sound")
    bias = b.constant(np.float32((1 - keep) * -1.2))
    y = b.add("FULLY_CONNECTED", (x, b.constant(np.diag(keep)), bias), (1, flat), options="FullyConnected")
    return b.graph((x,), (y,))


NETWORKS = {"keyword": (keyword, KEYWORD_TASK), "anomaly": (encoder, ANOMALY_TASK)}


def written(folder: Path, kind: str) -> Path:
    """A network's file, with its task beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    network, task = NETWORKS[kind]
    tflite.write(network(), folder / "model.tflite")
    (folder / "task.toml").write_text(task)
    return folder / "model.tflite"


def tone(hertz: float, count: int = 1300, seed: int = 0) -> NDArray[np.int16]:
    """A tone, or with 0 none, in a little noise."""
    sound = np.random.default_rng([seed, int(hertz)]).normal(0, 0.001, count)
    if hertz:
        sound += 0.5 * np.sin(2 * np.pi * hertz * np.arange(count) / RATE)
    return np.rint(sound * 32767).astype(np.int16)


def wav(samples: NDArray[Any], *, rate: int = RATE, kind: int = 1, bits: int = 0) -> bytes:
    """A WAV file of samples ``[count]`` or ``[count, channels]``."""
    channels, width = (samples.shape[1] if samples.ndim > 1 else 1), samples.dtype.itemsize
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * channels * width, channels * width, bits or 8 * width)
    data = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def recordings(folder: Path, kind: str) -> Path:
    """Two WAV files of each class, in folders."""
    tones = {"low": 500, "high": 3000, "silence": 0}
    if kind == "anomaly":
        tones = {"normal": 500, "broken": 3000}
    for name, hertz in tones.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            count = 2500 if kind == "anomaly" else 1400 + 800 * number
            (folder / name / f"{number}.wav").write_bytes(wav(tone(hertz, count, number)))
    return folder
