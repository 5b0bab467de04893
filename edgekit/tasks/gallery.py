"""Labelled vectors that others are compared with: ``gallery.bin`` in a bundle, which ``gallery.c`` reads, too.

Little-endian: the eight bytes of ``MAGIC``, then as uint32 the schema and the numbers of vectors, of elements in each,
and of labels; the vectors in float32; for each the number of its label, uint32; the labels in UTF-8, a zero byte after
each. Vectors have unit length.
"""

from __future__ import annotations

import csv
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.files import plain_files
from edgekit.tasks import labels as names
from edgekit.tasks.exact import Floats

FILE, MAGIC, SCHEMA = "gallery.bin", b"edgekitg", 1
MOST_VECTORS, MOST_SIZE, MOST_ELEMENTS = 1 << 16, 4096, 1 << 23
OFF_UNIT = 1e-3
"""By how much the squared length of a vector may differ from 1."""
_HEADER = struct.Struct("<8s4I")
_MOST_BYTES = _HEADER.size + 4 * MOST_ELEMENTS + MOST_VECTORS * (names.MOST_LABEL + 5)
_MOST_TEXT = 256 << 20


@dataclass(frozen=True)
class Gallery:
    """Labelled vectors.

    :param size: elements of a vector; 0: there is none. :param labels: each is some vector's. :param numbers: the
        number of each vector's label. :param data: the vectors, float32 ``[n, size]``, little-endian.
    """

    size: int = 0
    labels: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    data: bytes = b""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors, float32 ``[n, size]``."""
        return np.frombuffer(self.data, "<f4").reshape(len(self.numbers), self.size)

    @classmethod
    def of(cls, vectors: NDArray[Any], labels: Sequence[str]) -> Self:
        """Vectors of any length, ``[n, size]`` real values, with a label each; labels are counted in sorted order.

        :raises ValueError: with what is wrong: a vector without direction, or too much.
        """
        count, size = vectors.shape
        _bounded(count, size)
        found = names.checked(sorted(set(labels)))
        numbers = {label: number for number, label in enumerate(found)}
        unit, directed = normalized(vectors.astype(np.float64))
        if not directed.all():
            at = int(np.argmin(directed))
            raise ValueError(f"vector {at + 1}, of {labels[at]!r}, has no direction: it is zero, or not finite")
        return cls(size, found, tuple(numbers[label] for label in labels), unit.astype("<f4").tobytes())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read ``gallery.bin`` in a bundle's folder.

        :raises ValueError: if it is damaged. :raises OSError: if it is missing.
        """
        with plain_files.opened(folder, FILE) as file:
            found = file.read(_MOST_BYTES + 1)
        try:
            return cls._parsed(found)
        except (struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"{FILE} is cut short, or no gallery") from error

    @classmethod
    def _parsed(cls, found: bytes) -> Self:
        magic, schema, count, size, labels = _HEADER.unpack_from(found)
        if magic != MAGIC or schema != SCHEMA or len(found) > _MOST_BYTES:
            raise ValueError(f"{FILE} is no gallery, or of a newer edgekit")
        _bounded(count, size)
        ends = _HEADER.size + 4 * count * size, _HEADER.size + 4 * count * (size + 1)
        numbers = struct.unpack_from(f"<{count}I", found, ends[0])
        listed = found[ends[1] :].decode().split("\0")
        if listed.pop() or len(listed) != labels or sorted(set(numbers)) != list(range(labels)):
            raise ValueError(f"{FILE}: its labels are not those of its {count} vectors")
        made = cls(size, names.checked(listed), numbers, found[_HEADER.size : ends[0]])
        lengths = np.square(made.vectors.astype(np.float64)).sum(axis=1)
        if not (np.abs(lengths - 1) <= OFF_UNIT).all():  # NaN is refused, too
            raise ValueError(f"{FILE} has a vector that is not of unit length")
        return made

    def packed(self) -> bytes:
        """The file's content."""
        header = _HEADER.pack(MAGIC, SCHEMA, len(self.numbers), self.size, len(self.labels))
        texts = b"".join(label.encode() + b"\0" for label in self.labels)
        return header + self.data + struct.pack(f"<{len(self.numbers)}I", *self.numbers) + texts

    def joined(self, other: Gallery) -> Gallery:
        """The vectors of both.

        :raises ValueError: if they are of different sizes, or too many together.
        """
        if not self.numbers or not other.numbers:
            return self if self.numbers else other
        if self.size != other.size:
            raise ValueError(f"the gallery has vectors of {self.size} numbers, these are of {other.size}")
        texts = [each.labels[number] for each in (self, other) for number in each.numbers]
        _bounded(len(texts), self.size)
        found = tuple(sorted(set(texts)))
        numbers = {label: number for number, label in enumerate(found)}
        return Gallery(self.size, found, tuple(numbers[text] for text in texts), self.data + other.data)

    def without(self, labels: Sequence[str]) -> Gallery:
        """The vectors of all other labels."""
        kept = [row for row, number in enumerate(self.numbers) if self.labels[number] not in labels]
        if not kept:
            return Gallery()
        return Gallery.of(self.vectors[kept], [self.labels[self.numbers[row]] for row in kept])


