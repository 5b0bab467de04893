"""WAV files: RIFF with integers or floats. They may come from anybody, so every size is checked."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError

SUFFIX = ".wav"
MAX_FILE_BYTES = 256 << 20
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_MOST_CHANNELS, _MOST_CHUNKS = 64, 1000
_Samples = NDArray[np.int16] | NDArray[np.float32]


def _of_bytes(data: NDArray[np.uint8]) -> _Samples:
    """8 bits, of which 128 is silence."""
    return (data.astype(np.int16) - 128) * np.int16(256)


def _of_three(data: NDArray[np.uint8]) -> _Samples:
    """24 bits, which are exact in float32."""
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = data.reshape(-1, 3)
    return (wide.view("<i4")[:, 0] >> 8).astype(np.float32) / np.float32(1 << 23)


_READERS: dict[tuple[int, int], Callable[[NDArray[np.uint8]], _Samples]] = {
    (_PCM, 8): _of_bytes, (_PCM, 16): lambda data: data.view("<i2"), (_PCM, 24): _of_three,
    (_PCM, 32): lambda data: (data.view("<i4") / (1 << 31)).astype(np.float32),
    (_FLOAT, 32): lambda data: data.view("<f4"), (_FLOAT, 64): lambda data: _single(data.view("<f8")),
}  # fmt: skip
"""Samples of one kind and so many bits."""


def _single(samples: NDArray[np.float64]) -> NDArray[np.float32]:
    """What is beyond the range of float32 becomes infinite."""
    with np.errstate(over="ignore"):
        return samples.astype(np.float32)


@dataclass(frozen=True)
class Recording:
    """Samples of all channels, int16 or float32 ``[count, channels]``, ``rate`` per second."""

    rate: int
    samples: NDArray[np.int16] | NDArray[np.float32]


def read(path: Path) -> Recording:
    """Read a file.

    :raises UsageError: with one line on what is wrong.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"{path}: a sound of over {MAX_FILE_BYTES >> 20} MiB is too large to read", "cut it")
    try:
        return parsed(data)
    except ValueError as error:
        raise UsageError(f"{path}: {error}", "convert it: sox in.wav -b 16 -e signed-integer out.wav") from error


def parsed(data: bytes) -> Recording:
    """Read a file's bytes.

    :raises ValueError: with what is wrong.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("not a WAV file")
    found = _chunks(data)
    if b"fmt " not in found or len(found[b"fmt "]) < 16:
        raise ValueError("a damaged WAV file: it does not say what its samples are")
    kind, channels, rate, _, frame, bits = struct.unpack("<HHIIHH", found[b"fmt "][:16])
    if kind == _EXTENSIBLE and len(found[b"fmt "]) >= 26:
        (kind,) = struct.unpack("<H", found[b"fmt "][24:26])
    if (reader := _READERS.get((kind, bits))) is None:
        word = {_PCM: f"{bits}-bit integers", _FLOAT: f"{bits}-bit floats"}.get(kind, f"of a compressed form ({kind})")
        raise ValueError(f"its samples are {word}; integers of 8, 16, 24 and 32 bits and floats are read")
    if not 1 <= channels <= _MOST_CHANNELS or frame != channels * bits // 8 or not rate:
        raise ValueError(f"a damaged WAV file: {channels} channels, {frame} bytes for all, {rate} samples a second")
    if len(found.get(b"data", b"")) < frame:
        raise ValueError("it has no samples")
    whole = len(found[b"data"]) // frame
    samples = reader(np.frombuffer(found[b"data"][: whole * frame], np.uint8))
    return Recording(rate, samples.reshape(whole, channels))


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The chunks up to the samples; of those with one name, the first."""
    found: dict[bytes, bytes] = {}
    at, seen = 12, 0
    while at + 8 <= len(data) and b"data" not in found:
        seen += 1
        if seen > _MOST_CHUNKS:
            raise ValueError(f"a damaged WAV file: there are over {_MOST_CHUNKS} chunks before its samples")
        name, (size,) = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])
        content = data[at + 8 : at + 8 + size]
        if len(content) < size:
            raise ValueError(f"cut off: it should have {size} bytes of {name!r} and has {len(content)}")
        found.setdefault(name, content)
        at += 8 + size + size % 2
    return found
