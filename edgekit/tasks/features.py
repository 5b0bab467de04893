"""From samples of sound to features, in NumPy: the reference of ``firmware_stubs/linux/sound_features.c``, bit for bit.

A frame of samples is windowed (Hann), transformed (a Fourier transform of a power of two), its magnitudes or powers are
summed in bands of the mel scale, of which the logarithm is taken, and of that a DCT-II. All arithmetic is in float64,
in one order, with the functions of :mod:`edgekit.tasks.exact`.

Conventions differ between libraries: librosa's (McFee et al., SciPy 2015; ``librosa.filters.mel``) and those of
``tf.signal`` are offered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks.exact import Floats, exponential, logarithm, turned

MOST_FFT, MOST_BANDS = 16384, 512
_LN10 = 2.302585092994045684
_AT_ONCE, _MOST_AT_ONCE = 512, 1 << 21
"""Frames, and samples in them, so that memory stays small."""


class Mel(StrEnum):
    """The mel scale, and the form of a band on it."""

    SLANEY = "slaney"
    """Linear below 1 kHz, logarithmic above (Slaney's Auditory Toolbox); triangles in Hz of one area, as librosa's."""
    HTK = "htk"
    """Logarithmic (HTK); triangles in Hz, 1 high, as torchaudio's."""
    TENSORFLOW = "tensorflow"
    """Logarithmic (HTK); triangles in mels, 1 high, as tf.signal's."""


class Log(StrEnum):
    """What becomes of a band's sum."""

    LN = "ln"
    LOG10 = "log10"
    DB = "db"
    """Ten times the decimal logarithm of a power, twenty times that of a magnitude."""


@dataclass(frozen=True)
class Bands:
    """A front end for sound.

    :param window: samples of a frame. :param hop: from frame to frame. :param fft: samples of the transform.
    :param begin: where in the clip the first frame begins; before 0 there is silence.
    :param bands: from ``low`` to ``high`` Hz. :param power: 1 for magnitudes, 2 for powers.
    :param floor: sums below count as this. :param add: what is added to a sum before.
    :param coefficients: of the DCT, the first; 0: there is none. :param ortho: the DCT is orthonormal.
    :param even: an odd window is symmetric, as in ``tf.signal``; others are periodic.
    """

    window: int
    hop: int
    fft: int
    begin: int
    bands: int
    low: float
    high: float
    mel: Mel
    power: int
    log: Log
    floor: float
    add: float
    coefficients: int
    ortho: bool
    even: bool

    @property
    def features(self) -> int:
        """Of a frame."""
        return self.coefficients or self.bands


@dataclass(frozen=True)
class _Tables:
    window: Floats
    cosine: Floats
    sine: Floats
    weights: Floats
    """``[fft / 2 + 1, bands]``"""
    dct: Floats
    """``[coefficients, bands]``"""


@lru_cache(maxsize=16)
def _tables(spec: Bands, rate: int) -> _Tables:
    cosine, sine = turned(np.arange(spec.fft // 2), spec.fft)
    return _Tables(hann(spec), cosine, sine, weights(spec, rate), dct(spec))


def hann(spec: Bands) -> Floats:
    """The window, ``[window]``."""
    period = spec.window - 1 if spec.even and spec.window % 2 else spec.window
    made: Floats = 0.5 - 0.5 * turned(np.arange(spec.window), max(period, 1))[0]
    return made


def _mels(hertz: Floats, mel: Mel) -> Floats:
    """On the scale; that of HTK up to a factor, which nothing depends on."""
    high = logarithm(np.maximum(hertz, 1000.0) / 1000.0) * (27.0 / logarithm(np.array(6.4))) + 15.0
    slaney = np.where(hertz < 1000.0, hertz * 3.0 / 200.0, high)
    return slaney if mel is Mel.SLANEY else logarithm(1.0 + hertz / 700.0)


def _hertz(mels: Floats, mel: Mel) -> Floats:
    high = 1000.0 * exponential((mels - 15.0) * (logarithm(np.array(6.4)) / 27.0))
    slaney = np.where(mels < 15.0, mels * 200.0 / 3.0, high)
    return slaney if mel is Mel.SLANEY else 700.0 * (exponential(mels) - 1.0)


def weights(spec: Bands, rate: int) -> Floats:
    """How much of each bin is in each band, ``[fft / 2 + 1, bands]``."""
    bins = np.arange(spec.fft // 2 + 1) * float(rate) / spec.fft
    low, high = _mels(np.array([spec.low, spec.high]), spec.mel)
    if spec.mel is Mel.TENSORFLOW:
        position = positions(spec, rate)[:, None]
        band = np.arange(spec.bands, dtype=np.float64)[None]
        made: Floats = np.maximum(np.minimum(position - band, band + 2.0 - position), 0.0)
        made[0] = 0.0
        return made
    edges = _hertz(low + np.arange(spec.bands + 2) * ((high - low) / (spec.bands + 1)), spec.mel)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins[:, None] - left) / (middle - left), (right - bins[:, None]) / (right - middle)
    made = np.maximum(np.minimum(rising, falling), 0.0)
    if spec.mel is Mel.SLANEY:
        made = made * (2.0 / (right - left))
    return made


def positions(spec: Bands, rate: int) -> Floats:
    """Where each bin lies on the scale, counted in edges: band ``b`` rises from b to b + 1 and falls to b + 2."""
    low, high = _mels(np.array([spec.low, spec.high]), spec.mel)
    bins = np.arange(spec.fft // 2 + 1) * float(rate) / spec.fft
    made: Floats = (_mels(bins, spec.mel) - low) * (spec.bands + 1) / (high - low)
    return made


def dct(spec: Bands) -> Floats:
    """How much of each band is in each coefficient, ``[coefficients, bands]``."""
    count, number = spec.bands, np.arange(spec.coefficients)[:, None]
    cosine, _ = turned(number * (2 * np.arange(count) + 1), 4 * count)
    first = np.where((number == 0) & spec.ortho, np.sqrt(1.0 / count), np.sqrt(2.0 / count))
    made: Floats = cosine * first
    return made


def features(clips: Floats, frames: int, spec: Bands, rate: int) -> Floats:
    """Features of clips ``[n, samples]``, float64 ``[n, frames, features]``; beyond a clip there is silence."""
    made = np.empty((len(clips), frames, spec.features))
    at_once = max(1, min(_AT_ONCE, _MOST_AT_ONCE // spec.fft))
    for first in range(0, frames, at_once):
        part = slice(first, min(first + at_once, frames))
        index = spec.begin + np.arange(part.start, part.stop)[:, None] * spec.hop + np.arange(spec.window)
        inside = (index >= 0) & (index < clips.shape[1])
        taken = np.where(inside, index, 0)
        together = max(1, at_once // len(index))
        for start in range(0, len(clips), together):
            rows = np.where(inside, clips[start : start + together][:, taken], 0.0)
            found = _of_frames(rows.reshape(-1, spec.window), spec, rate)
            made[start : start + together, part] = found.reshape(-1, len(index), spec.features)
    return made


def _of_frames(frames: Floats, spec: Bands, rate: int) -> Floats:
    """``[n, window]`` -> ``[n, features]``."""
    tables = _tables(spec, rate)
    padded = np.zeros((len(frames), spec.fft))
    padded[:, : spec.window] = frames * tables.window
    re, im = _fft(padded, tables)
    half = spec.fft // 2 + 1
    powers = re[:, :half] * re[:, :half] + im[:, :half] * im[:, :half]
    spectrum = np.sqrt(powers) if spec.power == 1 else powers
    sums = np.zeros((len(frames), spec.bands))
    for number, row in enumerate(tables.weights):
        used = np.flatnonzero(row)
        if len(used):
            low, high = used[0], used[-1] + 1
            sums[:, low:high] += spectrum[:, number, None] * row[low:high]
    logs = logarithm(np.maximum(sums + spec.add, spec.floor))
    if spec.log is not Log.LN:
        logs = logs * (1.0 / _LN10 if spec.log is Log.LOG10 else 10.0 * (3 - spec.power) / _LN10)
    if not spec.coefficients:
        return logs
    made = np.zeros((len(frames), spec.coefficients))
    for band in range(spec.bands):
        made += logs[:, band, None] * tables.dct[:, band]
    return made


def _fft(values: Floats, tables: _Tables) -> tuple[Floats, Floats]:
    """The transform of real values ``[n, fft]``, decimated in time."""
    points = values.shape[1]
    order = np.zeros(1, np.int64)
    while len(order) < points:
        order = np.concatenate([2 * order, 2 * order + 1])
    re, im = values[:, order], np.zeros_like(values)
    half = 1
    while half < points:
        step = points // (2 * half)
        cosine, sine = tables.cosine[::step][:half], tables.sine[::step][:half]
        re, im = (part.reshape(len(part), step, 2, half) for part in (re, im))
        x, y = re[:, :, 1], im[:, :, 1]
        tr, ti = cosine * x + sine * y, cosine * y - sine * x
        re = np.stack([re[:, :, 0] + tr, re[:, :, 0] - tr], axis=2).reshape(-1, points)
        im = np.stack([im[:, :, 0] + ti, im[:, :, 0] - ti], axis=2).reshape(-1, points)
        half *= 2
    return re, im


def clip(samples: NDArray[np.int16] | NDArray[np.float32]) -> Floats:
    """Samples of all channels ``[count, channels]`` as float64 ``[count]``: 32768 is 1; the channels' mean.

    What is not finite counts as silence.
    """
    values = samples.astype(np.float64)
    if samples.dtype == np.int16:
        values = values / 32768.0
    values = np.where(np.isfinite(values), values, 0.0)
    made: Floats = np.zeros(len(values))
    for channel in values.T:
        made += channel
    made /= values.shape[1]
    return made
