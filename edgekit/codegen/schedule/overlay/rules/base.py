"""What rules need: the network, items, and why something is not for the overlay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgekit.codegen import kernels as k
from edgekit.codegen.schedule.overlay.command import Factor
from edgekit.codegen.schedule.overlay.layout import Blocks, Layout, Size, size_of
from edgekit.codegen.schedule.overlay.machine import Machine
from edgekit.codegen.schedule.overlay.modes import Window
from edgekit.codegen.schedule.overlay.program import Step

Layouts = Callable[[int], Layout]


@dataclass(frozen=True, eq=False)
class Item:
    """Commands to be.

    :param reads: and ``writes``: tensors. :param window: of a convolution. :param emit: makes the commands.
    :param together: tensors that must be laid out alike.
    """

    node: int
    reads: tuple[int, ...]
    writes: int
    emit: Callable[[Layouts], list[Step]]
    window: Window | None = None
    together: tuple[int, ...] = ()
    source_size: Size | None = None


class Unsuitable(Exception):
    """The overlay does not do this; the message says why, of the operator."""


@dataclass(eq=False)
class Context:
    """The network, and tensors that are added to it.

    :param alias: tensors that are another under a new shape. :param blocks: inputs whose pixels lie in blocks.
    """

    network: k.Network
    machine: Machine
    sizes: dict[int, Size]
    alias: dict[int, int]
    shapes: dict[int, tuple[int, ...]]
    blocks: dict[int, Blocks]

    def root(self, tensor: int) -> int:
        """The tensor whose memory this one is."""
        while tensor in self.alias:
            tensor = self.alias[tensor]
        return tensor

    def size(self, tensor: int) -> Size:
        """Rows, columns, channels as they lie in memory."""
        return self.sizes[self.root(tensor)]

    def temporary(self, size: Size) -> int:
        """A new tensor."""
        number = len(self.network.tensors) + len(self.shapes)
        self.shapes[number] = size
        self.sizes[number] = size
        return number


def sized(c: Context, tensor: int, shape: tuple[int, ...]) -> None:
    """Require a tensor to lie in memory as its shape says."""
    c.sizes.setdefault(c.root(tensor), size_of(shape))
    if c.size(tensor) != size_of(shape):
        raise Unsuitable("its input lies in memory under another shape")


def exact(multiplier: int, shift: int) -> Factor:
    """TFLite's multiplier and shift as requantization takes them."""
    if multiplier < 0 or shift > 31:
        raise Unsuitable("its scales are out of range")
    return Factor.of(multiplier, shift)


def stored(limits: k.Limits) -> tuple[int, int]:
    """Limits as integers."""
    return int(limits[0]), int(limits[1])
