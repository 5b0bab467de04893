"""Source material in a bundle, of which golden inputs were made: pictures, sound, texts or rows; what is decided on it.

``material.npz`` holds the material, ``decisions.json`` the reference's decisions, so that a proof can begin before the
network's input and end after its outputs. The C runner reads the material as ``firmware_stubs/linux/decide.h`` says.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import npz
from edgekit.data.wav import Recording
from edgekit.errors import CheckFailed, UsageError
from edgekit.files import plain_files
from edgekit.files.documents import dumps, loads
from edgekit.tasks.parts import Line
from edgekit.tasks.resample import MOST_RATE
from edgekit.tasks.row import MOST_COLUMNS, Cells

FILE, DECISIONS = "material.npz", "decisions.json"
MOST, MOST_PIXELS = 4, 1 << 18
"""Things in a bundle, and pixels of a picture."""
MOST_SAMPLES, MOST_LETTERS, MOST_CELL = 1 << 21, 100_000, 200
"""Of a recording; bytes of a text; letters of a cell."""
SCHEMA = 1
_PICTURES, _SOUNDS, _RATES, _TEXTS, _ROWS = "picture", "sound", "rate", "text", "row"
_NAME = re.compile(f"(?:{_PICTURES}|{_SOUNDS}|{_TEXTS}|{_ROWS})(0|[1-9][0-9]{{0,8}})")
_MOST_VALUES = 8_000_000
_MOST_BYTES, _MOST_JSON = 16 << 20, 16 << 20
_PICTURE, _SOUND, _TEXT, _ROW = 1, 2, 3, 4

Thing = NDArray[np.uint8] | Recording | str | Cells
"""A picture ``[h, w, 3]`` in RGB, sound of one channel in int16, a text, or a row."""


@dataclass(frozen=True)
class Material:
    """Pictures, recordings, texts or rows, and what the reference decides on them.

    :param rows: which golden sample is made of each. :param decisions: the reference's, as JSON documents.
    """

    rows: tuple[int, ...]
    things: tuple[Thing, ...]
    decisions: tuple[Any, ...] = ()

    def packed(self) -> bytes:
        """The C runner's file."""
        return b"".join(map(_record, self.things))


@dataclass(frozen=True)
class Made:
    """What the C library made of the material.

    :param inputs, outputs: the network's: one array each, ``[samples, *tensor shape]``, in the tensor's dtype.
    :param lines: the decision on each sample.
    """

    inputs: Sequence[NDArray[Any]]
    outputs: Sequence[NDArray[Any]]
    lines: Sequence[Sequence[Line]]


@dataclass(frozen=True)
class Failed:
    """The C library made nothing of the material; ``reason`` says why."""

    reason: str


def size_of(thing: Thing) -> tuple[int, int] | None:
    """Width and height of a picture."""
    return None if isinstance(thing, Recording | str | tuple) else (thing.shape[1], thing.shape[0])


def save(folder: Path, material: Material) -> None:
    """Write both files into a bundle's folder; the same material gives the same bytes."""
    named: dict[str, NDArray[Any]] = {}
    for row, thing in zip(material.rows, material.things, strict=True):
        if isinstance(thing, Recording):
            named[f"{_SOUNDS}{row}"], named[f"{_RATES}{row}"] = thing.samples, np.array([thing.rate], np.uint32)
        elif isinstance(thing, str):
            named[f"{_TEXTS}{row}"] = np.frombuffer(thing.encode(), np.uint8)
        elif isinstance(thing, tuple):
            named[f"{_ROWS}{row}"] = np.frombuffer(json.dumps(thing, ensure_ascii=False).encode(), np.uint8)
        else:
            named[f"{_PICTURES}{row}"] = thing
    np.savez_compressed(folder / FILE, allow_pickle=False, **named)
    document = {"schema": SCHEMA, "decisions": list(material.decisions)}
    (folder / DECISIONS).write_text(dumps(document) + "\n")


