"""Read sections, symbols and contents of 32-bit little-endian ELF files, with bounds on every size.

For firmware that is to be laid out, loaded or measured, in edgekit's own process. Programs and libraries of Linux are
judged by :mod:`edgekit.audit.elf`, with a library and in a child.

Source: Tool Interface Standard, Executable and Linking Format, version 1.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_SEGMENT = struct.Struct("<8I")
_SYMTAB, _NOBITS, _LOAD, _UNDEFINED = 2, 8, 1, 0
_MOST_SECTIONS, _MOST_SYMBOLS = 4096, 1 << 18


class NotElf(ValueError):
    """A file is not a 32-bit little-endian ELF file, or is damaged."""


@dataclass(frozen=True)
class Span:
    """A section or symbol: address and bytes; where a section's content begins in the file, None if it has none."""

    address: int
    size: int
    offset: int | None = None


@dataclass(frozen=True)
class Elf:
    """What an ELF file contains. ``loaded``: address and content of what a loader writes into memory or flash.

    :param undefined: names of symbols that an object file takes from others.
    """

    sections: dict[str, Span]
    symbols: dict[str, Span]
    entry: int
    loaded: tuple[tuple[int, bytes], ...] = ()
    undefined: frozenset[str] = frozenset()


def read(data: bytes) -> Elf:
    """Parse a file's content.

    :raises NotElf: if it is not one.
    """
    try:
        return _read(data)
    except (struct.error, IndexError) as error:
        raise NotElf(f"damaged ELF file: {error}") from error


def _read(data: bytes) -> Elf:
    if data[:7] != b"\x7fELF\x01\x01\x01":
        raise NotElf("not a 32-bit little-endian ELF file")
    (entry,) = struct.unpack_from("<I", data, 24)
    (place,) = struct.unpack_from("<I", data, 32)
    size, count, names = struct.unpack_from("<HHH", data, 46)
    if size != _SECTION.size or count > _MOST_SECTIONS:
        raise NotElf("damaged ELF file: its section headers")
    headers = [_SECTION.unpack_from(data, place + size * number) for number in range(count)]
    sections = {
        _text(data, headers[names], header[0]): Span(header[3], header[5], None if header[1] == _NOBITS else header[4])
        for header in headers[1:]
    }
    symbols: dict[str, Span] = {}
    undefined = set()
    for header in headers:
        if header[1] != _SYMTAB:
            continue
        if header[5] // _SYMBOL.size > _MOST_SYMBOLS:
            raise NotElf("damaged ELF file: its symbols")
        for number in range(header[5] // _SYMBOL.size):
            name, value, length, *_, section = _SYMBOL.unpack_from(data, header[4] + _SYMBOL.size * number)
            if name:
                symbols[text := _text(data, headers[header[6]], name)] = Span(value, length)
                if section == _UNDEFINED:
                    undefined.add(text)
    return Elf(sections, symbols, entry, tuple(_loaded(data)), frozenset(undefined))


def _loaded(data: bytes) -> Iterator[tuple[int, bytes]]:
    (place,) = struct.unpack_from("<I", data, 28)
    size, count = struct.unpack_from("<HH", data, 42)
    if count and (size != _SEGMENT.size or count > _MOST_SECTIONS):
        raise NotElf("damaged ELF file: its program headers")
    for number in range(count):
        kind, offset, _, physical, length, *_ = _SEGMENT.unpack_from(data, place + size * number)
        if kind == _LOAD and length:
            if offset + length > len(data):
                raise NotElf("damaged ELF file: a segment is not in it")
            yield physical, data[offset : offset + length]


def _text(data: bytes, strings: tuple[int, ...], offset: int) -> str:
    """A string of a string table."""
    start = strings[4] + offset
    end = data.find(b"\0", start, strings[4] + strings[5])
    if not strings[4] <= start <= end:
        raise NotElf("damaged ELF file: its names")
    return data[start:end].decode(errors="replace")
