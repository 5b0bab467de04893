"""A float Graph as a differentiable function: its parameters are variables, its batch size is free.

:func:`check` needs no TensorFlow and says, before any work, what cannot be trained. :class:`Trainable` imports
TensorFlow, so make one in a child only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator
from edgekit.graph.edit import with_values
from edgekit.passes.float32 import refuse_integer, restore
from edgekit.training.operators import FUSED, OPERATORS, PARAMETERS, Call


@dataclass(frozen=True)
class Hooks:
    """What is put around tensors, by their index in the main subgraph: fake quantization, masks, recording.

    :param weight: applied to a constant each time before an operator uses it.
    :param activation: applied to a network input, or to an operator's output after its fused activation.
    """

    weight: Mapping[int, Callable[[Any], Any]] = field(default_factory=dict)
    activation: Mapping[int, Callable[[Any], Any]] = field(default_factory=dict)


def check(graph: Graph) -> None:
    """Return if the Graph can be trained with any batch size.

    :raises ModelError: naming the operator: without an implementation here, with an activation whose first dimension
        is not a batch of 1, or mixing samples; and for integer networks and networks without parameters.
    """
    refuse_integer(graph, "trained")
    for tensor in (*graph.inputs, *graph.outputs):
        if tensor.shape[:1] != (1,) or tensor.dtype != "float32":
            raise ModelError(f"{tensor.name!r} is {tensor.dtype} {list(tensor.shape)}: training needs float32 [1, ...]")
    for number, operator in enumerate(graph.operators):
        reason = _obstacle(graph, operator)
        if reason:
            raise ModelError(f"operator {number} ({operator.op}) cannot be trained: {reason}")
    if not parameters(graph):
        raise ModelError("the network has no parameters to train")


def parameters(graph: Graph) -> list[int]:
    """Indices of the constants that are trained, in order: weights and biases, float of any kind or hybrid int8."""
    return sorted(
        {
            operator.inputs[place]
            for operator in graph.operators
            for place in PARAMETERS.get(operator.op, ())
            if place < len(operator.inputs) and operator.inputs[place] >= 0
            if graph.tensors[operator.inputs[place]].data is not None
        }
    )


def _obstacle(graph: Graph, operator: Operator) -> str:
    """Why the operator cannot be trained, in a few words; empty if it can."""
    if operator.op == "DEQUANTIZE" and graph.tensors[operator.inputs[0]].data is not None:
        return ""  # of a constant: goes when the weights are restored
    if operator.op not in OPERATORS or operator.custom:
        return "edgekit has no gradient for it"
    tensors = [graph.tensors[i] for i in operator.inputs if i >= 0]
    flowing = [t for i, t in zip(operator.inputs, tensors, strict=False) if t.data is None and not _constant(graph, i)]
    output = graph.tensors[operator.outputs[0]]
    if any(t.dtype != "float32" or t.shape[:1] != (1,) for t in (*flowing, output)):
        return f"its tensors must be float32 with a first dimension of 1, its output is {list(output.shape)}"
    special = _SPECIAL.get(operator.op)
    return special(graph, operator) if special else ""


def _constant(graph: Graph, index: int) -> bool:
    return any(o.op == "DEQUANTIZE" and index in o.outputs for o in graph.operators)


def _same_rank(graph: Graph, operator: Operator) -> str:
    ranks = {len(graph.tensors[i].shape) for i in operator.inputs if graph.tensors[i].data is None}
    rank = len(graph.tensors[operator.outputs[0]].shape)
    return "" if ranks == {rank} else "its operands have different ranks"


def _axis(graph: Graph, operator: Operator) -> str:
    rank = len(graph.tensors[operator.outputs[0]].shape)
    mixed = operator.options.axis % rank == 0 or any(graph.tensors[i].data is not None for i in operator.inputs)
    return "it joins samples or constants" if mixed else ""


def _axes(graph: Graph, operator: Operator) -> str:
    x, axes = (graph.tensors[i] for i in operator.inputs)
    if axes.data is None:
        return "its axes are not constant"
    return "it mixes samples" if any(a % len(x.shape) == 0 for a in axes.array().reshape(-1)) else ""


def _padding(graph: Graph, operator: Operator) -> str:
    pads = graph.tensors[operator.inputs[1]]
    return "its padding is not constant, or pads the batch" if pads.data is None or pads.array()[0].any() else ""


def _channels(graph: Graph, operator: Operator) -> str:
    x, w = (graph.tensors[i] for i in operator.inputs[:2])
    return "it is a grouped convolution" if x.shape[3] != w.shape[3] else ""


def _strides(graph: Graph, operator: Operator) -> str:
    o = operator.options
    if o.strideH != o.strideW:
        return "its strides differ"
    return "it has both a stride and a dilation" if o.strideH > 1 and o.dilationHFactor * o.dilationWFactor > 1 else ""


_SPECIAL: dict[str, Callable[[Graph, Operator], str]] = {
    "ADD": _same_rank, "SUB": _same_rank, "MUL": _same_rank, "DIV": _same_rank, "MAXIMUM": _same_rank,
    "MINIMUM": _same_rank, "PRELU": _same_rank, "CONCATENATION": _axis, "MEAN": _axes, "PAD": _padding,
    "PADV2": _padding, "CONV_2D": _channels, "DEPTHWISE_CONV_2D": _strides,
}  # fmt: skip


class Trainable:
    """The main subgraph as a function ``[n, ...] -> [n, ...]`` with gradients.

    :param graph: a float Graph; float16 and hybrid int8 weights are brought back to float32 first, and ``graph`` of
        this object is the restored one: tensor indices are its.
    :param dtype: what is computed in; ``float64`` is for checking gradients.
    :raises ModelError: as :func:`check`.
    """

    def __init__(self, graph: Graph, dtype: str = "float32") -> None:
        check(graph)
        import tensorflow as tf

        self.tf: Any = tf
        self.dtype = dtype
        self.graph, _ = restore(graph)
        check(self.graph)
        tensors = self.graph.tensors
        self.variables: dict[int, Any] = {
            i: tf.Variable(tensors[i].array().astype(dtype), name=f"p{i}") for i in parameters(self.graph)
        }
        self._fixed = {
            i: t.array().astype(dtype) if t.dtype == "float32" else t.array()
            for i, t in enumerate(tensors)
            if t.data is not None and i not in self.variables
        }

    def __call__(
        self, inputs: Sequence[Any], *, hooks: Hooks = Hooks(), wanted: Sequence[int] | None = None
    ) -> list[Any]:
        """Return the network's outputs for a batch: one array ``[n, ...]`` an input, one tensor an output.

        :param wanted: indices of the activations to return instead of the outputs.
        """
        values: dict[int, Any] = {}
        for index, x in zip(self.graph.main.inputs, inputs, strict=True):
            values[index] = _hooked(hooks.activation, index, self.tf.convert_to_tensor(x, self.dtype))
        for operator in self.graph.operators:
            index = operator.outputs[0]
            given = [self._read(values, hooks, i) for i in operator.inputs]
            options = operator.options
            y = OPERATORS[operator.op](Call(self.tf, given, options, self.graph.tensors[index].shape))
            y = FUSED[getattr(options, "fusedActivationFunction", 0)](self.tf, y)
            values[index] = _hooked(hooks.activation, index, y)
        return [values[i] for i in (self.graph.main.outputs if wanted is None else wanted)]

    def _read(self, values: Mapping[int, Any], hooks: Hooks, index: int) -> Any:
        if index < 0:
            return None
        if index in values:
            return values[index]
        constant = self.variables[index] if index in self.variables else self._fixed[index]
        return _hooked(hooks.weight, index, constant)

    def to_graph(self) -> Graph:
        """Return a new Graph with the variables' present values; the first one stays as it was."""
        tensors = list(self.graph.tensors)
        for index, variable in self.variables.items():
            tensors[index] = with_values(tensors[index], np.asarray(variable.numpy(), np.float32))
        main = replace(self.graph.main, tensors=tensors)
        return replace(self.graph, subgraphs=[main, *self.graph.subgraphs[1:]])


def _hooked(hooks: Mapping[int, Callable[[Any], Any]], index: int, value: Any) -> Any:
    return hooks[index](value) if index in hooks else value
