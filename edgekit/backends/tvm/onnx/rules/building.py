"""What rules write with: nodes of simple operators under fresh names, whose types are settled later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from edgekit.onnx.node import Refused, Spec, attribute

OPSET = 13
"""Rules write operators whose inputs and attributes are the same in all operator sets from this one on."""

SIMPLE = "simple"
"""The doc string of nodes that a rule wrote: what rules write is not rewritten again."""


class Rewrite:
    """A node, what is known of its inputs, and the nodes that will stand for it."""

    def __init__(self, node: Any, opset: int, specs: Mapping[str, Spec], constants: Mapping[str, NDArray[Any]]) -> None:
        self.node, self.opset, self.specs, self.known = node, opset, specs, constants
        self.nodes: list[Any] = []
        self.made: dict[str, NDArray[Any]] = {}
        self._prefix = f"{next((name for name in node.output if name), node.name)}/{node.op_type}"

    def refused(self, reason: str) -> Refused:
        """Return the error that refuses this node."""
        return Refused(self.node, reason)

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute of the node."""
        return attribute(self.node, name, default)

    def has(self, place: int) -> bool:
        """True if the node has this optional input."""
        return len(self.node.input) > place and bool(self.node.input[place])

    def input(self, place: int) -> str:
        """Return the name of an input; empty if the node lacks it."""
        return str(self.node.input[place]) if self.has(place) else ""

    def constant(self, place: int) -> NDArray[Any] | None:
        """An input's value where it is known."""
        return self.known.get(self.input(place))

    def spec(self, place: int) -> Spec:
        """Return dtype and shape of an input."""
        name = self.input(place)
        return self.specs[name] if name in self.specs else Spec.of(self.known[name])

    def wants(self, place: int) -> bool:
        """True if the node's output is asked for."""
        return len(self.node.output) > place and bool(self.node.output[place])

    def value(self, values: Any, dtype: str) -> str:
        """A constant."""
        name = f"{self._prefix}/{len(self.made)}c"
        self.made[name] = np.asarray(values, dtype)
        return name

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node; return its result's name."""
        name = output or f"{self._prefix}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=self.node.name, **attributes))
        self.nodes[-1].doc_string = SIMPLE
        return name

    def out(self, name: str, place: int = 0) -> None:
        """Make a value the node's output, where that is asked for."""
        if self.wants(place):
            self.op("Identity", name, output=str(self.node.output[place]))

    # What rules often say

    def shaped(self, value: str, shape: Sequence[int]) -> str:
        """Add a Reshape."""
        return self.op("Reshape", value, self.value(list(shape), "int64"))

    def cast(self, value: str, dtype: str) -> str:
        """Add a Cast to a NumPy dtype."""
        return self.op("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def part(self, value: str, axis: int, start: int, stop: int) -> str:
        """Elements ``start`` to ``stop`` of an axis."""
        return self.op("Slice", value, *(self.value([n], "int64") for n in (start, stop, axis)))

    def mirrored(self, value: str, axis: int, length: int) -> str:
        """Add a Gather that reverses an axis."""
        return self.op("Gather", value, self.value(np.arange(length)[::-1].copy(), "int64"), axis=axis)

    def total(self, value: str, axes: Sequence[int], keep: bool = True) -> str:
        """Add a ReduceSum."""
        return self.op("ReduceSum", value, self.value(list(axes), "int64"), keepdims=int(keep))
