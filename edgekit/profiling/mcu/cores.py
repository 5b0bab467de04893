"""Timings of microcontroller cores, from ``targets/costs/cores/*.toml``: docs/cycle-models.md lists them.

A number in a core's file may be a list ``[low, value, high]``; the interval of a prediction follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from edgekit import resources
from edgekit.errors import EdgekitError, UsageError
from edgekit.files import documents, tables
from edgekit.files.tables import number
from edgekit.profiling.mcu import Kind


class Bound(IntEnum):
    """Which of the three numbers of a list is taken."""

    LOW = 0
    VALUE = 1
    HIGH = 2


class Isa(StrEnum):
    """How code is disassembled and read."""

    THUMB_7 = "thumb-7"
    THUMB_8 = "thumb-8"
    RISCV = "riscv"


class Neighbours(StrEnum):
    """Which loads and stores take a cycle less after a load: none; all; those of 32 bits only where a word begins."""

    NONE = "none"
    ALL = "all"
    ALIGNED = "aligned"


class Pairs(StrEnum):
    """Which two instructions are issued in one cycle: none; a 16-bit one and a branch; any two of 16 bits; by units."""

    NONE = "none"
    BRANCHES = "branches"
    NARROW = "narrow"
    UNITS = "units"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How a kind of instruction passes the pipeline, in cycles.

    :param uses: how many places of each unit it takes. :param first: it is issued only as the first of a pair.
    :param alone: nothing is issued in the same cycle.
    """

    issue: float = number("cycles until the next instruction can be issued", zero=True)
    latency: float = number("cycles until its result can be used", default=1, zero=True)
    sum_latency: float | None = number("the same, for an instruction of its kind that adds to it", default=None)
    per_register: float = number("further cycles for each register that it moves", default=0, zero=True)
    busy: float = number("cycles that it keeps its units busy", default=0, zero=True)
    uses: Mapping[str, int] = field(default_factory=dict)
    first: bool = False
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Forward:
    """Cycles by which the use of a result is later, or where said earlier, than its latency tells."""

    address: float = number("later: a result of data processing that forms an address", default=0, zero=True)
    load_address: float = number("later: a loaded value that forms an address", default=0, zero=True)
    load_factor: float = number("later: a loaded value that is multiplied", default=0, zero=True)
    shift: float = number("later: a result that passes the shifter", default=0, zero=True)
    sum: float = number("earlier: a result that a multiplication adds to", default=0, zero=True)
    store: float = number("earlier: a result that is stored", default=0, zero=True)
    load_after_store: float = number("further cycles of a load right after a store", default=0, zero=True)


@dataclass(frozen=True, kw_only=True)
class Refill:
    """Cycles that jumps add where they are taken; ``mispredicted``: where a core that predicts branches is wrong."""

    branch: float = number("a branch to an address in the instruction", zero=True)
    call: float = number("a call", zero=True)
    indirect: float = number("a jump to an address in a register or from memory", zero=True)
    table_branch: float = number("a jump through a table", default=0, zero=True)
    loop_start: float = number("the start of a hardware loop that is left out", default=0, zero=True)
    loop_end: float = number("the end of a hardware loop, back to its start", default=0, zero=True)
    loop_exit: float = number("the first and the last turn of a hardware loop", default=0, zero=True)
    misaligned: float = number("a target of 32 bits that no word begins with", default=0, zero=True)
    mispredicted: float = number("a branch that went the other way than predicted", default=0, zero=True)


@dataclass(frozen=True, kw_only=True)
class Core:
    """A core, at one of the three bounds.

    :param predicts: it predicts branches. :param model: what the rules leave out, as a factor of the cycles.
    :param cpi: cycles per instruction by the emulator's classes, where no disassembler is there.
    """

    name: str
    isa: Isa
    arch: tuple[str, ...]
    pairs: Pairs
    predicts: bool = False
    neighbours: Neighbours = Neighbours.NONE
    forward: Forward = Forward()
    model: float = number("what the rules leave out, as a factor of the cycles")
    refill: Refill
    kinds: Mapping[str, Timing]
    units: Mapping[str, int] = field(default_factory=dict)
    cpi: Mapping[str, float]

    def timing(self, kind: Kind) -> Timing:
        """The timing of a kind; that of unknown instructions where the core has none of its kind."""
        return self.kinds.get(kind) or self.kinds[Kind.UNKNOWN]

    def knows(self, kind: Kind) -> bool:
        """True if the core has instructions of this kind."""
        return kind is not Kind.UNKNOWN and kind in self.kinds


def core(arch: str, bound: Bound = Bound.VALUE) -> Core:
    """Return the core that the compiler calls ``arch``.

    :raises UsageError: if no file describes it.
    """
    for data in _files():
        if arch in data["arch"]:
            return _core(arch, bound)
    known = sorted(arch for data in _files() for arch in data["arch"])
    raise UsageError(f"there is no cycle model of the core {arch!r}", f"models are there of {', '.join(known)}")


@cache
def _core(arch: str, bound: Bound) -> Core:
    data = next(data for data in _files() if arch in data["arch"])
    return read(data, bound)


def read(data: Mapping[str, Any], bound: Bound) -> Core:
    """Build a core from the contents of its file.

    :raises EdgekitError: naming the key that is wrong.
    """
    try:
        found = tables.build(Core, _picked(data, bound))
        unknown = [kind for kind in found.kinds if kind not in list(Kind)]
        if unknown or Kind.UNKNOWN not in found.kinds:
            raise tables.WrongTable(f"kinds: {', '.join(unknown) or 'unknown is missing'}")
    except ValueError as error:
        raise EdgekitError(f"{data.get('name')}: not a core: {error}", "docs/cycle-models.md lists the keys") from error
    return found


def _picked(data: Any, bound: Bound) -> Any:
    """Of each list of three numbers or names, the one that the bound asks for."""
    if isinstance(data, Mapping):
        return {key: value if key in ("arch", "sources") else _picked(value, bound) for key, value in data.items()}
    return data[bound] if isinstance(data, list) else data


@cache
def _files() -> tuple[dict[str, Any], ...]:
    return tuple(documents.read_toml(path) for path in paths())


def paths() -> list[Path]:
    """The files that describe cores."""
    return sorted((resources.folder("targets") / "costs" / "cores").glob("*.toml"))
