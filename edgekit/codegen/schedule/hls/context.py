"""What rules work on: the network, and the layers so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen.schedule.hls import rounding as made
from edgekit.codegen.schedule.hls.layers import Integers, Layer, Range, Requantize, Shaped, Value
from edgekit.codegen.schedule.unrolled.exact import STORED_LIMITS
from edgekit.codegen.views import View, row_major

STORED_RANGE = Range(*STORED_LIMITS)
NO_LAYER = "there is no layer for it"
MOST_PACK = 4096
"""Numbers that pass at once at most: the tools refuse larger partitions."""


class Unsuitable(Exception):
    """Why a kernel does not become layers."""


@dataclass
class Context:
    """A network, and the layers so far.

    :param values: what is passed on of a tensor, by its base.
    """

    network: k.Network
    layers: list[Layer] = field(default_factory=list)
    values: dict[int, dict[int, Value]] = field(default_factory=dict)
    count: int = 0

    def shape(self, tensor: int) -> tuple[int, ...]:
        """A tensor's, without the batch."""
        shape = self.network.tensors[tensor].shape
        if len(shape) > 1 and shape[0] != 1:
            raise Unsuitable("its batch is not 1")
        if not shape:
            raise Unsuitable("it has a scalar")
        if shape[-1] > MOST_PACK:
            raise Unsuitable(f"it passes {shape[-1]:,} numbers on at once: 1 to {MOST_PACK:,} can")
        return shape[1:] if len(shape) > 1 else shape

    def zero(self, tensor: int) -> int:
        """A tensor's zero point."""
        return self.network.scale(tensor).zero_point

    def fresh(self, shape: tuple[int, ...], numbers: Range) -> Value:
        """A value of the next number."""
        self.count += 1
        return Value(self.count, shape, numbers)

    def passed(self, tensor: int, base: int, numbers: Range) -> Value:
        """A new value of a tensor, less a base."""
        value = self.fresh(self.shape(tensor), numbers)
        self.values.setdefault(tensor, {})[base] = value
        return value

    def any_of(self, tensor: int) -> tuple[int, Value]:
        """A base and the value less it, whichever there is."""
        if tensor not in self.values:
            raise Unsuitable("it reads a constant")
        return next(iter(self.values[tensor].items()))

    def read(self, node: int, tensor: int, base: int) -> Value:
        """A tensor's value less a base, by a layer of its own if there is another base only."""
        there, value = self.any_of(tensor)
        if base not in self.values[tensor]:
            self.values[tensor][base] = self.moved(node, value, there - base)
        return self.values[tensor][base]

    def moved(self, node: int, value: Value, by: int) -> Value:
        """A value to which a number is added, by a layer of its own."""
        result = self.fresh(value.shape, value.range.minus(-by))
        self.layers.append(Requantize(node, result, value, made.moved(by, result.range)))
        return result

    def base(self, tensor: int) -> int:
        """The base of what is passed on of a tensor that is computed: outputs have none."""
        return 0 if tensor in self.network.outputs else self.zero(tensor)

    def shaped(self, node: int, value: Value, shape: tuple[int, ...]) -> Value:
        """A value in another shape."""
        if value.shape == shape:
            return value
        other = self.fresh(shape, value.range)
        self.layers.append(Shaped(node, other, value))
        return other


def places(context: Context, view: View) -> Integers:
    """The places in its tensor of a view's elements, flat."""
    layout = row_major(context.network.tensors[view.tensor].shape)
    places = np.full(view.shape, view.offset(layout), np.int64)
    for axis, (extent, stride) in enumerate(zip(view.shape, view.strides(layout), strict=True)):
        places += (np.arange(extent, dtype=np.int64) * stride).reshape(-1, *[1] * (len(view.shape) - axis - 1))
    return places.reshape(-1)
