"""What can be tuned of a network: its different kernels, what else their templates could be, candidates' kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.backends.tvm.lowering import lower
from edgekit.backends.tvm.program import Kernel, Program
from edgekit.backends.tvm.tiles import held_registers, tiles, window_tiles
from edgekit.backends.tvm.tuned import workload

if TYPE_CHECKING:
    from edgekit.backends.tvm.layout import Machine
    from edgekit.graph import Graph

TILED = ("conv", "conv_int8")
WINDOWED = ("depthwise", "depthwise_int8")
SEARCHED = (*TILED, *WINDOWED, "pool", "mean", "accumulate", "bilinear")
"""Templates worth a search: the others move each element once, which no order of loops makes much faster."""


@dataclass(frozen=True)
class Task:
    """A kernel to tune: the first call of it in the Program that the rules make; ``calls``: how many there are."""

    workload: str
    kernel: Kernel
    calls: int

    @property
    def title(self) -> str:
        params = self.kernel.params
        size = "x".join(map(str, params.get("shape") or params.get("size") or []))
        window = params.get("kernel") or params.get("window")
        return f"{self.kernel.template} {size}" + (f", kernel {'x'.join(map(str, window))}" if window else "")


def tasks(program: Program) -> list[Task]:
    """The different kernels of a Program that can be tuned, in the order in which they run."""
    names = [workload(k.template, k.params) for k in program.kernels]
    counts = Counter(names)
    first = dict(reversed(list(zip(names, program.kernels, strict=True))))
    return [Task(name, first[name], counts[name]) for name in dict.fromkeys(names) if first[name].template in SEARCHED]


def variants(task: Task, machine: Machine) -> Iterator[dict[str, Any]]:
    """Choices of the template's parameters other than the rule's, those that promise most first."""
    params = task.kernel.params
    yield from (v for v in _parameters(task, machine) if any(params[key] != value for key, value in v.items()))


def _parameters(task: Task, machine: Machine) -> Iterator[dict[str, Any]]:
    params = task.kernel.params
    if task.kernel.template in TILED:
        integers, (_, width, count) = params["dtype"] != "float32", params["shape"]
        held = held_registers(machine, params["kernel"][2], integers=integers)
        found = sorted(tiles(width, count, machine, dots=integers, held=held), key=lambda one: -one[0])
        for _, tile in found:
            # With all channels in one block both orders are the same.
            for outer in (False, True) if tile[1] < count else (params["outer"],):
                yield {"tile": list(tile), "outer": outer}
    elif task.kernel.template in WINDOWED:
        (_, every), (_, rows) = window_tiles(*params["shape"])
        for tile in sorted(every, key=lambda one: abs(one[0] * one[1] - params["tile"][0] * params["tile"][1])):
            for count in rows:
                yield {"tile": tile, "rows": count}


def candidate(graph: Graph, machine: Machine, task: Task, choice: dict[str, Any]) -> tuple[Program, Kernel]:
    """The task's kernel as a network with that choice has it, and the Program that holds its constants."""
    program = lower(graph, machine, {task.workload: choice})
    kernel = next(k for k in program.kernels if workload(k.template, k.params) == task.workload)
    return program, kernel
