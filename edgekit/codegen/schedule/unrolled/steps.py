"""What the schedule makes: steps over vectors of stored integers, each vector named by its tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
NOTHING = -1
"""The place of an element that is not there: padding."""


@dataclass(frozen=True, eq=False)
class Rounding:
    """``clip(floor((total + offset) / 2**shift), low, high)`` of a total, the sum times ``gain``; arrays are ``[n]``.

    :param below: the offset of totals less than ``border``. Most have the same one on both sides.
    """

    gain: Integers
    offset: Integers
    below: Integers
    border: Integers
    shift: Integers
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class Step:
    """Computes one vector; ``node``: the operator, ``output``: the tensor."""

    node: int
    output: int


@dataclass(frozen=True, eq=False)
class Linear(Step):
    """Sums of products of windows with constant weights, rounded.

    Output ``[row, group, o]`` is the sum over ``k`` of ``(x[index[row, group, k]] - zero) * weights[group, k, o]``.

    :param index: ``[rows, groups, k]`` places in the input, or :data:`NOTHING`. :param weights: ``[groups, k, out]``.
    :param zero: the input's zero point. :param rounding: one for each output, ``[rows * groups * out]``; the bias is
        part of its offset.
    """

    input: int
    index: Integers
    weights: Integers
    zero: int
    rounding: Rounding


@dataclass(frozen=True, eq=False)
class Pair(Step):
    """``first * gain + second * other`` rounded, element by element; one rounding for all elements.

    :param places: of each operand, ``[n]``. :param other: what the second is multiplied by.
    """

    first: int
    second: int
    places: tuple[Integers, Integers]
    other: int
    rounding: Rounding


@dataclass(frozen=True, eq=False)
class Table(Step):
    """``table[x + 128]`` of each element; ``[256]``."""

    input: int
    table: Integers


@dataclass(frozen=True, eq=False)
class Largest(Step):
    """The largest, or the smallest, of places of the inputs taken together, within limits.

    :param index: ``[n, k]`` places in the inputs joined in order, or :data:`NOTHING`.
    """

    inputs: tuple[int, ...]
    index: Integers
    low: int
    high: int
    smallest: bool = False


@dataclass(frozen=True, eq=False)
class Pick(Step):
    """Elements of the inputs joined in order, ``[n]``; where a place is :data:`NOTHING`, the constant ``values[n]``."""

    inputs: tuple[int, ...]
    index: Integers
    values: Integers


@dataclass(frozen=True, eq=False)
class Program:
    """A network as steps.

    :param sizes: elements of every vector, by tensor. :param products: multiplications of one inference that are not
        by 0.
    """

    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    sizes: dict[int, int]
    products: int
