"""Where tensors lie as pictures, and what rules know of the processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.backends.tvm.program import View, product
from edgekit.graph import Graph, Operator

INFINITE = 3.0e38
CLAMPS = {0: (-INFINITE, INFINITE), 1: (0.0, INFINITE), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""Fused activations by the schema's ActivationFunctionType: the range of real values."""


@dataclass(frozen=True)
class Machine:
    """What the templates are made for.

    :param lanes: 32-bit lanes of a vector. :param registers: vector registers.
    :param dot: ``vnni`` (unsigned by signed bytes), ``sdot``, or "" for plain multiplications.
    :param borders: pictures that a padded convolution reads have a border; else its kernel compares coordinates.
    """

    target: dict[str, Any]
    lanes: int
    registers: int
    dot: str = ""
    borders: bool = True

    @property
    def shifted(self) -> bool:
        return self.dot == "vnni"


@dataclass(frozen=True)
class Picture:
    """Where a tensor lies: ``outer`` ``(h, w, c)`` of the storage, and the picture's corner and size in it."""

    storage: int
    dtype: str
    outer: tuple[int, int, int]
    top: int
    left: int
    size: tuple[int, int, int]

    @property
    def view(self) -> View:
        return View(self.storage, self.outer, self.dtype)

    @property
    def dense(self) -> bool:
        return self.outer == self.size

    @property
    def bare(self) -> bool:
        """Without a border; there may be more channels than the tensor has."""
        return self.outer[:2] == self.size[:2]

    @property
    def spec(self) -> list[int]:
        """What a template needs: the outer shape and the corner."""
        return [*self.outer, self.top, self.left]


def size3(shape: Sequence[int]) -> tuple[int, int, int]:
    """A tensor's shape as a picture's."""
    if len(shape) == 4 and shape[0] == 1:
        return shape[1], shape[2], shape[3]
    return 1, product(shape[:-1]), shape[-1] if shape else 1


def padding_of(graph: Graph, operator: Operator) -> tuple[int, int, int, int]:
    """Top, left, bottom, right padding of a convolution (TFLite's SAME puts the odd one at the end)."""
    o = operator.options
    if o.padding != 0:
        return 0, 0, 0, 0
    x, w, y = (graph.tensors[i].shape for i in (operator.inputs[0], operator.inputs[1], operator.outputs[0]))
    found = []
    for axis, stride, dilation in ((1, o.strideH, o.dilationHFactor), (2, o.strideW, o.dilationWFactor)):
        total = max(0, (y[axis] - 1) * stride + (w[axis] - 1) * dilation + 1 - x[axis])
        found.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = found
    return top, left, bottom, right


def divisors(number: int, most: int) -> list[int]:
    return [d for d in range(1, min(number, most) + 1) if number % d == 0]


def as_one_row(picture: Picture) -> Picture:
    size = (1, 1, product(picture.size))
    return Picture(picture.storage, picture.dtype, size, 0, 0, size)


def as_rows(picture: Picture) -> Picture:
    """A picture without a border: pixels are rows."""
    rows = picture.size[0] * picture.size[1]
    outer = (1, rows, picture.outer[2])
    return Picture(picture.storage, picture.dtype, outer, 0, 0, (1, rows, picture.size[2]))
