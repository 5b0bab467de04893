"""What can be tuned in a network: its distinct loop nests, alternatives to their tiles, candidates' calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.codegen.loops import Accumulate, Bilinear, Conv, Depthwise, Loops, Mean, Pool
from edgekit.codegen.program import Call, Program
from edgekit.codegen.schedule import cpu
from edgekit.codegen.schedule.tiles import held_registers, tiles, window_tiles
from edgekit.codegen.schedule.tuned import workload

if TYPE_CHECKING:
    from edgekit.codegen.kernels import Network
    from edgekit.codegen.schedule.machine import Machine

SEARCHED = (Conv, Depthwise, Pool, Mean, Accumulate, Bilinear)
"""Loops worth a search: the others move each element once, which no order of loops makes much faster."""


@dataclass(frozen=True)
class Task:
    """A loop nest to tune: the first call of it in the program that the rules make; ``calls``: how many there are."""

    workload: str
    call: Call
    calls: int

    @property
    def title(self) -> str:
        """The kernel for people: its kind, shape and window."""
        nest = self.call.loops
        window = getattr(nest, "kernel", None) or getattr(nest, "window", None)
        return nest.title + (f", kernel {'x'.join(map(str, window))}" if window else "")


def tasks(program: Program) -> list[Task]:
    """Return the distinct loop nests of a program that can be tuned, in the order in which they run."""
    names = [workload(call.loops) for call in program.calls]
    counts = Counter(names)
    first = dict(reversed(list(zip(names, program.calls, strict=True))))
    searched = [name for name in dict.fromkeys(names) if isinstance(first[name].loops, SEARCHED)]
    return [Task(name, first[name], counts[name]) for name in searched]


def variants(task: Task, machine: Machine) -> Iterator[dict[str, Any]]:
    """Return tiles other than the rule's, the most promising first; JSON values."""
    nest = task.call.loops
    yield from (v for v in _choices(task, machine) if any(chosen(nest, key) != value for key, value in v.items()))


def chosen(nest: Loops, name: str) -> Any:
    """A field of a nest as a choice has it."""
    value = getattr(nest, name)
    return list(value) if isinstance(value, tuple) else value


def _choices(task: Task, machine: Machine) -> Iterator[dict[str, Any]]:
    nest = task.call.loops
    if isinstance(nest, Conv):
        integers, (_, width, count) = nest.dtype != "float32", nest.shape
        held = held_registers(machine, nest.kernel[2], integers=integers)
        found = sorted(tiles(width, count, machine, dots=integers, held=held), key=lambda one: -one[0])
        for _, tile in found:
            # With all channels in one block both orders are the same.
            for outer in (False, True) if tile[1] < count else (nest.outer,):
                yield {"tile": list(tile), "outer": outer}
    elif isinstance(nest, Depthwise):
        (_, every), (_, rows) = window_tiles(*nest.shape)
        area = nest.tile[0] * nest.tile[1]
        for tile in sorted(every, key=lambda one: abs(one[0] * one[1] - area)):
            for count in rows:
                yield {"tile": tile, "rows": count}


def candidate(network: Network, machine: Machine, task: Task, choice: dict[str, Any]) -> tuple[Program, Call]:
    """The task's nest as a network with that choice has it, and the program that holds its constants."""
    program = cpu.schedule(network, machine, {task.workload: choice})
    return program, next(call for call in program.calls if workload(call.loops) == task.workload)
