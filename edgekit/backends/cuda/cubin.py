"""Cubins: which GPU one is for, and which functions it has. A cubin is an ELF file; nothing of it is run here.

Layout after the ELF-64 specification; ``e_machine`` 190 is NVIDIA's CUDA. The architecture (87 for sm_87) is the low
byte of ``e_flags``, since version 8 of the ABI (CUDA 13) the second (LLVM's ``BinaryFormat/ELF.h``: ``EF_CUDA_SM``),
and ``.text.NAME`` holds the function NAME.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from edgekit.errors import DeviceError

EM_CUDA = 190
ABI_OF_CUDA_13 = 8


@dataclass(frozen=True)
class Cubin:
    """:param arch: ``sm_87``."""

    arch: str
    functions: frozenset[str]


def read(image: bytes) -> Cubin:
    """Read a cubin's header and its sections' names.

    :raises DeviceError: if it is damaged or no cubin.
    """
    try:
        magic, machine = image[:4], struct.unpack_from("<H", image, 18)[0]
        if magic != b"\x7fELF" or machine != EM_CUDA:
            raise DeviceError("kernels.cubin is not a cubin", "compile the bundle again")
        table, flags = struct.unpack_from("<Q", image, 40)[0], struct.unpack_from("<I", image, 48)[0]
        size, count, names = struct.unpack_from("<HHH", image, 58)
        sections = [struct.unpack_from("<IIQQQQ", image, table + n * size) for n in range(count)]
        texts = sections[names][4]
        found = [image[texts + s[0] : image.index(b"\0", texts + s[0])].decode() for s in sections]
    except (struct.error, ValueError, IndexError) as error:
        raise DeviceError(f"kernels.cubin is damaged: {error!r}", "compile the bundle again") from error
    arch = flags >> 8 & 0xFF if image[8] >= ABI_OF_CUDA_13 else flags & 0xFF
    return Cubin(f"sm_{arch}", frozenset(n.removeprefix(".text.") for n in found if n.startswith(".text.")))


def check(image: bytes, arch: str, functions: Iterable[str]) -> None:
    """Refuse a cubin that is for another GPU than ``arch``, or lacks one of ``functions``.

    :raises DeviceError: saying which.
    """
    found = read(image)
    if found.arch != arch:
        raise DeviceError(f"kernels.cubin is for {found.arch}, not for {arch}", "compile the bundle again")
    if missing := sorted(set(functions) - found.functions):
        raise DeviceError(f"kernels.cubin has no function {missing[0]}", "compile the bundle again")
