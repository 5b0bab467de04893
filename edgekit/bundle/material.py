"""Source material in a bundle: pictures of which golden inputs were made, and what is decided on them.

``material.npz`` holds the pictures, ``decisions.json`` the reference's decisions, so that a proof can begin before the
network's input and end after its outputs. The C runner reads the material as ``firmware_stubs/linux/decide.h`` says.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import npz
from edgekit.errors import CheckFailed, UsageError
from edgekit.files import plain_files
from edgekit.files.documents import dumps, loads
from edgekit.tasks.parts import Line

PICTURES, DECISIONS = "material.npz", "decisions.json"
MOST, MOST_PIXELS = 4, 1 << 18
"""Pictures in a bundle, and pixels of each."""
SCHEMA = 1
_PREFIX = "picture"
_MOST_VALUES = 8_000_000
_MOST_BYTES, _MOST_JSON = 16 << 20, 16 << 20
_PICTURE = 1


@dataclass(frozen=True)
class Material:
    """Pictures and what the reference decides on them.

    :param rows: which golden sample is made of each. :param pictures: uint8 ``[h, w, 3]`` in RGB.
    :param decisions: the reference's, as JSON documents.
    """

    rows: tuple[int, ...]
    pictures: tuple[NDArray[np.uint8], ...]
    decisions: tuple[Any, ...] = ()

    def packed(self) -> bytes:
        """The C runner's file."""
        return b"".join(
            struct.pack("<4I", _PICTURE, picture.shape[1], picture.shape[0], picture.size) + picture.tobytes()
            for picture in self.pictures
        )


@dataclass(frozen=True)
class Made:
    """What the C library made of the material.

    :param inputs, outputs: the network's: one array each, ``[samples, *tensor shape]``, in the tensor's dtype.
    :param lines: the decision on each sample.
    """

    inputs: Sequence[NDArray[Any]]
    outputs: Sequence[NDArray[Any]]
    lines: Sequence[Sequence[Line]]


def save(folder: Path, material: Material) -> None:
    """Write both files into a bundle's folder; the same material gives the same bytes."""
    named = {f"{_PREFIX}{row}": picture for row, picture in zip(material.rows, material.pictures, strict=True)}
    np.savez_compressed(folder / PICTURES, allow_pickle=False, **named)
    document = {"schema": SCHEMA, "decisions": list(material.decisions)}
    (folder / DECISIONS).write_text(dumps(document) + "\n")


def read(folder: Path, samples: int) -> Material | None:
    """Read the material of a bundle with so many golden samples; None if it has none.

    :raises CheckFailed: if it is damaged.
    """
    if not (folder / PICTURES).is_file():
        return None
    try:
        found = npz.read(folder / PICTURES, most=_MOST_BYTES, kinds="u")
        with plain_files.opened(folder, DECISIONS) as file:
            text = file.read(_MOST_JSON + 1)
        if len(text) > _MOST_JSON:
            raise ValueError(f"{DECISIONS} has over {_MOST_JSON >> 20} MiB")
        document = loads(text, _MOST_VALUES)
        if document["schema"] != SCHEMA or len(document["decisions"]) != len(found):
            raise ValueError(f"{DECISIONS} is not about these {len(found)} pictures")
        rows = [_row(name, samples) for name in found]
        for name, picture in found.items():
            _checked(name, picture)
        return Material(tuple(rows), tuple(found.values()), tuple(document["decisions"]))
    except (UsageError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckFailed(f"{PICTURES} is damaged: {error}", "compile the bundle again") from error


def _row(name: str, samples: int) -> int:
    number = name.removeprefix(_PREFIX)
    if not name.startswith(_PREFIX) or not number.isdecimal() or int(number) >= samples:
        raise ValueError(f"{name!r} is not of a golden sample")
    return int(number)


def _checked(name: str, picture: NDArray[Any]) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size > 0:
        raise ValueError(f"{name} is no picture")
    if picture.shape[0] * picture.shape[1] > MOST_PIXELS:
        raise ValueError(f"{name} has over {MOST_PIXELS} pixels")


def same(first: Any, second: Any) -> bool:
    """True if two decisions, as JSON documents, are equal in every bit."""
    return dumps(first, sort_keys=True) == dumps(second, sort_keys=True)
