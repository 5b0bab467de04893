"""Channel scaling, so that none is much louder than the others, without changing what the network computes.

Where channel c of a layer's output is divided by s and the weights that meet it are multiplied by s, the network
computes the same, as long as everything between them commutes with a positive factor (Nagel, van Baalen, Blankevoort
& Welling, "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019). The factor here
balances what an activation's single scale sees, the channel's largest magnitude over the samples r, against the
largest weight that meets it w: ``s = sqrt(r / w)`` (Xiao et al., "SmoothQuant", ICML 2023, with alpha = 0.5). Only
depthwise convolutions have a scale of their own for each of these weights: what meets nothing else is brought to the
median magnitude. Factors are rounded to powers of two, so that in float not one bit of the mantissas changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, Operator, Subgraph
from edgekit.graph.edit import compact, constant
from edgekit.passes.channels import HANDLERS, WEIGHTED, Channels, Handler, analyze, layer_input

UNEVEN = 4.0
"""Channels that are read together are scaled where the loudest is this many times the median."""
FAINT = 1e-6
"""They are also scaled where all of them are smaller than this."""
_LINEAR = ("RELU", "LEAKY_RELU", "ABS", "NEG", "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "MIRROR_PAD", "MEAN",
           "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "RESHAPE")  # fmt: skip
_NONE_OR_RELU = (0, 1)
Magnitudes = Mapping[int, NDArray[np.floating[Any]]]
Readers = dict[int, list[tuple[int, int]]]


@dataclass(frozen=True)
class Equalized:
    """The network with scaled channels: how many, and the largest and smallest factor."""

    graph: Graph
    channels: int
    largest: float = 1.0
    smallest: float = 1.0


def equalize(graph: Graph, magnitudes: Magnitudes) -> Equalized:
    """Scale the channels of a float network.

    :param magnitudes: for each activation the largest magnitude of each channel (its last axis) over some samples.
    """
    found = analyze(graph, _handlers())
    scales = _scales(found, magnitudes)
    if not scales:
        return Equalized(graph, 0)
    main = replace(graph.main, tensors=list(graph.tensors), operators=[])
    for operator in graph.operators:
        main.operators.append(_scaled(found, main, operator, scales))
    made = compact(replace(graph, subgraphs=[main, *graph.subgraphs[1:]]))
    return Equalized(made, len(scales), max(scales.values()), min(scales.values()))


def _handlers() -> dict[str, Handler]:
    """What commutes with a positive factor a channel. Depthwise convolutions end one channel and begin another."""
    linear = {op: _activated(HANDLERS[op]) for op in _LINEAR}
    layers = {op: _activated(HANDLERS[op]) for op in ("CONV_2D", "FULLY_CONNECTED", "CONCATENATION")}
    sums = dict.fromkeys(("ADD", "SUB"), _activated(_sum))
    extremes = dict.fromkeys(("MAXIMUM", "MINIMUM"), _activated(_extreme))
    factors = dict.fromkeys(("MUL", "DIV", "PRELU"), _activated(_factor))
    return {**linear, **layers, **sums, **extremes, **factors, "DEPTHWISE_CONV_2D": _activated(_depthwise)}


def _activated(handler: Handler) -> Handler:
    """Only no activation and RELU commute: behind any other the channels are fixed."""

    def handle(found: Channels, operator: Operator, readers: Readers) -> bool:
        if not handler(found, operator, readers):
            return False
        if getattr(operator.options, "fusedActivationFunction", 0) not in _NONE_OR_RELU:
            found.freeze(operator.outputs[0])
        return True

    return handle


def _depthwise(found: Channels, operator: Operator, readers: Readers) -> bool:
    if not HANDLERS["DEPTHWISE_CONV_2D"](found, operator, readers):
        return False
    found.new(operator.outputs[0])
    return True


def _sum(found: Channels, operator: Operator, readers: Readers) -> bool:
    """Both sides scaled alike; a constant side is scaled, too, so it must have all the channels."""
    width = found.graph.tensors[operator.outputs[0]].shape[-1:]
    constants = [found.graph.tensors[i] for i in operator.inputs if i not in found.labels]
    return all(t.shape[-1:] == width for t in constants) and HANDLERS[operator.op](found, operator, readers)


def _extreme(found: Channels, operator: Operator, readers: Readers) -> bool:
    return all(i in found.labels for i in operator.inputs) and HANDLERS[operator.op](found, operator, readers)


def _factor(found: Channels, operator: Operator, readers: Readers) -> bool:
    """Multiplied or divided by a constant."""
    rest = [i for i in operator.inputs[1:] if i in found.labels]
    return operator.inputs[0] in found.labels and not rest and HANDLERS[operator.op](found, operator, readers)


def _scales(found: Channels, magnitudes: Magnitudes) -> dict[int, float]:
    """The factor of each group of channels that is to be scaled; a power of two, not 1."""
    free = found.removable()
    reach: dict[int, float] = {}
    for tensor in found.labels:
        seen = magnitudes.get(tensor)
        groups = found.groups(tensor)
        if seen is None or len(groups) % len(seen):
            continue
        for group, value in zip(groups, np.tile(seen, len(groups) // len(seen)), strict=True):
            reach[int(group)] = max(reach.get(int(group), 0.0), float(value))
    weights = _weights(found)
    scales = {}
    for group, usual in sorted(_uneven(found, reach).items()):
        if group in free and reach.get(group, 0.0) > 0:
            limit = weights.get(group, 0.0)
            exact = np.sqrt(reach[group] / limit) if limit > 0 else reach[group] / usual
            scale = 2.0 ** round(float(np.log2(exact)))
            if scale != 1:
                scales[group] = scale
    return scales


def _weights(found: Channels) -> dict[int, float]:
    """The largest weight that meets each group, among those that share a scale with others."""
    largest: dict[int, float] = {}
    for operator in found.graph.operators:
        if operator.op not in ("CONV_2D", "FULLY_CONNECTED") or operator.inputs[0] not in found.labels:
            continue
        tensor = found.graph.tensors[operator.inputs[1]]
        if tensor.data is None or tensor.dtype != "float32":
            continue
        values = np.abs(tensor.array()).reshape(-1, tensor.shape[-1]).max(axis=0)
        for group, value in zip(layer_input(found, operator), values, strict=False):
            largest[int(group)] = max(largest.get(int(group), 0.0), float(value))
    return largest


def _uneven(found: Channels, reach: dict[int, float]) -> dict[int, float]:
    """Return groups that share an activation in which some are much louder than others, or all are faint.

    With each comes the median magnitude there (1 where all are faint).
    """
    chosen: dict[int, float] = {}
    for tensor in found.labels:
        groups = {int(g) for g in found.groups(tensor)}
        values = np.array([reach.get(g, 0.0) for g in sorted(groups)])
        some = values[values > 0]
        if some.size and (some.max() >= UNEVEN * np.median(some) or some.max() < FAINT):
            usual = float(np.median(some)) if some.max() >= FAINT else 1.0
            chosen |= {g: max(usual, chosen.get(g, 0.0)) for g in groups}
    return chosen


def _scaled(found: Channels, main: Subgraph, operator: Operator, scales: dict[int, float]) -> Operator:
    """The operator with its constants scaled."""

    def factors(groups: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([scales.get(int(g), 1.0) for g in groups])

    def put(old: int, values: NDArray[Any]) -> int:
        main.tensors.append(constant(found.graph.tensors[old].name, values.astype(np.float32)))
        return len(main.tensors) - 1

    if not operator.outputs or operator.outputs[0] not in found.labels:
        return operator
    after = factors(found.groups(operator.outputs[0]))
    inputs = list(operator.inputs)
    if operator.op in WEIGHTED and operator.inputs[0] in found.labels:
        tensor = found.graph.tensors[inputs[1]]
        before = factors(layer_input(found, operator)) if tensor.data is not None else np.ones(1)
        if (before == 1).all() and (after == 1).all():
            return operator
        own = after if operator.op == "DEPTHWISE_CONV_2D" else after.reshape(-1, *[1] * (len(tensor.shape) - 1))
        inputs[1] = put(inputs[1], tensor.array().astype(np.float64) * before / own)
        if len(inputs) > 2 and inputs[2] >= 0:
            inputs[2] = put(inputs[2], found.graph.tensors[inputs[2]].array() / after)
    elif operator.op in ("ADD", "SUB") and not (after == 1).all():
        for position, index in enumerate(inputs):
            if index not in found.labels:
                inputs[position] = put(index, found.graph.tensors[index].array() / after)
    return replace(operator, inputs=tuple(inputs))
