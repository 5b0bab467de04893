"""Cycles in which a microcontroller waits for its memories, beyond those that the core's tables count.

Code: of the blocks of a step, those that run most often stay in the instruction cache, as far as it reaches; each other
block waits for the first of the pieces that the memory brings at once, and for the further ones as long as they take
beyond executing the piece before, during which they are fetched ahead. Data: what is loaded from a memory with wait
states comes in such pieces, too, and stays in a data cache if the operator's constants or activations fit there. At the
low end fetching ahead hides all but the first piece, and caches keep all; at the high end nothing is fetched ahead,
half of the instruction cache is left, and no data stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.profiling.mcu import Kind, Operation
from edgekit.profiling.mcu.cores import Bound
from edgekit.runners import BlockUse
from edgekit.target import Target
from edgekit.target.mcu import Region, RegionKind

Blocks = Sequence[tuple[BlockUse, Sequence[Operation]]]
_BYTES = {
    Kind.LOAD: 4, Kind.LOAD_NARROW: 1, Kind.LOAD_DOUBLE: 8, Kind.LOAD_MULTIPLE: 4, Kind.VEC_LOAD: 16,
    Kind.VEC_GATHER: 16,
}  # fmt: skip
"""Bytes that a load brings, for each register of multiple ones."""


@dataclass(frozen=True)
class Tensors:
    """Bytes of an operator's tensors: constants lie in flash, activations in RAM."""

    constants: int = 0
    activations: int = 0


@dataclass(frozen=True)
class Memories:
    """A target's memories with wait states, and its caches, bytes; 0 where there is none."""

    regions: Mapping[str, Region]
    code_cache: int = 0
    data_cache: int = 0

    def waits(self, blocks: Blocks, tensors: Tensors, bound: Bound) -> float:
        """Return the cycles that a step waits.

        :param blocks: what it executed. :param tensors: those of its operator.
        """
        return self._code(blocks, bound) + self._data(blocks, tensors, bound)

    def _code(self, blocks: Blocks, bound: Bound) -> float:
        room = self.code_cache // 2 if bound is Bound.HIGH else self.code_cache
        total = 0.0
        for use, code in sorted(blocks, key=lambda block: (-block[0].count, block[0].code)):
            region = self.regions.get(use.region)
            if region is None:
                continue
            size = len(use.code) // 2
            pieces = -(-size // region.fetch_bytes)
            room -= size
            hidden = region.wait_states if bound is Bound.LOW else len(code) / pieces if bound is Bound.VALUE else 0.0
            further = max(0.0, region.wait_states - hidden)
            each = region.wait_states + (pieces - 1) * further
            total += pieces * region.wait_states if room >= 0 else use.count * each
        return total

    def _data(self, blocks: Blocks, tensors: Tensors, bound: Bound) -> float:
        total = 0.0
        for name, region in self.regions.items():
            loads = [(_loads(use, code), use.count * _share(use, name)) for use, code in blocks]
            pieces = sum(count * sum(sizes) for sizes, count in loads) / region.fetch_bytes
            held = tensors.constants if region.kind is RegionKind.FLASH else tensors.activations
            once = min(pieces, held / region.fetch_bytes)
            if bound is Bound.LOW or (bound is Bound.VALUE and 0 < held <= self.data_cache):
                pieces = once
            elif bound is Bound.HIGH and not self.data_cache:
                pieces = max(pieces, sum(count * len(sizes) for sizes, count in loads))
            total += pieces * region.wait_states
        return total


def memories(target: Target) -> Memories:
    """The memories of a microcontroller."""
    slow = {name: region for name, region in target.microcontroller.regions.items() if region.wait_states}
    code, data = target.cache.l1i, target.cache.l1d
    return Memories(slow, code.kib << 10 if code else 0, data.kib << 10 if data else 0)


def _loads(use: BlockUse, code: Sequence[Operation]) -> list[int]:
    """Bytes of each load of a block."""
    if not use.loads:
        return []
    return [_BYTES[one.kind] * one.registers for one in code if one.kind in _BYTES]


def _share(use: BlockUse, name: str) -> float:
    """Part of a block's loads that are from this memory."""
    return use.loads.get(name, 0) / max(1, sum(use.loads.values()))
