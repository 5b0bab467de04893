"""The network so far, and what rules need to add to it. Rules import this module; it imports no rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.kernels import BASIC, Kernel, Limits, Network, Scale, Scope, Variable, reads, scale_of
from edgekit.codegen.tables import stored_limits
from edgekit.codegen.views import View, whole
from edgekit.errors import DamagedModel
from edgekit.graph import Graph, Operator, Tensor
from edgekit.graph.edit import uses
from edgekit.graph.padding import Sides, sides

QUANTIZED = ("int8", "int16")
"""Types of activations whose integers stand for real values."""
INFINITE = 3.0e38
CLAMPS: dict[int, Limits] = {0: (-INFINITE, INFINITE), 1: (0.0, INFINITE), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""Fused activations by the schema's ActivationFunctionType: the range of real values."""


def require(condition: object, reason: str) -> None:
    """:raises DamagedModel: with this reason if the condition does not hold."""
    if not condition:
        raise DamagedModel(reason)


class Builder:
    """Collects the kernels of a graph.

    :param graph: rewritten by :mod:`edgekit.codegen.prepare`. :param nodes: for each of its operators the index of the
        one in the source graph that it comes from. :param scope: what the backend has kernels for.
    """

    def __init__(self, graph: Graph, nodes: Sequence[int], scope: Scope = BASIC) -> None:
        self.graph, self.nodes, self.scope = graph, nodes, scope
        self.tensors: list[Tensor] = list(graph.tensors)
        self.kernels: list[Kernel] = []
        self.uses = uses(graph)
        self.folded: set[int] = set()
        """Operators that a kernel before them computes."""
        self.variables: list[Variable] = []
        self._known: set[int] = set(graph.main.inputs)

    def network(self) -> Network:
        """Everything that was added."""
        main = self.graph.main
        for index in main.outputs:
            require(self.known(index), f"its output {index} is not computed")
        return Network(
            tuple(self.tensors), tuple(self.kernels), tuple(main.inputs), tuple(main.outputs), tuple(self.variables)
        )

    def add(self, kernel: Kernel) -> None:
        """Append a kernel.

        :raises DamagedModel: if it reads a tensor that has no value yet.
        """
        for index in reads(kernel):
            require(self.known(index) or self.tensors[index].data is not None, f"tensor {index} has no value yet")
        self._known.add(kernel.output)
        self.kernels.append(kernel)

    def known(self, index: int) -> bool:
        """True if a kernel so far, or the caller of the network, writes this tensor."""
        return index in self._known

    def variable(self, index: int, initial: NDArray[Any]) -> None:
        """Let a tensor keep its value from one run to the next."""
        self.variables.append(Variable(index, initial))
        self._known.add(index)

    def constant(self, values: NDArray[Any]) -> int:
        """Add a constant tensor and return its number."""
        kept = np.ascontiguousarray(values)
        data = kept.reshape(-1).view(np.uint8)
        self.tensors.append(Tensor(f"constant/{len(self.tensors)}", values.shape, str(kept.dtype), data=data))
        return len(self.tensors) - 1

    def view(self, index: int) -> View:
        """A tensor in its own shape.

        :raises DamagedModel: if the operator lacks that operand.
        """
        require(index >= 0, "an operand is missing")
        return whole(index, self.tensors[index].shape)

    def scale(self, index: int) -> Scale | None:
        """The scale of a quantized tensor; None for other types."""
        return scale_of(self.tensors[index]) if self.tensors[index].dtype in QUANTIZED else None

    def limits(self, index: int, fused: int) -> Limits:
        """The stored values that a fused activation leaves, for floats and quantized tensors."""
        if (scale := self.scale(index)) is None:
            return CLAMPS[fused]
        return stored_limits(CLAMPS[fused], scale, self.tensors[index].dtype)

    def values(self, index: int) -> NDArray[Any]:
        """A constant's values.

        :raises DamagedModel: if the tensor has none.
        """
        require(index >= 0 and self.tensors[index].data is not None, "an operand is not constant")
        return self.tensors[index].array()

    def integers(self, index: int) -> NDArray[np.int64]:
        """A constant's values, which must be integers: axes, sizes, padding.

        :raises DamagedModel: if they are not.
        """
        values = self.values(index)
        require(values.dtype.kind in "iu", "an operand is not made of integers")
        return values.astype(np.int64)


def padded_sides(
    options: Any, x: Sequence[int], y: Sequence[int], window: Sequence[int], dilations: Sequence[int] = (1, 1)
) -> Sides:
    """Return the padding around the input of a convolution or a pool; for parameters see :func:`sides`.

    :raises DamagedModel: if a window of the output would lie beyond the padded input.
    """
    pads = sides(options, x, y, window, dilations)
    for axis, stride in enumerate((options.strideH, options.strideW)):
        reach = (y[1 + axis] - 1) * stride + (window[axis] - 1) * dilations[axis] + 1
        require(reach <= x[1 + axis] + sum(pads[axis]), "its output is larger than its windows reach")
    return pads


def fused(operator: Operator) -> int:
    """The operator's fused activation; 0 for none."""
    return int(getattr(operator.options, "fusedActivationFunction", 0))
