"""Dependencies between channels: which can be removed together, and the network without them.

Every activation has one label per channel (its last axis). Convolutions and dense layers make new labels; element-wise
operators, pooling and depthwise convolutions hand labels on; an addition says that two labels are one; a
concatenation strings them together; flattening repeats them. Whatever an operator does that is not understood here
freezes the labels it touches, as do the network's inputs and outputs. Channels with one label live or go together
(the dependency groups of Fang et al., "DepGraph", CVPR 2023).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, Operator, Subgraph, Tensor
from edgekit.graph.edit import compact, constant, uses

Labels = NDArray[np.int64]
Kept = NDArray[np.bool_]

_HAND_ON = {
    "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "ELU", "GELU", "LOGISTIC", "TANH", "HARD_SWISH",
    "ABS", "NEG", "SQUARE", "SQRT", "RSQRT", "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "PADV2", "MIRROR_PAD",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "MEAN",
}  # fmt: skip
_ELEMENTWISE = {"ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU"}
WEIGHTED = ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D")


@dataclass
class Channels:
    """Labels of every activation, merged; ``frozen`` labels must stay."""

    graph: Graph
    labels: dict[int, Labels] = field(default_factory=dict)
    _parent: list[int] = field(default_factory=list)
    _frozen: set[int] = field(default_factory=set)

    def find(self, label: int) -> int:
        """The representative of a label's group."""
        while self._parent[label] != label:
            self._parent[label] = self._parent[self._parent[label]]
            label = self._parent[label]
        return label

    def groups(self, tensor: int) -> Labels:
        """Representatives of a tensor's channels."""
        return np.array([self.find(int(label)) for label in self.labels[tensor]], np.int64)

    def removable(self) -> set[int]:
        """Groups that may go."""
        frozen = {self.find(label) for label in self._frozen}
        return {self.find(label) for label in range(len(self._parent))} - frozen

    def new(self, tensor: int, *, frozen: bool = False) -> None:
        """Give a tensor labels of its own."""
        shape = self.graph.tensors[tensor].shape
        count = abs(shape[-1]) if shape else 1
        start = len(self._parent)
        self._parent += range(start, start + count)
        self.labels[tensor] = np.arange(start, start + count)
        if frozen:
            self.freeze(tensor)

    def freeze(self, tensor: int) -> None:
        """No channel of this tensor may go."""
        if tensor in self.labels:
            self._frozen.update(int(label) for label in self.labels[tensor])

    def merge(self, one: Labels, other: Labels) -> None:
        """Channel by channel, these are the same."""
        for a, b in zip(one, other, strict=True):
            self._parent[self.find(int(a))] = self.find(int(b))


Handler = Callable[[Channels, Operator, dict[int, list[tuple[int, int]]]], bool]
"""Labels an operator's outputs, given the readers of every tensor; False where it is not understood."""


def analyze(graph: Graph, handlers: Mapping[str, Handler] | None = None) -> Channels:
    """Label every channel of the main subgraph.

    :param handlers: what is understood of each kind of operator; default: :data:`HANDLERS`.
    """
    handlers = HANDLERS if handlers is None else handlers
    found = Channels(graph)
    for index in graph.main.inputs:
        found.new(index, frozen=True)
    readers = uses(graph)
    for operator in graph.operators:
        known = [i for i in operator.inputs if i in found.labels]
        handler = handlers.get(operator.op)
        if handler is None or len(operator.outputs) != 1 or not handler(found, operator, readers):
            for index in known:
                found.freeze(index)
            for index in operator.outputs:
                found.new(index, frozen=True)
    for index in graph.main.outputs:
        found.freeze(index)
    return found


def _constant(graph: Graph, index: int) -> Tensor | None:
    tensor = graph.tensors[index] if index >= 0 else None
    return tensor if tensor is not None and tensor.data is not None and tensor.dtype == "float32" else None


