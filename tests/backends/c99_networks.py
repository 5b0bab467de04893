"""Networks compiled to C for this machine and called in an arena of the test's own."""

from __future__ import annotations

import ctypes
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import c99
from edgekit.backends.c99 import emit, library
from edgekit.codegen.lower import lower
from edgekit.codegen.schedule.mcu import memory
from edgekit.codegen.schedule.mcu.scheduler import schedule
from edgekit.codegen.schedule.mcu.steps import Program
from edgekit.graph import Graph
from tests.codegen.interpreter import Interpreter

Array = NDArray[Any]
GUARD = 64
"""Bytes before and after each buffer that lies apart."""
FILLS = (0x5A, 0xFF)
"""What an arena holds before a run: as float32 a large number, and NaN."""


class _Network(ctypes.Structure):
    """``struct ek_network``."""

    _fields_ = [
        ("abi", ctypes.c_uint32), ("runtime", ctypes.c_char_p), ("inputs", ctypes.c_uint32),
        ("outputs", ctypes.c_uint32), ("kernels", ctypes.c_uint32), ("input_bytes", ctypes.c_void_p),
        ("output_bytes", ctypes.c_void_p), ("arena_bytes", ctypes.c_uint64), ("kernel", ctypes.c_void_p),
        ("run", ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 6)),
        ("restart", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    ]  # fmt: skip


def scheduled(graph: Graph) -> Program:
    """The steps of a network, without streams.

    :raises AssertionError: if an operator has no kernel.
    """
    program = schedule(lower(graph, c99.SCOPE), graph)
    assert not isinstance(program, list), program
    return program


