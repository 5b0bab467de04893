"""Reads what the trace plugin wrote (its format is described in ``trace_plugin.c``)."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.errors import DeviceError
from edgekit.files import left_behind
from edgekit.runners import BlockUse

MOST_BYTES = 64 << 20
"""Bytes of a report, at most; large networks have reports of a few megabytes."""
MISS_KINDS = ("l1_misses", "l2_misses", "l3_misses", "l1_streamed", "l2_streamed", "l3_streamed")


@dataclass
class Phase:
    """The stretch between two clock readings.

    :param counts: ``instructions``, each class, ``load_bytes``, ``store_bytes`` and the six miss kinds.
    :param uses: executions and misses by block number: ``[executions, *MISS_KINDS]``.
    """

    counts: dict[str, int] = field(default_factory=dict)
    uses: dict[int, list[int]] = field(default_factory=dict)


@dataclass
class Report:
    """All phases of the marked inference, and the machine code of each block in hex."""

    phases: list[Phase]
    code: dict[int, str]

    def total(self) -> dict[str, int]:
        """Counts of the whole inference."""
        return merged(self.phases).counts

    def blocks(self, phase: Phase) -> list[BlockUse]:
        """The blocks a phase executed, the most instructions first; ties by code, so the order is stable."""
        found = [BlockUse(self.code[n], use[0], tuple(use[1:])) for n, use in phase.uses.items()]
        return sorted(found, key=lambda b: (-b.count * len(b.code), b.code))


def read(path: Path) -> Report:
    """Parse a report.

    :raises DeviceError: if it is missing or incomplete (the emulator died before its end).
    """
    phases: list[Phase] = []
    code: dict[int, str] = {}
    names: list[str] = []
    complete = False
    try:
        text = left_behind.read(path.parent, path.name, MOST_BYTES).decode(errors="replace")
        for line in io.StringIO(text):
            kind, *words = line.split()
            if kind == "use":
                number, *use = map(int, words)
                if len(use) != 1 + len(MISS_KINDS):
                    raise ValueError(line)
                phases[-1].uses[number] = use
            elif kind == "block":
                code[int(words[0])] = words[3]
            elif kind == "phase":
                phases.append(Phase(dict(zip(names, map(int, words), strict=True))))
            elif kind == "classes":
                names = ["instructions", *words, "load_bytes", "store_bytes"]
            elif kind == "end":
                complete = True
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise DeviceError(f"the emulator's trace cannot be read: {error}", "run again with --debug") from error
    if not complete:
        raise DeviceError("the emulator ended before its trace was complete", "run again with --debug")
    for phase in phases:
        for index, name in enumerate(MISS_KINDS, 1):
            phase.counts[name] = sum(use[index] for use in phase.uses.values())
    return Report(phases, code)


def merged(phases: Iterable[Phase]) -> Phase:
    """Add phases up."""
    counts: Counter[str] = Counter()
    uses: dict[int, list[int]] = {}
    for phase in phases:
        counts.update(phase.counts)
        for number, use in phase.uses.items():
            known = uses.get(number)
            uses[number] = list(use) if known is None else [a + b for a, b in zip(known, use, strict=True)]
    return Phase(dict(counts), uses)
