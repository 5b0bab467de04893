"""Zero point 0 for every int8 activation, for accelerators that accept no other, above all TensorRT.

A range ``[low, high]`` becomes ``[-m, m]`` with ``m = max(-low, high)``: ``scale' = m / 127``. That is exact where the
zero point was 0, and coarser elsewhere, by up to a factor of two (after a ReLU). Biases are rounded to their new scale,
``scale' * scale of the weights``. What TFLite fixes by its specification stays: the outputs of softmax, logistic and
the like, and what is only moved from there.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np

from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator, Tensor
from edgekit.graph.ir import Quantization
from edgekit.passes import PassContext, Passed, Report

FIXED = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "L2_NORMALIZATION")
"""Operators whose int8 outputs have a scale and a zero point that TFLite's quantization specification fixes."""
MOVES = (
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "PACK", "UNPACK",
    "GATHER", "MAX_POOL_2D", "CONCATENATION", "PAD", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "TILE", "BROADCAST_TO",
    "MIRROR_PAD",
)  # fmt: skip
"""Operators whose outputs have the ranges of their inputs."""
BIASED = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
"""Where the bias is; the weights are the input before it, or for ``TRANSPOSE_CONV`` the second."""
STATEFUL = ("SVDF", "RNN", "LSTM")


@dataclass(frozen=True)
class Symmetrized(Report):
    """How many activations got a symmetric scale."""

    activations: int


class Symmetric:
    """The pass ``symmetric``."""

    name = "symmetric"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the network with symmetric activations; a float network is returned as it is.

        :raises ModelError: if an operator keeps state, whose ranges are its own.
        """
        for index, operator in enumerate(graph.operators):
            if operator.op.endswith(STATEFUL) and graph.is_quantized:
                raise ModelError(
                    f"operator {index} ({operator.op}) keeps state that has its own ranges",
                    "remove the pass symmetric from the recipe",
                )
        made = copy.deepcopy(graph)
        old = {i: graph.tensors[i].quantization for i in asymmetric(graph)}
        for index in old:
            made.tensors[index].quantization = symmetric(made.tensors[index])
        _rescale_constants(made, old)
        for operator in made.operators:
            if operator.op in BIASED and operator.inputs[_source(operator)] in old:
                _rescale_bias(made, operator)
        return Passed(made, Symmetrized(len(old)))


def asymmetric(graph: Graph) -> list[int]:
    """The int8 activations whose zero point is not 0 although no specification fixes it."""
    kept: set[int] = set()
    for operator in graph.operators:
        moved = operator.op in MOVES and any(i in kept for i in operator.inputs)
        if operator.op in FIXED or moved:
            kept.update(operator.outputs)
    return [
        i
        for i, t in enumerate(graph.tensors)
        if t.data is None and t.dtype == "int8" and t.has_scale and i not in kept and _zero(t) != 0
    ]


def symmetric(tensor: Tensor) -> Quantization:
    """The quantization of the same range, widened until it is symmetric."""
    assert tensor.quantization is not None
    zero, scale = _zero(tensor), float(tensor.quantization.scale[0])
    wide = max(zero + 128, 127 - zero) * scale / 127
    return replace(tensor.quantization, scale=np.array([wide], np.float32), zero_point=np.array([0], np.int64))


def _zero(tensor: Tensor) -> int:
    assert tensor.quantization is not None
    return int(tensor.quantization.zero_point[0])


def _source(operator: Operator) -> int:
    return 2 if operator.op == "TRANSPOSE_CONV" else 0


def _rescale_constants(graph: Graph, old: dict[int, Quantization | None]) -> None:
    """Constants that an operator joins with activations of one range take that range's new quantization."""
    for operator in graph.operators:
        made = operator.outputs[0] if operator.outputs else -1
        if operator.op not in MOVES or made not in old:
            continue
        for place, index in enumerate(operator.inputs):
            tensor = graph.tensors[index] if index >= 0 else None
            if tensor is None or tensor.data is None or tensor.dtype != "int8" or tensor.quantization is None:
                continue
            new = graph.tensors[made].quantization
            assert new is not None
            values = new.quantize(tensor.quantization.dequantize(tensor.array()), "int8")
            graph.tensors.append(replace(tensor, quantization=new, data=values.reshape(-1).view(np.uint8)))
            operator.inputs = (*operator.inputs[:place], len(graph.tensors) - 1, *operator.inputs[place + 1 :])


def _rescale_bias(graph: Graph, operator: Operator) -> None:
    """Round an int32 bias to the scale that its operator's input now asks for; others may share the old one."""
    place = BIASED[operator.op]
    index = operator.inputs[place] if len(operator.inputs) > place else -1
    source, weights = graph.tensors[operator.inputs[_source(operator)]], graph.tensors[operator.inputs[1]]
    if index < 0 or graph.tensors[index].data is None or weights.quantization is None or source.quantization is None:
        return
    bias = graph.tensors[index]
    if bias.quantization is None or not bias.has_scale or bias.dtype != "int32":
        return
    real = bias.array().astype(np.float64) * bias.quantization.scale.astype(np.float64)
    scale = source.quantization.scale.astype(np.float64) * weights.quantization.scale.astype(np.float64)
    values = np.clip(np.rint(real / scale), -(2**31), 2**31 - 1).astype("<i4")
    quantization = replace(bias.quantization, scale=scale.astype(np.float32), zero_point=np.zeros(len(scale), np.int64))
    graph.tensors.append(replace(bias, quantization=quantization, data=values.reshape(-1).view(np.uint8)))
    operator.inputs = (*operator.inputs[:place], len(graph.tensors) - 1, *operator.inputs[place + 1 :])