def normalized(vectors: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Vectors ``[n, size]`` at unit length, and whether each has a direction; one that has not becomes zeros.

    Squares are added one after the other, as in C.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.cumsum(vectors * vectors, axis=1)[:, -1])
        directed = np.isfinite(length) & (length > 0)
        unit = np.where(directed[:, np.newaxis], vectors / np.where(directed, length, 1)[:, np.newaxis], 0.0)
    return unit, directed


def cosines(unit: Floats, gallery: Gallery) -> NDArray[np.float32]:
    """The cosine of a vector of unit length ``[size]`` and each of a gallery, float32 ``[n]``.

    Products are added one after the other, as in C.
    """
    sums = np.cumsum(gallery.vectors.astype(np.float64) * unit, axis=1)[:, -1] + 0.0  # no sum is -0
    return np.clip(sums, -1.0, 1.0).astype(np.float32)


def of_table(folder: Path, name: str) -> Gallery:
    """A gallery from a table beside a task: a label and a vector's numbers on each line.

    :raises ValueError: with the line and what is wrong.
    """
    try:
        with plain_files.opened(folder, name) as file:
            content = file.read(_MOST_TEXT + 1)
    except (OSError, ValueError) as error:
        raise ValueError(f"gallery: {name!r} cannot be read: {error}") from error
    if len(content) > _MOST_TEXT:
        raise ValueError(f"gallery: {name!r} has over {_MOST_TEXT >> 20} MiB")
    try:
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"gallery: {name!r} is no table in UTF-8: {error}") from error
    if not rows or len(rows) > MOST_VECTORS:
        raise ValueError(f"gallery: {name!r} has {len(rows)} lines, it may have 1 to {MOST_VECTORS}")
    size = max(len(rows[0]) - 1, 0)
    _bounded(len(rows), size)
    vectors = np.empty((len(rows), size))
    for number, (_, *cells) in enumerate(rows):
        if len(cells) != vectors.shape[1]:
            raise ValueError(f"gallery: line {number + 1} of {name!r} has {len(cells)} numbers, the first has "
                             f"{vectors.shape[1]}")  # fmt: skip
        try:
            vectors[number] = [float(cell) for cell in cells]
        except ValueError as error:
            raise ValueError(f"gallery: line {number + 1} of {name!r}: {error}") from error
    return Gallery.of(vectors, [row[0].strip() for row in rows])


def _bounded(count: int, size: int) -> None:
    if not 0 < count <= MOST_VECTORS or not 0 < size <= MOST_SIZE or count * size > MOST_ELEMENTS:
        raise ValueError(
            f"{count} vectors of {size} numbers are not 1 to {MOST_VECTORS} of at most {MOST_SIZE}, {MOST_ELEMENTS} "
            "in all"
        )