def _own(found: Channels, operator: Operator, readers: dict[int, list[tuple[int, int]]]) -> bool:
    """True if the operator's weights and bias are float constants that no other operator reads."""
    for position in range(1, len(operator.inputs)):
        index = operator.inputs[position]
        if index >= 0 and (_constant(found.graph, index) is None or len(readers[index]) > 1):
            return False
    return operator.inputs[0] in found.labels


def _layer(found: Channels, operator: Operator, readers: dict[int, list[tuple[int, int]]]) -> bool:
    """Convolution or dense layer: new labels. Its input's channels may be repeated (an implicit flattening)."""
    if not _own(found, operator, readers):
        return False
    into = found.graph.tensors[operator.inputs[1]].shape[-1]
    if into % len(found.labels[operator.inputs[0]]):
        return False  # a grouped convolution
    if operator.op == "CONV_2D" and into != len(found.labels[operator.inputs[0]]):
        return False
    found.new(operator.outputs[0])
    return True


def _depthwise(found: Channels, operator: Operator, readers: dict[int, list[tuple[int, int]]]) -> bool:
    if not _own(found, operator, readers):
        return False
    labels = found.labels[operator.inputs[0]]
    if found.graph.tensors[operator.outputs[0]].shape[-1] != len(labels):
        return False  # a channel multiplier
    found.labels[operator.outputs[0]] = labels
    return True


def _hand_on(found: Channels, operator: Operator, readers: dict[int, list[tuple[int, int]]]) -> bool:
    labels = found.labels.get(operator.inputs[0])
    source, out = (found.graph.tensors[i] for i in (operator.inputs[0], operator.outputs[0]))
    if labels is None or not out.shape or out.shape[-1] != len(labels):
        return False
    if operator.op == "MEAN" and (len(source.shape) - 1) in _axes(found.graph, operator, len(source.shape)):
        return False
    found.labels[operator.outputs[0]] = labels
    return True


def _axes(graph: Graph, operator: Operator, rank: int) -> set[int]:
    axes = graph.tensors[operator.inputs[1]]
    return set(range(rank)) if axes.data is None else {int(a) % rank for a in axes.array().reshape(-1)}


def _elementwise(found: Channels, operator: Operator, readers: dict[int, list[tuple[int, int]]]) -> bool:
    width = found.graph.tensors[operator.outputs[0]].shape[-1] if found.graph.tensors[operator.outputs[0]].shape else 1
    full = []
    for index in operator.inputs:
        tensor = found.graph.tensors[index]
        if index in found.labels:
            if len(found.labels[index]) != width:
                return False
            full.append(found.labels[index])
        elif _constant(found.graph, index) is None or (tensor.elements > 1 and len(readers[index]) > 1):
            return False
    if not full:
        return False
    for other in full[1:]:
        found.merge(full[0], other)
    found.labels[operator.outputs[0]] = full[0]
    return True


def _concatenation(found: Channels, operator: Operator, readers: dict[int, list[tuple[int, int]]]) -> bool:
    if any(index not in found.labels for index in operator.inputs):
        return False
    rank = len(found.graph.tensors[operator.outputs[0]].shape)
    parts = [found.labels[index] for index in operator.inputs]
    if operator.options.axis % rank == rank - 1:
        found.labels[operator.outputs[0]] = np.concatenate(parts)
        return True
    for other in parts[1:]:
        found.merge(parts[0], other)
    found.labels[operator.outputs[0]] = parts[0]
    return True


