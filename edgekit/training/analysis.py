"""Analysis of what can be trained in a Graph, without TensorFlow: unsupported operators, parameters, activations."""

from __future__ import annotations

import math

from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator
from edgekit.graph.floats import refuse_integer
from edgekit.training.operators import FUSED, OPERATORS, Kind

_DTYPES = ("float32", "bool", "int8", "uint8", "int16", "int32", "int64")
_NONE = Kind(lambda call: None, slopes=False)


def check(graph: Graph) -> None:
    """Return normally if the Graph can be trained.

    :raises ModelError: naming the operator without an implementation here, or with options or inputs that it does not
        cover; and for integer networks, for networks without a float output, and without parameters.
    """
    refuse_integer(graph, "trained")
    if not any(tensor.dtype == "float32" for tensor in graph.outputs):
        raise ModelError("the network has no float32 output to train")
    flowing, constants = activations(graph), _constants(graph)
    for number, operator in enumerate(graph.operators):
        reason = _obstacle(graph, operator, flowing, constants)
        if reason:
            raise ModelError(f"operator {number} ({operator.op}) cannot be trained: {reason}")
    if not parameters(graph):
        raise ModelError("the network has no parameters to train")


def activations(graph: Graph) -> set[int]:
    """Indices of the tensors that depend on the network's inputs; the others are the same for every sample."""
    found = set(graph.main.inputs)
    for operator in graph.operators:
        if found.intersection(operator.inputs):
            found.update(operator.outputs)
    return found


def parameters(graph: Graph) -> list[int]:
    """Return the indices of the constants that are trained, in order.

    These are the constants that the table calls weights, float of any kind or hybrid int8, and vectors after them, if a
    gradient reaches them from an output.
    """
    found: set[int] = set()
    behind: set[int] = set()  # activations that depend on a parameter
    live = _live(graph)
    for operator in graph.operators:
        kind = OPERATORS.get(operator.op, _NONE)
        places = kind.weights + (kind.vectors if behind.intersection(operator.inputs) else ())
        own = {
            index
            for place, index in enumerate(operator.inputs)
            if place in places and live.intersection(operator.outputs) and kind.slopes
            if _is_real(graph, index) and (place in kind.weights or _is_vector(graph, index))
        }
        found |= own
        if own or behind.intersection(operator.inputs):
            behind.update(operator.outputs)
    return sorted(found)


def _live(graph: Graph) -> set[int]:
    """Indices of the float tensors from which a gradient can pass to a float output."""
    live = {index for index in graph.main.outputs if graph.tensors[index].dtype == "float32"}
    for operator in reversed(graph.operators):
        if OPERATORS.get(operator.op, _NONE).slopes and live.intersection(operator.outputs):
            live.update(index for index in operator.inputs if index >= 0 and graph.tensors[index].dtype == "float32")
    return live


def _is_real(graph: Graph, index: int) -> bool:
    """True for a constant that stands for real numbers."""
    if index < 0 or graph.tensors[index].data is None:
        return False
    return graph.tensors[index].dtype.startswith("float") or graph.tensors[index].has_scale


def _is_vector(graph: Graph, index: int) -> bool:
    shape = graph.tensors[index].shape
    return math.prod(shape) == max(shape, default=1) > 1


def _constants(graph: Graph) -> set[int]:
    """Indices of constants, also of those behind a DEQUANTIZE, which goes when the weights are restored."""
    found = {index for index, tensor in enumerate(graph.tensors) if tensor.data is not None}
    return found | {
        i for o in graph.operators if o.op == "DEQUANTIZE" and found.issuperset(o.inputs) for i in o.outputs
    }


def _obstacle(graph: Graph, operator: Operator, flowing: set[int], constants: set[int]) -> str:
    """Why the operator cannot be trained, in a few words; empty if it can."""
    if operator.op == "DEQUANTIZE" and constants.issuperset(operator.outputs):
        return ""
    if operator.op not in OPERATORS or operator.custom:
        return "edgekit has no gradient for it"
    kind = OPERATORS[operator.op]
    inputs = dict(enumerate(operator.inputs))
    if any(index in flowing for place, index in inputs.items() if place in kind.still):
        return "its weights are computed from the network's input"
    if any(index not in constants for place, index in inputs.items() if place in kind.known):
        return "its axes, sizes or paddings are computed, not constant"
    for index in (*(i for i in operator.inputs if i >= 0), *operator.outputs):
        tensor = graph.tensors[index]
        if tensor.sparsity is not None:
            return f"{tensor.name!r} is kept sparse"
        if index not in constants and tensor.dtype not in _DTYPES:
            return f"{tensor.name!r} is {tensor.dtype}"
    if getattr(operator.options, "fusedActivationFunction", 0) not in FUSED:
        return "edgekit has no gradient for its fused activation"
    return kind.refuse(graph, operator)
