"""Which operators a device in an FPGA computes, and which are left to the host: before it, or after it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.backends.vela.structure import Part, extracted, on_cpu

if TYPE_CHECKING:
    from edgekit.graph import Graph


@dataclass(frozen=True)
class Parts:
    """A network in up to three parts, each None where it has no operator.

    :param before: on the host, whose results the device reads. :param after: on the host, from the device's results.
    """

    before: Part | None
    device: Part | None
    after: Part | None

    @property
    def host(self) -> tuple[Part, ...]:
        """The host's parts, in order."""
        return tuple(part for part in (self.before, self.after) if part is not None)

    @property
    def groups(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The operators of the parts: before, of the device, after."""
        before, device, after = (tuple(p.operators) if p else () for p in (self.before, self.device, self.after))
        return before, device, after

    @property
    def all(self) -> tuple[Part, ...]:
        """All parts in the order of execution."""
        return tuple(part for part in (self.before, self.device, self.after) if part is not None)


def split(graph: Graph, missing: Collection[int]) -> Parts:
    """Split a network at the operators that the device lacks (``missing``).

    What depends on none of the device's results runs before; what depends on one that is missing, after.
    """
    stages = dict.fromkeys(graph.main.inputs, 0)
    groups: tuple[list[int], list[int], list[int]] = [], [], []
    for index, operator in enumerate(graph.operators):
        stage = max((stages.get(i, 0) for i in operator.inputs if i >= 0), default=0)
        stage = (2 if stage else 0) if index in missing else max(stage, 1)
        groups[stage].append(index)
        stages.update(dict.fromkeys(operator.outputs, stage))
    return of_groups(graph, *groups)


def of_groups(graph: Graph, before: list[int], device: list[int], after: list[int]) -> Parts:
    """Parts by their operators."""
    return Parts(*(on_cpu(graph, group) if group else None for group in (before, device, after)))


__all__ = ["Part", "Parts", "extracted", "of_groups", "split"]
