"""What moves elements: copies by the vector unit, or nothing at all."""

from __future__ import annotations

import math

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen.schedule.overlay import vectors
from edgekit.codegen.schedule.overlay.layout import Layout, size_of
from edgekit.codegen.schedule.overlay.program import Step
from edgekit.codegen.schedule.overlay.rules.base import Context, Item, Layouts, Unsuitable, sized

CHANNEL = (0, 0, 1)


def reshape(c: Context, kernel: k.Reshape) -> list[Item]:
    """The same memory under another shape."""
    c.alias[kernel.output] = kernel.input
    return []


def pad(c: Context, kernel: k.Pad) -> list[Item]:
    """Rows and columns of the zero point around a feature map."""
    x, y = (c.network.tensors[i] for i in (kernel.input, kernel.output))
    sized(c, kernel.input, x.shape)
    c.sizes[kernel.output] = size_of(y.shape)
    zero = c.network.scale(kernel.output).zero_point

    def emit(layouts: Layouts) -> list[Step]:
        shift = (kernel.top, kernel.left)
        return [vectors.moved(kernel.node, "pad", layouts(kernel.input), layouts(kernel.output), shift, (1, 1), zero)]

    return [Item(kernel.node, (kernel.input,), kernel.output, emit)]


def spread(c: Context, kernel: k.Spread) -> list[Item]:
    """A feature map's pixels apart on one of zero points: the first half of a transposed convolution."""
    x, y = (c.network.tensors[i] for i in (kernel.input, kernel.output))
    sized(c, kernel.input, x.shape)
    size = size_of(y.shape)
    c.sizes[kernel.output] = size
    zero = c.network.scale(kernel.input).zero_point

    def emit(layouts: Layouts) -> list[Step]:
        given, made = layouts(kernel.input), layouts(kernel.output)
        rows, columns, _ = given.size
        sy, sx = kernel.strides
        rows = min(rows, -(-(size[0] - kernel.top) // sy))
        columns = min(columns, -(-(size[1] - kernel.left) // sx))
        axes = (
            vectors.Axis(given.channel_words, 1, 1), vectors.Axis(columns, given.pitch, sx * made.pitch),
            vectors.Axis(rows, given.row, sy * made.row),
        )  # fmt: skip
        return [
            vectors.filled(kernel.node, "spread", made, zero),
            vectors.copied(kernel.node, "spread", given.base, made.at(kernel.top, kernel.left), axes),
        ]

    return [Item(kernel.node, (kernel.input,), kernel.output, emit)]


def resize(c: Context, kernel: k.Resize) -> list[Item]:
    """Nearest neighbours, by whole factors: one copy for each place in the group that a pixel becomes."""
    if kernel.method != "nearest":
        raise Unsuitable("it interpolates")
    x, y = (c.network.tensors[i].shape for i in (kernel.input, kernel.output))
    sized(c, kernel.input, x)
    size = size_of(y)
    factors = []
    for (first, _, _), count, given in ((kernel.rows, size[0], x[1]), (kernel.columns, size[1], x[2])):
        times = count // given
        if count % given or not np.array_equal(first, np.arange(count) // times):
            raise Unsuitable("it is not by a whole factor")
        factors.append(times)
    c.sizes[kernel.output] = size
    fy, fx = factors

    def emit(layouts: Layouts) -> list[Step]:
        given, made = layouts(kernel.input), layouts(kernel.output)
        rows, columns, _ = given.size
        axes = (
            vectors.Axis(given.channel_words, 1, 1), vectors.Axis(columns, given.pitch, fx * made.pitch),
            vectors.Axis(rows, given.row, fy * made.row),
        )  # fmt: skip
        return [
            vectors.copied(kernel.node, "resize", given.base, made.at(dy, dx), axes)
            for dy in range(fy)
            for dx in range(fx)
        ]

    return [Item(kernel.node, (kernel.input,), kernel.output, emit)]


def move(c: Context, kernel: k.Move) -> list[Item]:
    """Copies of whole words: concatenation, slices and the like where channels stay in fours."""
    source, result = kernel.source, kernel.result
    for view in (source, result):
        tensor = c.network.tensors[view.tensor]
        if tensor.dtype != "int8":
            raise Unsuitable(f"it moves {tensor.dtype}")
        if tensor.data is not None:
            raise Unsuitable("it moves a constant")
        c.sizes.setdefault(c.root(view.tensor), size_of(tensor.shape))
    moves = [
        (extent, _place(c, source.tensor, source.steps[n]), _place(c, result.tensor, result.steps[n]))
        for n, extent in enumerate(source.shape)
        if extent > 1
    ]
    starts = [_place(c, view.tensor, view.origin) for view in (source, result)]
    inner = moves.pop()[0] if moves and moves[-1][1:] == (CHANNEL, CHANNEL) else 1
    outer = moves
    if any(step[2] % 4 for _, *both in outer for step in both) or any(start[2] % 4 for start in starts):
        raise Unsuitable("its channels do not lie in fours")
    width = c.size(result.tensor)[2]
    if inner % 4 and starts[1][2] + inner != width:
        raise Unsuitable("its channels do not lie in fours")
    if len(outer) > 2 and math.prod(n for n, _, _ in outer[:-2]) > 64:
        raise Unsuitable("it has too many axes")

    def emit(layouts: Layouts) -> list[Step]:
        places = [layouts(view.tensor) for view in (source, result)]

        def words(step: tuple[int, int, int], place: Layout) -> int:
            return step[0] * place.row + step[1] * place.pitch + step[2] // 4

        first = [place.base + words(start, place) for start, place in zip(starts, places, strict=True)]
        all_axes = [vectors.Axis(n, words(a, places[0]), words(b, places[1])) for n, a, b in outer]
        while len(all_axes) < 2:
            all_axes.insert(0, vectors.Axis(1, 0, 0))
        done: list[Step] = []
        for index in np.ndindex(*(axis.count for axis in all_axes[:-2])):
            offset = [
                sum(i * (axis.write if way else axis.read) for i, axis in zip(index, all_axes, strict=False))
                for way in (0, 1)
            ]
            chosen = (vectors.Axis(-(-inner // 4), 1, 1), all_axes[-1], all_axes[-2])
            done.append(vectors.copied(kernel.node, "move", first[0] + offset[0], first[1] + offset[1], chosen))
        return done

    return [Item(kernel.node, (source.tensor,), result.tensor, emit)]


def _place(c: Context, tensor: int, step: tuple[int, ...]) -> tuple[int, int, int]:
    """Rows, columns, channels of a step in the tensor's coordinates."""
    shape = c.network.tensors[tensor].shape
    if size_of(shape) != c.size(tensor):
        raise Unsuitable("its tensor lies in memory under another shape")
    rank = len(shape)
    rows = 0
    for axis in range(rank - 2):
        rows = rows * shape[axis] + step[axis]
    return rows, step[-2] if rank > 1 else 0, step[-1] if rank else 0
