"""Reads what the trace plugin of qemu-system wrote (its format is described in ``firmware_plugin.c``)."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgekit.errors import DeviceError
from edgekit.files import left_behind
from edgekit.runners import BlockUse

MOST_BYTES = 64 << 20
"""Bytes of a report, at most."""
OTHER = "other"
"""The memory of everything that lies in none of a firmware's: peripherals."""


@dataclass
class Phase:
    """What was executed between two marks.

    :param counts: ``instructions``, each class, ``loads_MEMORY`` and ``stores_MEMORY``.
    """

    counts: dict[str, int] = field(default_factory=dict)
    blocks: list[BlockUse] = field(default_factory=list)


def read(path: Path, memories: Sequence[tuple[str, int, int]]) -> list[Phase]:
    """Parse the report of one observed run: the phases before the first step, of each step, and after the last.

    :param memories: name, first address, address after the last; several may have the same name.
    :raises DeviceError: if it is missing or incomplete.
    """
    names: list[str] = []
    spaces = [*(name for name, _, _ in memories), OTHER]
    known: dict[int, BlockUse] = {}
    phases: list[Phase] = []
    try:
        text = left_behind.read(path.parent, path.name, MOST_BYTES).decode(errors="replace")
        for line in io.StringIO(text):
            kind, *words = line.split()
            if kind == "use":
                number, count, taken, entered, *accesses = map(int, words)
                if len(accesses) != 2 * len(spaces):
                    raise ValueError(line)
                loads, stores = _by_name(spaces, accesses[: len(spaces)]), _by_name(spaces, accesses[len(spaces) :])
                use = replace(known[number], count=count, loads=loads, stores=stores, taken=taken, entered=entered)
                phases[-1].blocks.append(use)
            elif kind == "block":
                address = int(words[1], 16)
                known[int(words[0])] = BlockUse(words[3], 0, region=_memory(memories, address), address=address)
            elif kind == "phase":
                phases.append(Phase(dict(zip(names, map(int, words), strict=True))))
            elif kind == "classes":
                names = ["instructions", *words]
            elif kind == "end":
                return [_finished(phase) for phase in phases]
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise DeviceError(f"the emulator's trace cannot be read: {error}", "run again with --debug") from error
    raise DeviceError("the emulator's trace is not complete", "compile the bundle again")


def merged(phases: Iterable[Phase]) -> Phase:
    """Add phases up."""
    counts: Counter[str] = Counter()
    blocks: dict[tuple[str, int], BlockUse] = {}
    for phase in phases:
        counts.update(phase.counts)
        for block in phase.blocks:
            known = blocks.get((block.code, block.address))
            blocks[block.code, block.address] = _added(known, block) if known else block
    return Phase(dict(counts), _sorted(blocks.values()))


def _added(one: BlockUse, other: BlockUse) -> BlockUse:
    loads, stores = Counter(one.loads), Counter(one.stores)
    loads.update(other.loads)
    stores.update(other.stores)
    return replace(
        one, count=one.count + other.count, loads=dict(loads), stores=dict(stores), taken=one.taken + other.taken,
        entered=one.entered + other.entered,
    )  # fmt: skip


def _finished(phase: Phase) -> Phase:
    for block in phase.blocks:
        for kind, accesses in (("loads", block.loads), ("stores", block.stores)):
            for name, count in accesses.items():
                phase.counts[f"{kind}_{name}"] = phase.counts.get(f"{kind}_{name}", 0) + count
    return Phase(phase.counts, _sorted(phase.blocks))


def _sorted(blocks: Iterable[BlockUse]) -> list[BlockUse]:
    """The most instructions first; ties by code, so that the order is stable."""
    return sorted(blocks, key=lambda block: (-block.count * len(block.code), block.code, block.address))


def _by_name(names: Sequence[str], counts: Sequence[int]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, count in zip(names, counts, strict=True):
        found[name] += count
    return {name: count for name, count in found.items() if count}


def _memory(memories: Sequence[tuple[str, int, int]], address: int) -> str:
    return next((name for name, low, high in memories if low <= address < high), OTHER)
