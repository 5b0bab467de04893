"""MFCC features in integer arithmetic: what ``firmware_stubs/audio/ek_mfcc.c`` computes on a device, bit for bit.

The definition is that of ``tf.signal``: a periodic Hann window, magnitudes of a real Fourier transform, triangular
bands on the HTK mel scale, ``log(band + 1e-6)`` and a DCT-II times sqrt(2 / bands). The default :class:`Mfcc` is the
front end of MLPerf Tiny's keyword spotting task. Samples are int16, where 32768 is 1.0; coefficients have 16 fractional
bits (Q16). :func:`real` is the definition itself, in float64.

Precision: a frame is scaled to its largest sample, and the transform keeps 20 fractional bits. Magnitudes have 15 to 16
significant bits, logarithms an error below 2e-5, the DCT's constants 16 fractional bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.tasks import features
from edgekit.tasks.features import Bands, Log, Mel

Integers = NDArray[np.int64]
Q = 16
"""Fractional bits of a coefficient."""
OFFSET = 1e-6
"""What the logarithm adds to a band, so that silence has one."""
MOST_FFT = 1024
"""Samples of a window, at most: beyond, 32 bits overflow."""
_AT_ONCE = 256
"""Frames, so that intermediate arrays stay in a processor's cache."""
_TWIDDLE, _RISE, _WINDOW, _DCT, _LOG = 30, 15, 15, 16, 7
"""Fractional bits of constants; of the logarithm, those that index its table."""
_SAMPLE = 20
"""Fractional bits of a windowed sample at full scale."""
BAND = _SAMPLE + 1 + _RISE
"""Fractional bits of a band's sum at full scale."""
_LEAST = 1e-30
"""Below any band, since ``OFFSET`` is added."""


