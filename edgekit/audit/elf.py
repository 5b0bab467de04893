"""Programs and libraries as files: processor, versions of symbols, alignment. Read in a child: anybody wrote them.

Firmware, which has no versions of symbols, is read by :mod:`edgekit.files.elf`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit import sandbox
from edgekit.bundle import relative_files
from edgekit.errors import CheckFailed, ModelError
from edgekit.reference.litert import PRELOAD

MACHINES = {"aarch64": "EM_AARCH64", "x86_64": "EM_X86_64"}
_LIMITS = sandbox.Limits(seconds=60)
_IRELATIVE = {"EM_AARCH64": 1032, "EM_X86_64": 37}
"""The relocation whose address a function gives: R_AARCH64_IRELATIVE, R_X86_64_IRELATIVE (their ABIs' supplements)."""
ACCELERATORS = ("EM_CUDA",)
"""Machines whose code a driver loads, not the system."""
OLDEST_GLIBC = (2, 17)
"""The first for AArch64, and as old as any that wheels are made for (PEP 600's ``manylinux2014``)."""
_MOST = 64
"""More programs and libraries than an artifact has."""


@dataclass(frozen=True)
class Elf:
    """What a file asks for.

    :param machine: the processor, as Linux names it, or as ELF's header does (``EM_CUDA``).
    :param alignment: the least alignment of what is loaded, bytes; 0: nothing is.
    :param versions: of symbols in other libraries, as ``GLIBC_2.34``; None: it has no sections to find them by.
    :param chooses: it has functions in several forms, of which it takes one when it starts, by the processor: a program
        that holds a C library.
    """

    machine: str
    alignment: int
    versions: tuple[str, ...] | None
    chooses: bool = False

    @property
    def glibc(self) -> tuple[int, int]:
        """The oldest glibc that has all it asks for, major and minor number; at least :data:`OLDEST_GLIBC`."""
        needed = self.version("GLIBC")
        major, minor, *_ = *ordered(needed or "0"), 0
        return max((major, minor), OLDEST_GLIBC)

    def version(self, prefix: str) -> str:
        """The newest version that is asked for, of those with a prefix; empty if there is none."""
        form = re.compile(rf"{prefix}_([0-9]+(?:\.[0-9]+)*)")
        found = [match[1] for one in self.versions or () if (match := form.fullmatch(one))]
        return max(found, key=ordered, default="")


def ordered(version: str) -> tuple[int, ...]:
    """A version as numbers that can be compared."""
    return tuple(int(part) for part in version.split("."))


def find(folder: Path) -> list[Path]:
    """Return the ELF files below a folder, in the order of their names.

    :raises CheckFailed: if there are too many to look at, or anything but plain files.
    """
    found = []
    for name in relative_files(folder):
        with (folder / name).open("rb") as file:
            if file.read(4) == b"\x7fELF":
                found.append(folder / name)
    if len(found) > _MOST:
        raise CheckFailed(f"the artifact has {len(found)} programs and libraries, over {_MOST}")
    return found


def read(paths: Sequence[Path], *, own: bool = False) -> list[Elf]:
    """Read files, in one child.

    :param own: edgekit has just made them, so no child is needed.

    :raises ModelError: if one is damaged.
    """
    if not paths:
        return []
    paths = [path.resolve() for path in paths]
    args = {"paths": [str(path) for path in paths]}
    if own:
        return [_elf(_facts(path)) for path in paths]
    try:
        found, _ = sandbox.call("edgekit.audit.elf:facts", args, limits=_LIMITS, readable=paths, preload=PRELOAD)
    except sandbox.ChildDied as died:
        raise ModelError(f"a program or library of the bundle is damaged: reading it {died.reason}") from died
    return [_elf(one) for one in found["files"]]


def _elf(found: Mapping[str, Any]) -> Elf:
    versions = found["versions"]
    versions = None if versions is None else tuple(versions)
    return Elf(str(found["machine"]), int(found["alignment"]), versions, bool(found["chooses"]))


def facts(args: dict[str, Any], arrays: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Task: read ELF files."""
    return {"files": [_facts(Path(path)) for path in args["paths"]]}, {}


def _facts(path: Path) -> dict[str, Any]:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    names = {value: key for key, value in MACHINES.items()}
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            machine, aligned = elf["e_machine"], [one["p_align"] for one in elf.iter_segments("PT_LOAD")]
            return {
                "machine": names.get(machine, str(machine)),
                "alignment": min(aligned, default=0),
                "versions": _versions(elf) if elf.num_sections() else None,
                "chooses": _chooses(elf),
            }
    except (ELFError, LookupError, ValueError, AttributeError, TypeError, OverflowError, OSError) as error:
        raise ModelError(f"{path.name} is damaged: {error or type(error).__name__}") from error


def _chooses(elf: Any) -> bool:
    from elftools.elf.relocation import RelocationSection

    kind = _IRELATIVE.get(elf["e_machine"])
    return any(
        isinstance(section, RelocationSection)
        and any(relocation["r_info_type"] == kind for relocation in section.iter_relocations())
        for section in elf.iter_sections()
    )


def _versions(elf: Any) -> Sequence[str]:
    """The versions that are asked for."""
    from elftools.elf.gnuversions import GNUVerNeedSection

    found: set[str] = set()
    for section in elf.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for _, symbols in section.iter_versions():
                found.update(symbol.name for symbol in symbols)
    return sorted(found)
