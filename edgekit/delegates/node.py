"""An operator as a delegate's rules see it: with its tensors and its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.graph import Graph, Operator, Tensor

VALUES = frozenset({"float32", "float16", "bfloat16", "float64", "int16", "int8", "uint8", "int4"})
"""Dtypes of values; int32, int64 and bool are also shapes, axes, indices and conditions."""


@dataclass(frozen=True)
class Node:
    """An operator of a Graph's main subgraph.

    :param dtypes: what its table is of.
    :param folded: tensors that are as good as constants: a DEQUANTIZE makes them of one (float16 weights).
    """

    graph: Graph
    operator: Operator
    dtypes: tuple[str, ...]
    folded: frozenset[int] = frozenset()

    @property
    def inputs(self) -> list[Tensor | None]:
        """The operator's input tensors; None where an optional one is absent."""
        return [self.graph.tensors[i] if i >= 0 else None for i in self.operator.inputs]

    @property
    def outputs(self) -> list[Tensor]:
        """The operator's output tensors."""
        return [self.graph.tensors[i] for i in self.operator.outputs]

    @property
    def runtime(self) -> list[Tensor]:
        """Inputs that are not constants."""
        return [self.graph.tensors[i] for i in self.operator.inputs if i >= 0 and not self.is_constant(i)]

    def is_constant(self, index: int) -> bool:
        """True if the Graph's tensor ``index`` is a constant or computed from constants only."""
        return self.graph.tensors[index].data is not None or index in self.folded

    def input(self, index: int) -> Tensor | None:
        """Return the operator's input ``index``; None if it is absent."""
        return self.inputs[index] if index < len(self.operator.inputs) else None

    def option(self, name: str, default: Any = 0) -> Any:
        """Return a field of the operator's options; the schema's default if it has none."""
        return getattr(self.operator.options, name, default)


def computes_half(graph: Graph) -> bool:
    """True if an accelerator that can compute in float16 is meant to: weights were stored in float16 or in integers."""
    return any(
        t.data is not None and len(t.shape) > 1 and t.dtype in ("float16", "int8", "uint8", "int4")
        for t in graph.tensors
    )


def name_of(tensor: Tensor) -> str:
    """A tensor's name, without the converter's decorations."""
    name = tensor.name.split(";")[0]
    return repr(name if len(name) <= 48 else f"{name[:45]}...") if name else "a tensor"
