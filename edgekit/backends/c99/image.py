"""Firmware in the forms that boards' tools write to flash, and boot blocks with a checksum."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from edgekit.target.mcu import FlashImage

_UF2 = struct.Struct("<8I476sI")
_UF2_BYTES = 256
_FAMILIES = {FlashImage.UF2_RP2040: 0xE48BFF56, FlashImage.UF2_RP2350: 0xE48BFF59}
"""Family identifiers (https://github.com/microsoft/uf2, utils/uf2families.json): RP2040, and RP2350 for secure Arm."""


def suffix(form: FlashImage) -> str:
    """The file's name ends so."""
    return "uf2" if form in _FAMILIES else str(form)


def image(loaded: Iterable[tuple[int, bytes]], form: FlashImage) -> bytes:
    """What a board's tool writes to flash.

    :param loaded: addresses and contents. :param form: another one than ELF. ``bin`` begins with the lowest address,
        and has 0xff, as erased flash, in the gaps.
    """
    pieces = sorted(loaded)
    begin = pieces[0][0]
    flat = bytearray()
    for address, content in pieces:
        flat += b"\xff" * (address - begin - len(flat)) + content
    return _uf2(bytes(flat), begin, _FAMILIES[form]) if form in _FAMILIES else bytes(flat)


def _uf2(flat: bytes, begin: int, family: int) -> bytes:
    """Source: UF2 specification (https://github.com/microsoft/uf2)."""
    blocks = [flat[at : at + _UF2_BYTES].ljust(_UF2_BYTES, b"\0") for at in range(0, len(flat), _UF2_BYTES)]
    return b"".join(
        _UF2.pack(
            0x0A324655, 0x9E5D5157, 0x2000, begin + number * _UF2_BYTES, _UF2_BYTES, number, len(blocks), family, block,
            0x0AB16F30,
        )
        for number, block in enumerate(blocks)
    )  # fmt: skip


def boot_checksum(code: bytes, size: int) -> int:
    """The checksum that ends a boot block: CRC-32 without reflection and inversion (RP2040 data sheet, 2.8.1.3.1).

    :param code: what the block begins with; zeros follow. :param size: of the block, with the checksum's four bytes.
    """
    value = 0xFFFFFFFF
    for byte in code.ljust(size - 4, b"\0"):
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value
