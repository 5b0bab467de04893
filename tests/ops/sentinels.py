"""Programs whose buffers lie between sentinels: a kernel that writes outside its output is caught on any backend.

Each buffer has memory of its own, with a sentinel before and one after it. Sentinels are inputs and outputs of the
program, so the caller writes them before a run and reads them after it: no program of a bundle knows of them. They hold
NaNs, in float32 and float16, so that a result that depends on what lies outside a buffer is wrong, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.program import Buffer, Placements, Program
from edgekit.graph import Graph, Subgraph, Tensor

SIZE = 64
"""Bytes of a sentinel."""


@dataclass
class Guarded(Program):
    """A program with sentinels; ``guards``: the buffers before and after each guarded one."""

    guards: dict[int, tuple[int, int]] | None = None

    def placements(self, scratch: Sequence[int] = ()) -> Placements:
        """See :class:`Program`: one after the other, nothing shared; scratch comes last."""
        places: dict[int, int] = {}
        at = 0
        for buffer, (before, after) in (self.guards or {}).items():
            places[before], places[buffer] = at, at + SIZE
            places[after] = places[buffer] + self.buffers[buffer].nbytes
            at = -(-(places[after] + SIZE) // SIZE) * SIZE
        rooms = list(itertools.accumulate((-(-nbytes // SIZE) * SIZE for nbytes in scratch), initial=at))
        return Placements(places, tuple(rooms[:-1]), rooms[-1])

    def writers(self, damaged: NDArray[np.bool_]) -> set[int]:
        """The operators (-1: none) that write to buffers beside damaged sentinels, ``[sentinels]`` in port order."""
        assert self.guards is not None
        buffers = [buffer for buffer in self.guards for _ in range(2)]
        beside = {buffer for buffer, hit in zip(buffers, damaged, strict=True) if hit}
        return {call.node for call in self.calls if call.args[-1].buffer in beside}


def guarded(program: Program) -> Guarded:
    """The program with sentinels, which follow its inputs and its outputs."""
    ports = {*program.inputs, *program.outputs}
    used = {a.buffer for call in program.calls for a in call.args} | ports
    buffers = list(program.buffers)
    guards: dict[int, tuple[int, int]] = {}
    for number in sorted(used):
        if program.buffers[number].kind != "constant":
            guards[number] = len(buffers), len(buffers) + 1
            buffers += [Buffer("input", SIZE, dtype="uint8"), Buffer("input", SIZE, dtype="uint8")]
    added = [guard for pair in guards.values() for guard in pair]
    return Guarded(buffers, program.calls, [*program.inputs, *added], [*program.outputs, *added], guards)


def with_port(graph: Graph, program: Guarded) -> Graph:
    """The Graph with all sentinels as its last input, which is its last output: what a runner gives and takes."""
    assert program.guards is not None
    main = graph.main
    port = Tensor("sentinels", (2 * len(program.guards), SIZE), "uint8")
    number = len(main.tensors)
    inputs, outputs = (*main.inputs, number), (*main.outputs, number)
    return Graph([Subgraph(main.name, [*main.tensors, port], main.operators, inputs, outputs)])


def values(program: Guarded, samples: int) -> NDArray[Any]:
    """What sentinels hold, ``[samples, sentinels, SIZE]``: arbitrary bytes that are NaN as float32 and as float16."""
    assert program.guards is not None
    made = np.random.default_rng(7).integers(0, 256, (samples, 2 * len(program.guards), SIZE), np.uint8)
    made[..., 1::2] |= 0x7C | 0x80 | 3  # float16: all bits of the exponent, and some of the fraction
    made[..., 3::4] = 0xFF  # float32
    made[..., 2::4] |= 0x80
    return made


def damage(kept: NDArray[Any], found: NDArray[Any]) -> NDArray[np.bool_]:
    """The sentinels that a run changed."""
    return np.any(kept != found, axis=(0, 2))