def _reshape(found: Channels, operator: Operator, readers: dict[int, list[tuple[int, int]]]) -> bool:
    """Leading dimensions may change freely; flattening repeats the channels once a position."""
    labels = found.labels.get(operator.inputs[0])
    out = found.graph.tensors[operator.outputs[0]].shape
    if labels is None or not out or out[-1] % len(labels):
        return False
    if len(operator.inputs) > 1 and found.graph.tensors[operator.inputs[1]].data is None:
        return False
    found.labels[operator.outputs[0]] = np.tile(labels, out[-1] // len(labels))
    return True


HANDLERS: dict[str, Handler] = {
    "CONV_2D": _layer,
    "FULLY_CONNECTED": _layer,
    "DEPTHWISE_CONV_2D": _depthwise,
    "CONCATENATION": _concatenation,
    "RESHAPE": _reshape,
    **dict.fromkeys(_HAND_ON, _hand_on),
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
}


def layer_input(found: Channels, operator: Operator) -> Labels:
    """Groups of what a layer's weights meet along their last axis: an implicit flattening repeats them."""
    groups = found.groups(operator.inputs[0])
    into = found.graph.tensors[operator.inputs[1]].shape[-1]
    return groups if operator.op == "DEPTHWISE_CONV_2D" else np.tile(groups, into // len(groups))


def remove(
    found: Channels, gone: set[int], replaced: dict[int, tuple[NDArray[np.float32], NDArray[np.float32] | None]]
) -> Graph:
    """Return the network without the groups in ``gone``.

    :param replaced: for layers by operator index: new weights for the kept inputs ``[out, .., kept in]`` and a new
        bias, both still with all outputs.
    """
    graph = found.graph
    kept = {index: ~np.isin(found.groups(index), list(gone)) for index in found.labels}
    main = replace(graph.main, tensors=list(graph.tensors), operators=[])
    for index, mask in kept.items():
        shape = graph.tensors[index].shape
        if shape and mask.size and not mask.all():
            signature = graph.tensors[index].shape_signature
            new = (*shape[:-1], int(mask.sum()))
            main.tensors[index] = replace(
                graph.tensors[index], shape=new, shape_signature=(*signature[:-1], new[-1]) if signature else None
            )
    for number, operator in enumerate(graph.operators):
        main.operators.append(_shrunk(found, main, operator, kept, gone, replaced.get(number)))
    return compact(replace(graph, subgraphs=[main, *graph.subgraphs[1:]]))


def _shrunk(
    found: Channels,
    main: Subgraph,
    operator: Operator,
    kept: dict[int, Kept],
    gone: set[int],
    replaced: tuple[NDArray[np.float32], NDArray[np.float32] | None] | None,
) -> Operator:
    """The operator with constants cut to the channels that stay."""

    def put(old: int, values: NDArray[Any]) -> int:
        main.tensors.append(constant(found.graph.tensors[old].name if old >= 0 else "bias", values))
        return len(main.tensors) - 1

    inputs = list(operator.inputs)
    out = kept.get(operator.outputs[0]) if operator.outputs else None
    if operator.op in WEIGHTED and out is not None and operator.inputs[0] in kept:
        weights = found.graph.tensors[inputs[1]].array()
        bias = found.graph.tensors[inputs[2]].array() if len(inputs) > 2 and inputs[2] >= 0 else None
        if replaced is not None:
            weights, bias = replaced[0], replaced[1] if replaced[1] is not None else bias
        elif operator.op != "DEPTHWISE_CONV_2D":
            weights = weights[..., ~np.isin(layer_input(found, operator), list(gone))]
        cut = weights[..., out] if operator.op == "DEPTHWISE_CONV_2D" else weights[out]
        inputs[1] = put(inputs[1], np.ascontiguousarray(cut))
        if bias is not None:
            inputs[2:3] = [put(inputs[2] if len(inputs) > 2 else -1, np.ascontiguousarray(bias[out]))]
    elif operator.op in _ELEMENTWISE and out is not None and not out.all():
        for position, index in enumerate(inputs):
            tensor = found.graph.tensors[index]
            if index not in kept and tensor.shape and tensor.shape[-1] == out.size and out.size > 1:
                inputs[position] = put(index, np.ascontiguousarray(tensor.array()[..., out]))
    elif operator.op == "RESHAPE" and out is not None and not out.all():
        shape = main.tensors[operator.outputs[0]].shape
        options = copy.deepcopy(operator.options)
        if options is not None and options.newShape is not None:
            options.newShape = list(shape)
        if len(inputs) > 1:
            inputs[1] = put(inputs[1], np.array(shape, np.int32))
        return replace(operator, inputs=tuple(inputs), options=options)
    return replace(operator, inputs=tuple(inputs))