def apart(program: Program) -> memory.Plan:
    """Every buffer and every step's scratch in memory of its own, with a guard around it."""
    sizes = [*(buffer.nbytes for buffer in program.buffers), *(step.scratch for step in program.steps)]
    rooms = [-(-size // GUARD) * GUARD + 2 * GUARD for size in sizes]
    starts = [start + GUARD for start in itertools.accumulate(rooms, initial=0)]
    count = len(program.buffers)
    return memory.Plan(tuple(starts[:count]), tuple(starts[count:-1]), starts[-1], 0)


@dataclass
class Compiled:
    """A network as a library.

    :param path: of the library. :param plan: where its buffers lie.
    """

    program: Program
    plan: memory.Plan
    path: Path
    arena: Array = field(default_factory=lambda: np.zeros(0, np.uint8))

    def run(self, inputs: Sequence[Array], fill: int = 0) -> tuple[list[Array], Array]:
        """One inference in an arena that holds ``fill`` everywhere.

        :param inputs: one sample each. :returns: the outputs and the arena after the run, bytes.
        """
        network, arena = self._started(fill)
        network.restart(arena.ctypes.data)
        outputs = self._run(network, arena, inputs)
        return outputs, arena

    def frames(self, frames: Iterable[Sequence[Array]]) -> Iterator[list[Array]]:
        """One inference after the other, with what variables keep between them."""
        network, self.arena = self._started(0)
        network.restart(self.arena.ctypes.data)
        for frame in frames:
            yield self._run(network, self.arena, frame)

    def variables(self) -> list[Array]:
        """What variables hold after the last of :meth:`frames`, bytes."""
        rooms = [(self.plan.buffers[n], self.program.buffers[n].nbytes) for n in self.program.initial]
        return [self.arena[start : start + size].copy() for start, size in rooms]

    def _run(self, network: _Network, arena: Array, inputs: Sequence[Array]) -> list[Array]:
        given = [np.ascontiguousarray(x) for x in inputs]
        outputs = [np.zeros(tensor.shape, tensor.dtype) for tensor in self.program.ends[1]]
        assert network.run(arena.ctypes.data, None, _pointers(given), _pointers(outputs), None, None) == 0
        return outputs

    def _started(self, fill: int) -> tuple[_Network, Array]:
        loaded = ctypes.CDLL(str(self.path)).edgekit_network
        loaded.restype = ctypes.POINTER(_Network)
        network = loaded().contents
        assert network.arena_bytes == self.plan.arena
        memory_ = np.full(self.plan.arena + 2 * GUARD, fill, np.uint8)
        start = -memory_.ctypes.data % GUARD
        return network, memory_[start : start + self.plan.arena]

    def guarded_run(self, inputs: Sequence[Array]) -> tuple[list[Array], set[int]]:
        """An inference with everything apart; results must not depend on what the arena held.

        :returns: the outputs, and the operators that wrote outside their output or scratch.
        """
        first, second = (self.run(inputs, fill) for fill in FILLS)
        for a, b in zip(first[0], second[0], strict=True):
            np.testing.assert_array_equal(a, b)
        return first[0], self.writers(first[1], FILLS[0])

    def writers(self, arena: Array, fill: int) -> set[int]:
        """Whose output or scratch lies beside a byte that changed."""
        writers: set[int] = set()
        covered = np.zeros(len(arena), bool)
        owner = {step.output.buffer: step.node for step in self.program.steps}
        scratch = [(self.plan.scratch[n], step.scratch, step.node) for n, step in enumerate(self.program.steps)]
        rooms = [(self.plan.buffers[n], b.nbytes, owner.get(n, -1)) for n, b in enumerate(self.program.buffers)]
        for start, size, node in [*rooms, *scratch]:
            covered[start : start + size] = True
            before, after = arena[start - GUARD : start], arena[start + size : start + size + GUARD]
            if np.any(before != fill) or np.any(after != fill):
                writers.add(node)
        assert writers or np.all(arena[~covered] == fill), "something writes outside of all buffers"
        return writers


def _pointers(arrays: Sequence[Array]) -> Any:
    return (ctypes.c_void_p * max(1, len(arrays)))(*(a.ctypes.data for a in arrays))


def compiled(
    program: Program, folder: Path, placed: memory.Plan | None = None, flags: Sequence[str] = ("-O0",),
    optimize: emit.Optimize = emit.Optimize.SPEED,
) -> Compiled:  # fmt: skip
    """Compile a program for this machine.

    :param placed: where buffers lie; by default apart.
    """
    plan = placed or apart(program)
    path = folder / f"network{len(list(folder.iterdir()))}.so"
    library.link(emit.source(program, "model", optimize, plan), "x86_64", path, flags)
    return Compiled(program, plan, path)


def tight(program: Program, place: int) -> tuple[memory.Plan, int]:
    """As :func:`apart`, but each output lies as near to one of its inputs as its kernel allows.

    :param place: which input. :returns: also how many outputs overlap an input.
    """
    plan = apart(program)
    starts, end, count = list(plan.buffers), plan.arena, 0
    reads = Counter(operand.buffer for step in program.steps for operand in step.inputs)
    writes = Counter(step.output.buffer for step in program.steps)
    moved: set[int] = set()
    for step in program.steps:
        source, output = step.inputs[min(place, len(step.inputs) - 1)].buffer, step.output.buffer
        behind = step.behind[min(place, len(step.inputs) - 1)] if step.behind else None
        alone = source >= 0 and reads[source] == writes[output] == 1 and source not in program.outputs
        if behind is None or not alone or not {source, output}.isdisjoint(moved):
            continue
        distance = 0 if step.in_place and behind > 0 else -(-behind // 8) * 8
        sizes = program.buffers[source].nbytes, program.buffers[output].nbytes
        starts[output] = end + GUARD + max(0, -distance)
        starts[source] = starts[output] + distance
        end = max(starts[output] + sizes[1], starts[source] + sizes[0]) + GUARD
        end = -(-end // GUARD) * GUARD
        moved |= {source, output}
        count += starts[source] < starts[output] + sizes[1] and starts[output] < starts[source] + sizes[0]
    return memory.Plan(tuple(starts), plan.scratch, end, 0), count


STRICT = ("-O1", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-fsanitize=undefined",
          "-fsanitize-undefined-trap-on-error")  # fmt: skip


def followed(network: Compiled, graph: Graph, frames: Iterable[list[Any]]) -> int:
    """Run all frames through C and NumPy, with one arena; return how many different outputs there were."""
    own, given = Interpreter(lower(graph, c99.SCOPE)), list(frames)
    distinct = set[bytes]()
    for number, (frame, outputs) in enumerate(zip(given, network.frames(given), strict=True)):
        for found, expected in zip(outputs, own.run(frame), strict=True):
            np.testing.assert_array_equal(found, expected, f"frame {number}", strict=True)
            distinct.add(found.tobytes())
    return len(distinct)
