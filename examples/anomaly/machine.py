"""The sound of a fan, made by formulas: sometimes with something wrong in it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE, SECONDS = 16_000, 2
FAULTS = ("click", "whistle", "rattle", "slow")


def recording(seed: int, fault: str | None = None) -> NDArray[np.int16]:
    """Two seconds of the fan in a hall; int16 ``[count]``."""
    random = np.random.default_rng([seed, 0 if fault is None else 1 + FAULTS.index(fault)])
    count = RATE * SECONDS
    t = np.arange(count) / RATE
    turns = random.uniform(46, 54) * (0.8 if fault == "slow" else 1)
    sway = 1 + 0.002 * np.sin(2 * np.pi * random.uniform(0.5, 2) * t)
    sound = np.zeros(count)
    for harmonic in range(1, 30):
        phase = 2 * np.pi * harmonic * turns * np.cumsum(sway) / RATE + random.uniform(0, 6)
        sound += (1.5 if harmonic % 7 == 0 else 0.5) * harmonic**-0.8 * random.uniform(0.8, 1.2) * np.sin(phase)
    air = np.fft.rfft(random.standard_normal(count))
    air *= 1 / (1 + (np.arange(len(air)) / count * RATE / 1500) ** 2)
    sound += 0.6 * np.fft.irfft(air, count) * (1 + 0.2 * np.sin(2 * np.pi * turns * t))
    sound += wrong(fault, t, turns, random)
    return np.clip(np.rint(sound * random.uniform(1500, 2200)), -32768, 32767).astype(np.int16)


def wrong(fault: str | None, t: NDArray[np.float64], turns: float, random: np.random.Generator) -> NDArray[np.float64]:
    """What a fault adds; a worn bearing clicks once per turn, a seal whistles, a screw rattles now and then."""
    if fault == "click":
        ring = np.exp(-((t * turns * 0.4) % 1) * 60)
        return np.asarray(random.uniform(0.6, 1.5) * ring * np.sin(2 * np.pi * random.uniform(3000, 5500) * t))
    if fault == "whistle":
        bend = np.cumsum(1 + 0.01 * np.sin(2 * np.pi * 3 * t)) / RATE
        return np.asarray(random.uniform(0.02, 0.1) * np.sin(2 * np.pi * random.uniform(2500, 6500) * bend))
    if fault == "rattle":
        now = np.repeat(random.random(len(t) // 400 + 1) < 0.15, 400)[: len(t)]
        return np.asarray(random.uniform(0.2, 0.6) * now * random.standard_normal(len(t)))
    return np.zeros(len(t))


def write(path: Path, samples: NDArray[np.int16]) -> None:
    """A WAV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
