"""Synthetic speech: words spoken by the many voices of ``espeak-ng`` (Debian's package of that name).

No data set of recorded words can be had from a package registry, so this example makes its own. A network that is
trained on it learns how a synthesizer speaks. For a product, record people, or use the Speech Commands data set.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = (
    "bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine", "one", "seven", "sheila",
    "six", "three", "tree", "two", "wow", "zero", "water", "garden", "music", "paper", "window", "morning",
)  # fmt: skip
SILENCE, UNKNOWN = "silence", "unknown"
LABELS = (SILENCE, UNKNOWN, *KEYWORDS)
"""Classes, by number."""

RATE, SAMPLES = 16_000, 16_000
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
VOICES = (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee",
    "Mario", "Michael", "Mike", "Nguyen", "Steph", "Steph2", "Steph3", "adam", "anika", "antonio", "aunty", "belinda",
    "benjamin", "boris", "caleb", "david", "ed", "edward", "edward2", "f1", "f2", "f3", "f4", "f5", "grandma",
    "grandpa", "iven", "iven2", "iven3", "john", "kaukovalta", "linda", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8",
    "marcelo", "marco", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert",
    "sandro", "shelby", "travis", "victor", "zac",
)  # fmt: skip
"""Of espeak-ng's variants, those that sound like people."""
SILENT = 200
"""A sample below this is between words."""
OTHERS_PER_SPEAKER = 8
NOISES = 200
"""Seconds of noise, of which each clip takes one, rotated."""


@dataclass(frozen=True)
class Speaker:
    """Who speaks. ``pitch``: 0 to 99; ``speed``: words per minute."""

    voice: str
    accent: str
    pitch: int
    speed: int


@dataclass(frozen=True)
class Word:
    """A spoken word: int16 samples at 16 kHz, at most a second of them."""

    text: str
    voice: str
    samples: NDArray[np.int16]


def speakers(count: int, voices: Sequence[str], seed: int) -> list[Speaker]:
    """Draw speakers; each voice is drawn as often as any other."""
    generator = np.random.default_rng(seed)
    order = [voices[i % len(voices)] for i in range(count)]
    return [
        Speaker(
            voice, str(generator.choice(ACCENTS)), int(generator.integers(25, 80)), int(generator.integers(120, 200))
        )
        for voice in order
    ]


def spoken(people: Sequence[Speaker], seed: int) -> list[Word]:
    """Let each speaker say all keywords and some other words."""
    generator = np.random.default_rng(seed)
    texts = [
        (*KEYWORDS, *map(str, generator.choice(OTHERS, OTHERS_PER_SPEAKER, replace=False))) for _ in range(len(people))
    ]
    with ThreadPoolExecutor(2) as pool:
        return [word for words in pool.map(say, people, texts) for word in words]


def say(speaker: Speaker, texts: Sequence[str]) -> list[Word]:
    """Let a speaker say words; those that cannot be told apart afterwards are left out, all of them."""
    markup = '<break time="600ms"/>'.join(texts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = [
            program(), "-v", f"{speaker.accent}+{speaker.voice}", "-p", str(speaker.pitch), "-s", str(speaker.speed),
            "-m", "-w", str(path), f"<speak>{markup}</speak>",
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        samples = read_wav(path)
    parts = separated(samples)
    if len(parts) != len(texts):
        return []
    return [Word(text, speaker.voice, part) for text, part in zip(texts, parts, strict=True) if len(part) <= SAMPLES]


def program() -> str:
    """Return the synthesizer."""
    found = shutil.which("espeak-ng")
    if found is None:
        sys.exit("espeak-ng is missing; it speaks the words. Type: sudo apt-get install -y espeak-ng")
    return found


def separated(samples: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    """Cut at pauses of at least a quarter of a second."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= SILENT)
    if not len(loud):
        return []
    cuts = np.flatnonzero(np.diff(loud) >= RATE // 4)
    starts, ends = np.r_[loud[0], loud[cuts + 1]], np.r_[loud[cuts], loud[-1]]
    margin = RATE // 50
    return [samples[max(0, start - margin) : end + margin] for start, end in zip(starts, ends, strict=True)]


def read_wav(path: Path) -> NDArray[np.int16]:
    """Return a file's samples, 16 bits and one channel, at 16 kHz."""
    with wave.open(str(path)) as file:
        if file.getsampwidth() != 2 or file.getnchannels() != 1:
            sys.exit(f"{path}: not 16 bits and one channel. Type: sox {path} -b 16 -c 1 -r {RATE} mono.wav")
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
    return samples if rate == RATE else resampled(samples, rate)


def resampled(samples: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
    """Resample to 16 kHz, by the spectrum."""
    whole = -(-max(1, len(samples)) // rate) * rate
    spectrum = np.fft.rfft(np.pad(samples.astype(np.float64), (0, whole - len(samples))))
    length = whole * RATE // rate
    kept = np.zeros(length // 2 + 1, np.complex128)
    most = min(len(kept), len(spectrum))
    kept[:most] = spectrum[:most]
    result = np.fft.irfft(kept, length) * (length / whole)
    return np.clip(np.rint(result[: len(samples) * RATE // rate]), -32768, 32767).astype(np.int16)


def write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    """Write 16 bits, one channel, 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def clips(words: Sequence[Word], copies: int, seed: int) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Put each word somewhere into a second of noise, several times; add seconds of noise alone.

    Returns int16 ``[n, 16000]`` and classes ``[n]``, in random order.
    """
    generator = np.random.default_rng(seed)
    sounds = [noise(generator) for _ in range(NOISES)]

    def noisy(deviation: float) -> NDArray[np.float64]:
        sound = sounds[generator.integers(NOISES)]
        return np.asarray(deviation * np.roll(sound, generator.integers(SAMPLES)))

    texts = [word for word in words for _ in range(copies)]
    silent = len(texts) // (len(KEYWORDS) + 2)
    result = np.zeros((len(texts) + silent, SAMPLES), np.int16)
    classes = [LABELS.index(word.text) if word.text in LABELS else LABELS.index(UNKNOWN) for word in texts]
    for clip, word in zip(result, texts, strict=False):
        loudness = 10 ** generator.uniform(-1.0, -0.05)
        speech = word.samples * (loudness * 32767 / max(1, int(np.abs(word.samples.astype(np.int32)).max())))
        sound = noisy(loudness * 32767 * 10 ** generator.uniform(-3.0, -1.0))
        start = int(generator.integers(0, SAMPLES - len(speech) + 1))
        sound[start : start + len(speech)] += speech
        clip[:] = np.clip(np.rint(sound), -32768, 32767)
    for clip in result[len(texts) :]:
        clip[:] = np.clip(np.rint(noisy(10 ** generator.uniform(-1.0, 3.5))), -32768, 32767)
    labels = np.array(classes + [LABELS.index(SILENCE)] * silent, np.int64)
    order = generator.permutation(len(labels))
    return result[order], labels[order]


def noise(generator: np.random.Generator) -> NDArray[np.float64]:
    """A second of noise with a spectrum between white and brown, and a standard deviation of 1."""
    spectrum = np.fft.rfft(generator.standard_normal(SAMPLES))
    spectrum *= np.maximum(np.arange(len(spectrum)), 20.0) ** -generator.uniform(0, 1)
    result = np.fft.irfft(spectrum, SAMPLES)
    return np.asarray(result / result.std())
