"""Repair of biases that the quantizer saturated at 32 bits.

A bias is an integer in units of (input scale x weight scale). Where a channel's weights are tiny and its bias is
not, that integer passes 2^31, and ai-edge-quantizer 0.10 saturates it silently, also where int16 activations give
the bias 64 bits: in MLPerf Tiny's autoencoder this ruins the first layer. A 64-bit bias is written in full here;
for a 32-bit one the channel's weight scale grows until it fits, which rounds weights that hardly matter beside it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, Operator, Quantization, Tensor

_INPUT_WEIGHT_BIAS = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
_SATURATED = 2**31 - 1
_LIMIT_32 = 2**30
"""Leaves as much again for the products; LiteRT adds both in int32."""
_LIMIT_64 = 2**46
"""LiteRT's requantization takes sums below 2^47 (MultiplyByQuantizedMultiplier for int64)."""


def repair(quantized: Graph, graph: Graph) -> tuple[Graph, int]:
    """Return the quantized Graph with right biases, and how many biases changed.

    :param quantized: its tensors still named after their place in ``graph`` (``s0t12``, ``s0t12_dequant``).
    :param graph: the float Graph.
    """
    subgraph = quantized.main
    tensors = list(subgraph.tensors)
    operators = list(subgraph.operators)
    count = 0
    for position, operator in enumerate(operators):
        places = _INPUT_WEIGHT_BIAS.get(operator.op)
        if places is None or len(operator.inputs) <= max(places) or operator.inputs[places[2]] < 0:
            continue
        source, weight, bias = (tensors[operator.inputs[place]] for place in places)
        real = _real_bias(bias, graph)
        if real is None or source.quantization is None or weight.quantization is None or weight.data is None:
            continue
        scale = source.quantization.scale.astype(np.float64) * weight.quantization.scale
        if not (np.abs(real) / scale >= _SATURATED).any():
            continue
        limit = _LIMIT_32 if bias.dtype == "int32" else _LIMIT_64
        growth = np.maximum(1.0, np.abs(real) / (scale * limit))
        growth = growth if weight.quantization.per_channel else np.full(1, growth.max())
        fitted = _grown(weight, growth)
        assert fitted.quantization is not None
        # New tensors, not new contents: another operator may share the old ones.
        tensors += [fitted, _bias(bias, real, source.quantization.scale * fitted.quantization.scale)]
        operators[position] = _with_inputs(operator, places, len(tensors) - 2)
        count += 1
    if not count:
        return quantized, 0
    changed = replace(subgraph, tensors=tensors, operators=operators)
    return replace(quantized, subgraphs=[changed, *quantized.subgraphs[1:]]), count


def _real_bias(bias: Tensor, graph: Graph) -> NDArray[np.float64] | None:
    """The float network's values of a quantized bias; None if it is not one."""
    match = re.match(r"s0t(\d+)", bias.name)
    if match is None or bias.dtype not in ("int32", "int64") or bias.quantization is None or bias.data is None:
        return None
    original = graph.tensors[int(match[1])]
    if original.dtype != "float32" or original.data is None:
        return None
    return original.array().astype(np.float64)


def _grown(weight: Tensor, growth: NDArray[np.float64]) -> Tensor:
    """Return the weight with each channel's scale multiplied by ``growth`` (1 or [channels]) and requantized."""
    old = weight.quantization
    assert old is not None
    if (growth == 1).all():
        return weight
    new = replace(old, scale=(old.scale * growth).astype(np.float32))
    integers = new.quantize(old.dequantize(weight.array()), "int8")  # int4 weights become int8: unpacked, same scale
    return replace(weight, dtype="int8", data=_bytes(integers, "i1"), quantization=new)


def _bias(bias: Tensor, real: NDArray[np.float64], scale: NDArray[np.float32]) -> Tensor:
    integers = np.rint(real / scale.astype(np.float64)).astype(np.int64)
    old = bias.quantization
    quantization = Quantization(scale, np.zeros(len(scale), np.int64), old.axis if old else 0)
    return replace(bias, data=_bytes(integers, "<i4" if bias.dtype == "int32" else "<i8"), quantization=quantization)


def _with_inputs(operator: Operator, places: tuple[int, int, int], weight: int) -> Operator:
    inputs = list(operator.inputs)
    inputs[places[1]], inputs[places[2]] = weight, weight + 1
    return replace(operator, inputs=tuple(inputs))


def _bytes(values: NDArray[Any], dtype: str) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values.astype(dtype)).reshape(-1).view(np.uint8)