def read(folder: Path, samples: int) -> Material | None:
    """Read the material of a bundle with so many golden samples; None if it has none.

    :raises CheckFailed: if it is damaged.
    """
    if not (folder / FILE).is_file():
        return None
    try:
        found = npz.read(folder / FILE, most=_MOST_BYTES, kinds="ui")
        with plain_files.opened(folder, DECISIONS) as file:
            text = file.read(_MOST_JSON + 1)
        if len(text) > _MOST_JSON:
            raise ValueError(f"{DECISIONS} has over {_MOST_JSON >> 20} MiB")
        document = loads(text, _MOST_VALUES)
        named = [name for name in found if not name.startswith(_RATES)]
        if document["schema"] != SCHEMA or len(document["decisions"]) != len(named):
            raise ValueError(f"{DECISIONS} is not about these {len(named)} samples")
        rows = [_row(name, samples) for name in named]
        if not 0 < len(rows) <= MOST or len(set(rows)) < len(rows):
            raise ValueError(f"it does not hold 1 to {MOST} samples, each once")
        things = [_checked(name, found) for name in named]
        return Material(tuple(rows), tuple(things), tuple(document["decisions"]))
    except (UsageError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckFailed(f"{FILE} is damaged: {error}", "compile the bundle again") from error


def _record(thing: Thing) -> bytes:
    if isinstance(thing, Recording):
        return struct.pack("<4I", _SOUND, thing.rate, 1, thing.samples.nbytes) + thing.samples.tobytes()
    if isinstance(thing, str):
        return struct.pack("<4I", _TEXT, 0, 0, len(thing.encode())) + thing.encode()
    if isinstance(thing, tuple):
        cells = b"".join(map(_cell, thing))
        return struct.pack("<4I", _ROW, len(thing), 0, len(cells)) + cells
    return struct.pack("<4I", _PICTURE, thing.shape[1], thing.shape[0], thing.size) + thing.tobytes()


def _cell(cell: float | str) -> bytes:
    return b"t" + cell.encode() + b"\0" if isinstance(cell, str) else struct.pack("<cd", b"n", cell)


def _row(name: str, samples: int) -> int:
    found = _NAME.fullmatch(name)
    if found is None or int(found[1]) >= samples:
        raise ValueError(f"{name[:40]!r} is not of a golden sample")
    return int(found[1])


def _checked(name: str, found: Mapping[str, NDArray[Any]]) -> Thing:
    thing = found[name]
    if name.startswith(_SOUNDS):
        rate = found[_RATES + name.removeprefix(_SOUNDS)]
        if thing.dtype != np.int16 or thing.ndim != 2 or thing.shape[1] != 1 or rate.shape != (1,):
            raise ValueError(f"{name} is no sound")
        if len(thing) > MOST_SAMPLES:
            raise ValueError(f"{name} has over {MOST_SAMPLES} samples")
        if not 0 < int(rate[0]) <= MOST_RATE:
            raise ValueError(f"{name} has {rate[0]} samples a second")
        return Recording(int(rate[0]), thing)
    if name.startswith(_TEXTS):
        if thing.dtype != np.uint8 or thing.ndim != 1 or thing.size > MOST_LETTERS:
            raise ValueError(f"{name} is no text")
        return thing.tobytes().decode()
    if name.startswith(_ROWS):
        return _cells(name, thing)
    if thing.dtype != np.uint8 or thing.ndim != 3 or thing.shape[2] != 3 or not thing.size > 0:
        raise ValueError(f"{name} is no picture")
    if thing.shape[0] * thing.shape[1] > MOST_PIXELS:
        raise ValueError(f"{name} has over {MOST_PIXELS} pixels")
    return thing


def _cells(name: str, thing: NDArray[Any]) -> Cells:
    row = loads(thing.tobytes().decode(), _MOST_VALUES) if thing.dtype == np.uint8 and thing.ndim == 1 else None
    if not isinstance(row, list) or len(row) > MOST_COLUMNS or not all(map(_is_cell, row)):
        raise ValueError(f"{name} is no row")
    return tuple(row)


def _is_cell(cell: Any) -> bool:
    """Texts end with a zero in C."""
    if isinstance(cell, str):
        return len(cell) <= MOST_CELL and "\0" not in cell and not any("\ud800" <= each <= "\udfff" for each in cell)
    return isinstance(cell, float) and math.isfinite(cell)


def same(first: Any, second: Any) -> bool:
    """True if two decisions, as JSON documents, are equal in every bit."""
    return dumps(first, sort_keys=True) == dumps(second, sort_keys=True)
