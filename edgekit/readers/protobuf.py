"""Walk protocol buffers on the wire, without their schema, with bounds.

Enough to look into a SavedModel or an ONNX file before a library written in C++ does.
Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.errors import ModelError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_LIMIT = 20_000_000


class Wire:
    """Reads messages of one file and counts what it reads, so that no file keeps it busy for long."""

    def __init__(self, where: str) -> None:
        self.where, self._left = where, _LIMIT

    def damaged(self) -> ModelError:
        """Return the error that says that the buffer is damaged."""
        return ModelError(f"{self.where} is damaged: it is not a complete protocol buffer", "copy or download it again")

    def fields(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Yield ``(field number, value)``: an int for numbers, a view of the bytes for all else.

        :raises ModelError: at a field that is not valid or that ends behind the message.
        """
        position, end = 0, len(data)
        while position < end:
            self._left -= 1
            if self._left < 0:
                raise ModelError(f"{self.where} has more than {_LIMIT} fields")
            key, position = self._varint(data, position)
            kind, number = key & 7, key >> 3
            if number == 0 or number >= 1 << 29:
                raise self.damaged()
            if kind == VARINT:
                value, position = self._varint(data, position)
                yield number, value
                continue
            size = {FIXED64: 8, FIXED32: 4}.get(kind)
            if kind == BYTES:
                size, position = self._varint(data, position)
            if size is None or position + size > end:
                raise self.damaged()
            yield number, data[position : position + size]
            position += size

    def messages(self, data: memoryview, number: int) -> Iterator[memoryview]:
        """Yield the values of the repeated message (or bytes) field ``number``."""
        for found, value in self.fields(data):
            if found == number:
                if isinstance(value, int):
                    raise self.damaged()
                yield value

    def text(self, data: memoryview, number: int) -> str:
        """Return the last value of string field ``number``, ``""`` where there is none."""
        values = list(self.messages(data, number))
        return bytes(values[-1][:4096]).decode(errors="replace") if values else ""

    def number(self, data: memoryview, number: int, default: int = 0) -> int:
        """Return the last value of integer field ``number``."""
        for found, value in self.fields(data):
            if found == number:
                if not isinstance(value, int):
                    raise self.damaged()
                default = value
        return default

    def _varint(self, data: memoryview, position: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            if position >= len(data) or shift > 63:
                raise self.damaged()
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7

    def varints(self, data: memoryview) -> Iterator[int]:
        """Yield the numbers of a packed field."""
        position = 0
        while position < len(data):
            self._left -= 1
            if self._left < 0:
                raise ModelError(f"{self.where} has more than {_LIMIT} fields")
            value, position = self._varint(data, position)
            yield value
