"""Read ``.npz`` files from others: no pickles, and sizes are checked before anything is unpacked."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.files import archives

MAX_BYTES = 4 << 30
"""Largest data that is read, in bytes of all arrays together, unpacked."""

NUMBERS = "biuf"
"""Booleans, integers and floats."""

MAX_TEXT = 256
"""Bytes of a text, at most; four per character."""


def read(
    path: Path, *, texts: Collection[str] = (), most: int | None = None, kinds: str = NUMBERS
) -> dict[str, NDArray[Any]]:
    """Read all arrays of an ``.npz``.

    :param texts: names of the arrays that may hold short texts instead of numbers.
    :param most: bytes of all arrays together. :param kinds: of numbers, as NumPy's letters.
    :raises UsageError: if it is not one, is damaged, too large, or holds objects.
    """
    try:
        with archives.opened(path) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
            total = sum(m.file_size for m in members)
            most = MAX_BYTES if most is None else most
            if total > most:
                raise UsageError(f"{path}: unpacks to {total >> 20} MiB, the limit is {most >> 20} MiB")
            arrays = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                with archive.open(member) as file:
                    arrays[name] = _read_array(file, member.file_size, f"{path}: {name}", name in texts, kinds)
            return arrays
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UsageError:
        raise
    except Exception as error:  # zlib, zipfile and numpy's header parser (a Python tokenizer) raise many kinds
        raise UsageError(
            f"{path}: not an .npz, or damaged ({error})", "save it with np.savez(file, x=..., y=...)"
        ) from error


def _read_array(file: IO[bytes], size: int, name: str, text: bool, kinds: str = NUMBERS) -> NDArray[Any]:
    """Read one ``.npy`` whose header fits the ``size`` bytes it has."""
    version = np.lib.format.read_magic(file)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if header is None:
        raise ValueError(f"unknown .npy version {version}")
    shape, fortran, dtype = header(file)
    if dtype.kind not in kinds and not (text and dtype.kind in "US" and 0 < dtype.itemsize <= MAX_TEXT):
        what = "objects" if dtype.hasobject else str(dtype)
        expected = f"numbers or short texts (up to {MAX_TEXT // 4} letters)" if text else "numbers"
        raise UsageError(f"{name} holds {what}, expected {expected}", "save plain arrays of numbers")
    count = math.prod(shape)
    if count * dtype.itemsize > size:
        raise ValueError(f"{name} claims {count} values")
    values = np.frombuffer(file.read(count * dtype.itemsize), dtype=dtype)
    if dtype.kind == "U" and (values.view(np.dtype("u4").newbyteorder(dtype.byteorder)) > 0x10FFFF).any():
        raise ValueError(f"{name} holds invalid characters")
    return values.reshape(shape, order="F" if fortran else "C").astype(dtype.newbyteorder("="), order="C", copy=False)
