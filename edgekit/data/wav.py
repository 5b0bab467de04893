"""WAV files: RIFF with 16-bit integers or 32-bit floats. They may come from anybody, so every size is checked."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError

SUFFIX = ".wav"
MAX_FILE_BYTES = 256 << 20
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_MOST_CHANNELS, _MOST_CHUNKS = 64, 1000
_DTYPES: dict[tuple[int, int], np.dtype[Any]] = {(_PCM, 16): np.dtype("<i2"), (_FLOAT, 32): np.dtype("<f4")}


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
    if (dtype := _DTYPES.get((kind, bits))) is None:
        word = {_PCM: f"{bits}-bit integers", _FLOAT: f"{bits}-bit floats"}.get(kind, f"of a compressed form ({kind})")
        raise ValueError(f"its samples are {word}; 16-bit integers and 32-bit floats are read")
    if not 1 <= channels <= _MOST_CHANNELS or frame != channels * dtype.itemsize or not rate:
        raise ValueError(f"a damaged WAV file: {channels} channels, {frame} bytes for all, {rate} samples a second")
    if len(found.get(b"data", b"")) < frame:
        raise ValueError("it has no samples")
    whole = len(found[b"data"]) // frame
    samples = np.frombuffer(found[b"data"][: whole * frame], dtype).reshape(whole, channels)
    return Recording(rate, samples)


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