@dataclass(frozen=True)
class Mfcc:
    """A front end.

    :param rate: samples per second. :param window: samples in a frame. :param stride: from frame to frame.
    :param bands: on the mel scale, from ``low`` to ``high`` Hz. :param coefficients: of the DCT, the first.
    :raises UsageError: if a value is out of range.
    """

    rate: int = 16_000
    window: int = 480
    stride: int = 320
    bands: int = 40
    low: float = 20.0
    high: float = 4_000.0
    coefficients: int = 10

    def __post_init__(self) -> None:
        limits = [
            (2 <= self.window <= MOST_FFT, f"window is {self.window} samples: 2 to {MOST_FFT}"),
            (1 <= self.stride <= 65_535, f"stride is {self.stride} samples: 1 to 65535"),
            (4 <= self.bands <= 128, f"bands is {self.bands}: 4 to 128"),
            (0 <= self.low < self.high <= self.rate / 2, f"bands from {self.low:g} to {self.high:g} Hz of {self.rate}"),
            (1 <= self.coefficients <= self.bands, f"coefficients is {self.coefficients}: 1 to {self.bands}"),
        ]  # fmt: skip
        for valid, reason in limits:
            if not valid:
                raise UsageError(f"MFCC: {reason}")

    @property
    def definition(self) -> Bands:
        """What the integers approximate."""
        return Bands(
            self.window, self.stride, self.fft, 0, self.bands, self.low, self.high, Mel.TENSORFLOW, 1, Log.LN, _LEAST,
            OFFSET, self.coefficients, ortho=False, even=True,
        )  # fmt: skip

    @property
    def fft(self) -> int:
        """Samples of the transform: the next power of two, at least 8."""
        return max(8, 1 << (self.window - 1).bit_length())

    def frames(self, samples: int) -> int:
        """Return how many whole frames lie in so many samples."""
        return max(0, (samples - self.window) // self.stride + 1)


@dataclass(frozen=True)
class Tables:
    """A front end's constants, as the device has them.

    :param window: Q15 ``[window]``. :param cosine: and ``sine``: Q30 ``[fft / 2]``, of ``2 pi k / fft``.
    :param first: bin of the transform. :param band: ``[bins]``, where a bin rises; in the band before it falls.
    :param rise: Q15 ``[bins]``. :param dct: Q16 ``[coefficients, bands]``, times ln 2.
    :param log: Q16 ``[128]``, log2 of ``1 + i / 128``.
    """

    window: Integers
    cosine: Integers
    sine: Integers
    first: int
    band: Integers
    rise: Integers
    dct: Integers
    log: Integers


@lru_cache(maxsize=32)
def tables(spec: Mfcc) -> Tables:
    """Return a front end's constants."""
    turn = 2 * np.pi * np.arange(spec.fft // 2) / spec.fft
    position = features.positions(spec.definition, spec.rate)
    inside = np.flatnonzero((position[1:-1] > 0) & (position[1:-1] < spec.bands + 1)) + 1  # neither 0 Hz nor rate / 2
    band = np.floor(position[inside]).astype(np.int64)
    return Tables(
        window=_fixed(features.hann(spec.definition), _WINDOW),
        cosine=_fixed(np.cos(turn), _TWIDDLE),
        sine=_fixed(np.sin(turn), _TWIDDLE),
        first=int(inside[0]) if len(inside) else 1,
        band=band,
        rise=_fixed(position[inside] - band, _RISE),
        dct=_fixed(np.log(2) * features.dct(spec.definition), _DCT),
        log=_fixed(np.log2(1 + np.arange(1 << _LOG) / (1 << _LOG)), Q),
    )


def mfcc(samples: NDArray[np.int16], spec: Mfcc = Mfcc()) -> NDArray[np.int32]:
    """Return the coefficients of all whole frames in Q16, ``[..., frames, coefficients]``.

    :param samples: int16 ``[..., samples]``.
    """
    parts = [_coefficients(frames, spec) for frames in _chunks(samples, spec)]
    shape = (*samples.shape[:-1], spec.frames(samples.shape[-1]), spec.coefficients)
    return np.concatenate([np.zeros((0, spec.coefficients), np.int64), *parts]).astype(np.int32).reshape(shape)


def real(samples: NDArray[np.int16], spec: Mfcc = Mfcc()) -> NDArray[np.float64]:
    """Return the same by the definition, in float64 (:mod:`edgekit.tasks.features`)."""
    clips = samples.reshape(-1, samples.shape[-1]) / 32768
    made = features.features(clips, spec.frames(samples.shape[-1]), spec.definition, spec.rate)
    return made.reshape(*samples.shape[:-1], -1, spec.coefficients)


@dataclass(frozen=True)
class Quantization:
    """How coefficients become a network's int8 input: ``real = scale * (value - zero_point)``."""

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if not 2.0**-14 <= self.scale <= 2.0**14 or not -128 <= self.zero_point <= 127:
            raise UsageError(f"MFCC: scale {self.scale:g} and zero point {self.zero_point} do not suit int8 features")

    @property
    def multiplier(self) -> tuple[int, int]:
        """Return ``m`` and ``shift``: ``value = zero_point + coefficient * m / 2^shift``, with ``2^30 <= m < 2^31``."""
        fraction, exponent = np.frexp(1 / (self.scale * (1 << Q)))
        m = round(float(fraction) * (1 << 31))
        return (m, 31 - int(exponent)) if m < 1 << 31 else (m >> 1, 30 - int(exponent))


def quantized(coefficients: NDArray[np.int32], quantization: Quantization) -> NDArray[np.int8]:
    """Return a network's input for coefficients in Q16; rounded to the nearest, halves up."""
    m, shift = quantization.multiplier
    scaled = _rounded(coefficients.astype(np.int64) * m, shift) + quantization.zero_point
    return np.clip(scaled, -128, 127).astype(np.int8)


# The integers


def _fixed(values: NDArray[np.float64], bits: int) -> Integers:
    return np.rint(values * (1 << bits)).astype(np.int64)


def _rounded(values: Integers, bits: int) -> Integers:
    return (values + (1 << bits >> 1)) >> bits


def _chunks(samples: NDArray[np.int16], spec: Mfcc) -> Iterator[Integers]:
    """Yield all frames, some at a time."""
    if samples.dtype != np.int16 or samples.ndim < 1:
        raise UsageError(f"MFCC: samples are {samples.dtype} {list(samples.shape)}, not int16 [..., samples]")
    if not spec.frames(samples.shape[-1]):
        return
    views = np.lib.stride_tricks.sliding_window_view(samples, spec.window, axis=-1)[..., :: spec.stride, :]
    indices = list(np.ndindex(views.shape[:-2]))
    clips = max(1, _AT_ONCE // views.shape[-2])
    for start in range(0, len(indices), clips):
        part = np.concatenate([views[index] for index in indices[start : start + clips]])
        for frame in range(0, len(part), _AT_ONCE):
            yield part[frame : frame + _AT_ONCE].astype(np.int64)


def _coefficients(frames: Integers, spec: Mfcc) -> Integers:
    """``[n, window]`` -> Q16 ``[n, coefficients]``."""
    constants = tables(spec)
    largest = np.abs(frames).max(axis=1)
    shift = np.where(largest > 0, 15 - _bits(np.maximum(largest, 1) - 1), 0)[:, None]
    windowed = _rounded((frames << shift) * constants.window, _WINDOW + 15 - _SAMPLE)
    bands = _bands(_magnitudes(windowed, spec), spec) + (round(OFFSET * (1 << BAND)) << shift)
    logs = _log2(bands) - ((BAND + shift) << Q)
    return _rounded(logs @ constants.dct.T, _DCT)


def _magnitudes(windowed: Integers, spec: Mfcc) -> Integers:
    """Twice the magnitudes of the bins that are in a band, ``[n, bins]``."""
    constants, half = tables(spec), spec.fft // 2
    padded = np.zeros((len(windowed), spec.fft), np.int64)
    padded[:, : spec.window] = windowed
    re, im = _fft(padded[:, 0::2], padded[:, 1::2], spec)
    k = constants.first + np.arange(len(constants.band))
    a, b, c, d = re[:, k], im[:, k], re[:, half - k], -im[:, half - k]
    cosine, sine = constants.cosine[k], constants.sine[k]
    x, y = a - c, b - d
    re2 = a + c + _rounded(cosine * y - sine * x, _TWIDDLE)
    im2 = b + d - _rounded(cosine * x + sine * y, _TWIDDLE)
    return _root(re2 * re2 + im2 * im2)


def _fft(re: Integers, im: Integers, spec: Mfcc) -> tuple[Integers, Integers]:
    """A complex transform, decimated in time, ``[n, fft / 2]``; nothing is scaled on the way."""
    constants, points = tables(spec), spec.fft // 2
    stages = points.bit_length() - 1
    order = np.zeros(1, np.int64)
    for _ in range(stages):
        order = np.concatenate([2 * order, 2 * order + 1])
    re, im = re[:, order], im[:, order]
    for stage in range(stages):
        half = 1 << stage
        turn = np.arange(half) * (points // half)
        cosine, sine = constants.cosine[turn], constants.sine[turn]
        re, im = (part.reshape(len(part), points // (2 * half), 2, half) for part in (re, im))
        x, y = re[:, :, 1], im[:, :, 1]
        tr, ti = _rounded(cosine * x + sine * y, _TWIDDLE), _rounded(cosine * y - sine * x, _TWIDDLE)
        re = np.stack([re[:, :, 0] + tr, re[:, :, 0] - tr], axis=2)
        im = np.stack([im[:, :, 0] + ti, im[:, :, 0] - ti], axis=2)
    return re.reshape(len(re), points), im.reshape(len(im), points)


def _bands(magnitudes: Integers, spec: Mfcc) -> Integers:
    constants = tables(spec)
    bands = np.zeros((len(magnitudes), spec.bands + 1), np.int64)
    for bin_, (band, rise) in enumerate(zip(constants.band.tolist(), constants.rise.tolist(), strict=True)):
        bands[:, band] += magnitudes[:, bin_] * rise
        if band > 0:
            bands[:, band - 1] += magnitudes[:, bin_] * ((1 << _RISE) - rise)
    return bands[:, : spec.bands]


def _bits(values: Integers) -> Integers:
    """Number of binary digits; values are not negative and below 2^62."""
    exponent = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    return np.asarray(exponent - (values < (1 << np.maximum(exponent - 1, 0))) * (values > 0))


def _root(values: Integers) -> Integers:
    """Square roots of the 31 or 32 leading bits, shifted back."""
    shift = np.maximum(_bits(values) - 31, 0) // 2
    return np.asarray(np.sqrt((values >> (2 * shift)).astype(np.float64)).astype(np.int64) << shift)


def _log2(values: Integers) -> Integers:
    """Q16, of positive values: a table of 128 intervals, and straight lines."""
    table = np.append(tables(Mfcc()).log, 1 << Q)
    bits = _bits(values)
    mantissa = np.where(bits > 32, values >> np.maximum(bits - 32, 0), values << np.maximum(32 - bits, 0))
    index, rest = (mantissa >> (31 - _LOG)) & ((1 << _LOG) - 1), (mantissa >> (15 - _LOG)) & 0xFFFF
    straight = _rounded((table[index + 1] - table[index]) * rest, 16)
    return np.asarray(((bits - 1) << Q) + table[index] + straight)
