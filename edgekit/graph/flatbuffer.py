"""Structural verification of a TFLite flatbuffer, before anything else looks at it.

The Python flatbuffers package has no verifier: its accessors follow any offset they find. This one walks the
file as the C++ ``flatbuffers::Verifier`` does: every table, vtable, vector and string must lie inside the
file. What is reached is charged each time that it is reached, as the memory which the reader will take for it, and the
sum is bounded, so that a small file whose tables share their contents cannot describe an endless one. Field numbers
are those of TensorFlow's ``schema.fbs`` (version 3), checked against the generated accessors by a test.
Source of the format: "FlatBuffers internals" (flatbuffers documentation).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgekit.errors import ModelError

IDENTIFIER = b"TFL3"
MAX_MEMORY = 768 << 20
"""Bytes of memory that a network may take without its constants' data, roughly counted."""
_TABLE_COST, _ELEMENT_COST = 300, 9
"""Bytes of memory for each table, and for each byte of a vector: four bytes of it become a Python int."""
_SHARED_COST = 16
"""How much more each further use of a table is charged: writers share a scale at times, but never a tensor."""
_UOFFSET, _VOFFSET = struct.Struct("<I"), struct.Struct("<H")


@dataclass(frozen=True)
class Scalar:
    """A scalar field, or a vector's element, of ``size`` bytes."""

    size: int


@dataclass(frozen=True)
class Text:
    """A string: a vector of bytes with a terminating zero."""


@dataclass(frozen=True)
class Vector:
    """A vector of scalars, strings or tables (``of`` names a table)."""

    of: Scalar | Text | str


@dataclass(frozen=True)
class Ref:
    """A sub-table, by name; ``Any`` stands for a union's member."""

    table: str


_INT, _BYTE, _LONG = Scalar(4), Scalar(1), Scalar(8)
_INTS, _BYTES = Vector(_INT), Vector(_BYTE)
Field = Scalar | Text | Vector | Ref

TABLES: dict[str, dict[int, Field]] = {
    "Model": {
        0: _INT, 1: Vector("OperatorCode"), 2: Vector("SubGraph"), 3: Text(), 4: Vector("Buffer"), 5: _INTS,
        6: Vector("Metadata"), 7: Vector("SignatureDef"), 8: Vector("Any"), 9: Vector("Any"),
    },
    "OperatorCode": {0: _BYTE, 1: Text(), 2: _INT, 3: _INT},
    "SubGraph": {0: Vector("Tensor"), 1: _INTS, 2: _INTS, 3: Vector("Operator"), 4: Text(), 5: _INT},
    "Tensor": {
        0: _INTS, 1: _BYTE, 2: _INT, 3: Text(), 4: Ref("QuantizationParameters"), 5: _BYTE,
        6: Ref("SparsityParameters"), 7: _INTS, 8: _BYTE, 9: Vector("VariantSubType"), 10: _INT,
    },
    "QuantizationParameters": {
        0: _INTS, 1: _INTS, 2: _INTS, 3: Vector(_LONG), 4: _BYTE, 5: Ref("Any"), 6: _INT,
    },
    "SparsityParameters": {0: _INTS, 1: _INTS, 2: Vector("DimensionMetadata")},
    "DimensionMetadata": {0: _BYTE, 1: _INT, 2: _BYTE, 3: Ref("Any"), 4: _BYTE, 5: Ref("Any")},
    "VariantSubType": {0: _INTS, 1: _BYTE, 2: _BYTE},
    "Operator": {
        0: _INT, 1: _INTS, 2: _INTS, 3: _BYTE, 4: Ref("Any"), 5: _BYTES, 6: _BYTE, 7: _BYTES, 8: _INTS,
        9: _LONG, 10: _LONG, 11: _BYTE, 12: Ref("Any"), 13: _INT,
    },
    "Buffer": {0: _BYTES, 1: _LONG, 2: _LONG},
    "Metadata": {0: Text(), 1: _INT},
    "SignatureDef": {0: Vector("TensorMap"), 1: Vector("TensorMap"), 2: Text(), 3: Text(), 4: _INT},
    "TensorMap": {0: Text(), 1: _INT},
    "Any": {},
}  # fmt: skip


class _Verifier:
    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data
        self.size = len(data)
        self.memory = 0
        self.seen: dict[tuple[str, int], int] = {}

    def uoffset(self, at: int) -> int:
        if at < 0 or at + 4 > self.size:
            raise ModelError("the file is damaged: an offset points outside it")
        return int(_UOFFSET.unpack_from(self.data, at)[0])

    def vector(self, at: int, kind: Scalar | Text | str, *, free: bool = False) -> None:
        start = at + self.uoffset(at)
        count = self.uoffset(start)
        width = kind.size if isinstance(kind, Scalar) else 4
        if start + 4 + count * width > self.size:
            raise ModelError("the file is damaged: a vector is longer than the file")
        if isinstance(kind, Scalar):
            self.charge(0 if free else count * width * (_ELEMENT_COST if width == 4 else 1))
            return
        for position in range(start + 4, start + 4 + 4 * count, 4):
            if isinstance(kind, Text):
                self.vector(position, Scalar(1))
            else:
                self.table(position + self.uoffset(position), kind)

    def table(self, at: int, name: str) -> None:
        """Check the table at ``at``; depth is bounded because no table of the list above contains itself."""
        if (name, at) in self.seen:  # shared by several parents: checked already
            self.charge(self.seen[name, at] * _SHARED_COST)
            return
        before = self.memory
        vtable = at - struct.unpack("<i", struct.pack("<I", self.uoffset(at)))[0]
        if not 0 <= vtable <= self.size - 4:
            raise ModelError("the file is damaged: a table's layout lies outside it")
        vtable_size, table_size = (
            _VOFFSET.unpack_from(self.data, vtable)[0],
            _VOFFSET.unpack_from(self.data, vtable + 2)[0],
        )
        if vtable_size < 4 or vtable_size % 2 or vtable + vtable_size > self.size or at + table_size > self.size:
            raise ModelError("the file is damaged: a table reaches beyond the end")
        self.charge(_TABLE_COST + vtable_size)
        fields = TABLES[name]
        for number in range((vtable_size - 4) // 2):
            offset = _VOFFSET.unpack_from(self.data, vtable + 4 + 2 * number)[0]
            if offset == 0:
                continue
            kind = fields.get(number)
            width = kind.size if isinstance(kind, Scalar) else 1 if kind is None else 4
            if offset < 4 or offset + width > table_size:
                raise ModelError("the file is damaged: a field lies outside its table")
            if isinstance(kind, Text):
                self.vector(at + offset, Scalar(1))
            elif isinstance(kind, Vector):
                self.vector(at + offset, kind.of, free=name == "Buffer")  # constants stay where they are
            elif isinstance(kind, Ref):
                self.table(at + offset + self.uoffset(at + offset), kind.table)
        self.seen[name, at] = self.memory - before

    def charge(self, memory: int) -> None:
        self.memory += memory
        if self.memory > MAX_MEMORY:
            raise ModelError("the file describes more than a network can have: its tables share their contents")


def verify(data: bytes | memoryview) -> None:
    """Check that ``data`` is structurally a TFLite file.

    :raises ModelError: one line on what is wrong.
    """
    if len(data) == 0:
        raise ModelError("the file is empty")
    if len(data) < 12 or bytes(data[4:8]) != IDENTIFIER:
        raise ModelError("not a TFLite file: the identifier TFL3 is missing")
    verifier = _Verifier(data)
    verifier.table(verifier.uoffset(0), "Model")
