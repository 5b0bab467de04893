"""One operator in use, and what the table says about each kind of operator.

Every activation has LiteRT's own shape behind one more dimension, the samples': ``[n, *shape]``. So a network's
first dimension needs not be a batch: it may be reshaped, transposed or split like any other. Constants have no such
dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.graph import Graph, Operator


@dataclass(frozen=True)
class Call:
    """One operator in use.

    :param values: its inputs; None where absent. An activation is ``[n, *shape]``, a constant ``[*shape]``.
    :param flows: which inputs are activations.
    :param shapes: the inputs' shapes in the Graph, without the samples.
    :param options: the schema's options, None for operators without any.
    :param outputs: the outputs' shapes in the Graph.
    :param dtype: the first output's dtype, a name that TensorFlow knows.
    """

    tf: Any
    values: Sequence[Any]
    flows: Sequence[bool]
    shapes: Sequence[tuple[int, ...]]
    options: Any
    outputs: Sequence[tuple[int, ...]]
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The first output's shape."""
        return self.outputs[0]

    def has(self, place: int) -> bool:
        """True if there is such an input."""
        return place < len(self.values) and self.values[place] is not None

    def x(self, place: int, rank: int | None = None) -> Any:
        """Return an input as ``[n or 1, *shape]``, its shape filled up with ones in front to ``rank`` dimensions."""
        value = self.tf.convert_to_tensor(self.values[place])
        shape = self.shapes[place]
        missing = 0 if rank is None else rank - len(shape)
        if self.flows[place] and not missing:
            return value
        return self.tf.reshape(value, (-1 if self.flows[place] else 1, *(1,) * missing, *shape))

    def full(self, place: int) -> Any:
        """As :meth:`x`, with every sample's copy of a constant."""
        value = self.x(place)
        return value if self.flows[place] else self.tf.repeat(value, self.count(), axis=0)

    def count(self) -> Any:
        """n, the number of samples, 1 for an operator on constants alone."""
        flowing = [value for value, flows in zip(self.values, self.flows, strict=True) if flows]
        return self.tf.shape(flowing[0])[0] if flowing else 1

    def rows(self, place: int = 0) -> Any:
        """Return an input as ``[n * shape[0], *shape[1:]]``: its first dimension is LiteRT's batch."""
        return self.tf.reshape(self.x(place), (-1, *self.shapes[place][1:]))

    def shaped(self, y: Any) -> Any:
        """Return a result in the first output's shape."""
        return self.tf.reshape(y, (-1, *self.shape))

    def ints(self, place: int) -> list[int]:
        """Return the integers of a constant, flat."""
        return [int(v) for v in np.asarray(self.values[place]).reshape(-1)]

    def axes(self, place: int, rank: int) -> list[int]:
        """Return the dimensions that a constant names, counted behind the samples'."""
        return [axis(v, rank) for v in self.ints(place)]


def axis(value: int, rank: int) -> int:
    """Return a dimension, which may count from the end, as one behind the samples'."""
    return value % max(rank, 1) + 1


Refusal = Callable[[Graph, Operator], str]


@dataclass(frozen=True)
class Kind:
    """Properties of all operators of one name.

    :param run: what it computes: ``[n or 1, *shape]``, or a list of these for several outputs.
    :param weights: input positions whose float constants are trained.
    :param vectors: positions whose constants are trained where they are vectors behind a trained layer: the scale and
        offset of a normalisation that is not folded. Single values (1/6 of a hard swish) and masks stay.
    :param still: positions that may be weights, or computed from constants, but no activations.
    :param known: positions whose values the file must hold: axes, paddings.
    :param slopes: False if its derivative is zero everywhere: no gradient passes.
    :param fused: False if the fused activation in its options is not to be applied to the outputs.
    :param refuse: says in a few words why an operator cannot be trained, or nothing.
    """

    run: Callable[[Call], Any]
    weights: tuple[int, ...] = ()
    vectors: tuple[int, ...] = ()
    still: tuple[int, ...] = ()
    known: tuple[int, ...] = ()
    slopes: bool = True
    fused: bool = True
    refuse: Refusal = lambda graph, operator: ""


FUSED: dict[int, Callable[[Any, Any], Any]] = {
    0: lambda tf, x: x,
    1: lambda tf, x: tf.nn.relu(x),
    2: lambda tf, x: tf.clip_by_value(x, -1.0, 1.0),
    3: lambda tf, x: tf.nn.relu6(x),
    4: lambda tf, x: tf.tanh(x),
}
"""Fused activations by the schema's ActivationFunctionType."""
