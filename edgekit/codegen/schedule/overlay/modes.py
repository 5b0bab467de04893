"""How the overlay reads the windows of a convolution, and what each way costs.

A *block* is what the array's output lanes compute at once: ``oc`` channels of one pixel, or four channels of several
neighbouring pixels. A *slot* is one such group of pixels in the accumulators, a *pass* all slots of a tile with the
same weights. A read brings ``banks`` words: either channels of one pixel, or one word of each of ``banks`` neighbouring
pixels, so that a pass covers several taps (that is how depthwise convolutions and those of few channels keep more
multipliers busy).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.fixed_point import Integers
from edgekit.codegen.schedule.overlay import tiles
from edgekit.codegen.schedule.overlay.command import Factor
from edgekit.codegen.schedule.overlay.layout import Layout, Size
from edgekit.codegen.schedule.overlay.machine import Machine
from edgekit.codegen.schedule.overlay.tiles import Shape

Axis = Literal["x", "y"]
AXES: tuple[Axis, ...] = ("x", "y")


@dataclass(frozen=True, eq=False)
class Window:
    """A convolution as the array computes it.

    :param weights: ``[out, kernel height, kernel width, in]``, or of a depthwise one ``[kernel height, kernel width,
        channels]``. :param bias: one per output channel, the input's zero point accounted for.
    :param padding: top, left. :param pad: what lies outside.
    :param alike: the weights of all taps are the same, and are loaded once per block.
    :param products: of an output pixel, where weights were added; 0: as many as weights.
    """

    node: int
    name: str
    weights: NDArray[np.int64]
    bias: Integers
    factors: tuple[Factor, ...]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: tuple[int, int]
    pad: int
    zero: int
    limits: tuple[int, int]
    once: bool = False
    alike: bool = False
    products: int = 0

    @property
    def depthwise(self) -> bool:
        """True if every output channel reads one input channel."""
        return self.weights.ndim == 3

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width."""
        first = 0 if self.depthwise else 1
        return self.weights.shape[first], self.weights.shape[first + 1]

    @property
    def channels(self) -> int:
        """Of the output."""
        return int(self.weights.shape[2 if self.depthwise else 0])


@dataclass(frozen=True)
class Mode:
    """How windows are read.

    :param axis: along which neighbouring pixels are read; None: channels of one pixel. :param pixels: of a slot along
        the axis, ``across``: along the other. :param channels: of a block; 0: one per output lane.
    """

    axis: Axis | None = None
    pixels: int = 1
    across: int = 1
    channels: int = 0

    @property
    def group(self) -> tuple[int, int]:
        """Rows, columns of a slot's pixels."""
        return (self.pixels, self.across) if self.axis == "y" else (self.across, self.pixels)


def modes(machine: Machine, window: Window) -> Iterator[Mode]:
    """All that the array can do.

    A slot's words differ in one or two of channels, pixels along the axis and pixels across it, by two steps at most
    (``ek_drain.sv``).
    """
    yield Mode()
    if machine.banks == 1 or window.alike:
        return
    words = machine.oc // 4
    for deep, pixels, across in product(range(1, words + 1), repeat=3):
        larger = [count for count in (deep, pixels, across) if count > 1]
        if deep * pixels * across > words or (len(larger) == 2 and max(larger) > 2):
            continue
        if (window.depthwise and deep > 1) or (not window.depthwise and deep * pixels * across < words):
            continue
        if pixels * across == 1 or -(-window.channels // 4) % deep == 0:
            yield from (Mode(axis, pixels, across, 4 * deep) for axis in AXES)


def usable(mode: Mode, machine: Machine, source: Layout, output: Layout) -> bool:
    """True if neighbouring pixels lie in different banks, and what is written beyond a row does no harm."""
    if mode.axis is None:
        return True
    distance = source.pitch if mode.axis == "x" else source.row
    return distance % 2 == 1 and spill(mode, output.size) <= output.spare


def spill(mode: Mode, size: Size) -> int:
    """Pixels that are written beyond the end of a row."""
    return -size[1] % mode.group[1]


def in_slots(window: Window, output: Layout) -> bool:
    """True if blocks of channels can be slots: of a mean over a whole feature map, where all channels are alike."""
    if not window.alike or not window.depthwise or output.size[:2] != (1, 1):
        return False
    return len(set(window.factors)) == 1 and len(set(map(int, window.bias))) == 1


def shape_of(machine: Machine, window: Window, source: Layout, output: Layout, mode: Mode) -> Shape:
    """The loops of a window in a mode."""
    rows, columns, channels = output.size
    height, width = window.kernel
    # Eight lanes requantize two words at a time, if these lie in different banks.
    twos = machine.lanes == 8 and word_steps(mode, output)[0] % machine.banks != 0
    if in_slots(window, output):
        slots = (1, -(-channels // machine.oc))
        return Shape(1, (1, width, height), slots, machine.oc, machine.oc // 4, True, twos=twos)
    if mode.axis is None:
        depth = 1 if window.depthwise else -(-source.size[2] // machine.ic)
        return Shape(
            -(-channels // machine.oc), (depth, width, height), (rows, columns), machine.oc, machine.oc // 4,
            window.alike, machine.banks if window.depthwise and machine.banks > 1 else 0, twos,
        )  # fmt: skip
    along, other = (1, 0) if mode.axis == "x" else (0, 1)
    depth = 1 if window.depthwise else -(-source.size[2] // 4)
    across = window.kernel[other] if mode.across == 1 else _reach(window, other, mode.across)
    reads = (depth, -(-_reach(window, along, mode.pixels) // machine.banks), across)
    slots = (-(-rows // mode.group[0]), -(-columns // mode.group[1]))
    words = mode.pixels * mode.across * mode.channels // 4
    diagonal = machine.banks if window.depthwise else 0
    return Shape(-(-channels // mode.channels), reads, slots, mode.channels, words, rows=diagonal, twos=twos)


def _reach(window: Window, axis: int, pixels: int) -> int:
    """Neighbouring input pixels that so many neighbouring outputs need, along an axis."""
    return (pixels - 1) * window.strides[axis] + (window.kernel[axis] - 1) * window.dilations[axis] + 1


def word_steps(mode: Mode, output: Layout) -> tuple[int, int]:
    """Words of the output from a slot's first word to its second, and to its third."""
    along, across = (output.pitch, output.row) if mode.axis == "x" else (output.row, output.pitch)
    counts = ((mode.channels // 4, 1), (mode.pixels, along), (mode.across, across))
    found = [step for count, step in counts if count > 1] or [1]
    return (found[0], found[1]) if len(found) == 2 else (found[0], 2 * found[0])


def best_mode(machine: Machine, window: Window, source: Layout, output: Layout) -> tuple[Mode, int]:
    """The mode that takes the fewest cycles, and the cycles."""
    found = [
        (tiles.cycles(machine, shape_of(machine, window, source, output, mode)), n, mode)
        for n, mode in enumerate(modes(machine, window))
        if usable(mode, machine, source, output)
    ]
    cycles, _, mode = min(found, key=lambda one: one[:2])
    return mode, cycles


def slack(machine: Machine, window: Window, mode: Mode, output: Layout) -> int:
    """Words beyond the output that are overwritten."""
    if in_slots(window, output):
        return -output.channel_words % (machine.oc // 4)
    rows, columns = mode.group
    return (rows - 1) * output.row + (columns - 1) * output.pitch
