"""Protocol buffers by hand, for files that no library would write."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """Encode a number."""
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, data: bytes) -> bytes:
    """Encode a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def number(place: int, value: int) -> bytes:
    """Encode a field that is a number."""
    return varint(place << 3) + varint(value)
