"""What this backend has rules for, answered without coremltools, and in what precision a network computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.backends import Unsupported
from edgekit.delegates.node import computes_half
from edgekit.graph.edit import folded
from edgekit.graph.forms import INCOMPLETE, malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.graph import Graph, Operator, Tensor

MOST_DIMENSIONS = 5
"""Of a Core ML tensor (MLMultiArray inputs and MIL's reshape and transpose)."""

UNARY = {
    "ABS": "abs", "CEIL": "ceil", "COS": "cos", "EXP": "exp", "FLOOR": "floor", "LOGICAL_NOT": "logical_not",
    "LOGISTIC": "sigmoid", "RELU": "relu", "RELU6": "relu6", "ROUND": "round", "RSQRT": "rsqrt", "SIGN": "sign",
    "SIN": "sin", "SQRT": "sqrt", "SQUARE": "square", "TANH": "tanh", "LOG": "log", "ELU": "elu",
    "LEAKY_RELU": "leaky_relu", "GELU": "gelu", "HARD_SWISH": "mul", "NEG": "mul", "RELU_N1_TO_1": "clip",
    "RELU_0_TO_1": "clip",
}  # fmt: skip
BINARY = {
    "ADD": "add", "SUB": "sub", "MUL": "mul", "DIV": "real_div", "MAXIMUM": "maximum", "MINIMUM": "minimum",
    "POW": "pow", "SQUARED_DIFFERENCE": "sub", "EQUAL": "equal", "NOT_EQUAL": "not_equal", "GREATER": "greater",
    "GREATER_EQUAL": "greater_equal", "LESS": "less", "LESS_EQUAL": "less_equal", "LOGICAL_AND": "logical_and",
    "LOGICAL_OR": "logical_or",
}  # fmt: skip
REDUCTIONS = {
    "MEAN": "reduce_mean", "SUM": "reduce_sum", "REDUCE_MAX": "reduce_max", "REDUCE_MIN": "reduce_min",
    "REDUCE_PROD": "reduce_prod",
}  # fmt: skip
SAME_VALUES = frozenset({
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SPLIT", "UNPACK", "MAX_POOL_2D",
    "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "TILE", "RESIZE_NEAREST_NEIGHBOR",
})  # fmt: skip
"""Their results are values of their input, so that rounding them again changes nothing."""

OTHERS = frozenset({
    "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "AVERAGE_POOL_2D", "SOFTMAX",
    "LOG_SOFTMAX", "PRELU", "CONCATENATION", "PACK", "PAD", "PADV2", "MIRROR_PAD", "RESIZE_BILINEAR", "GATHER",
    "QUANTIZE", "DEQUANTIZE", "CAST", "SELECT_V2", "ARG_MAX", "L2_NORMALIZATION",
})  # fmt: skip
KNOWN = frozenset(UNARY) | BINARY.keys() | REDUCTIONS.keys() | SAME_VALUES | OTHERS

WHOLE = frozenset({
    "ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL",
    "LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT", "ABS", "NEG", "CAST", "SELECT_V2", "RESHAPE", "SQUEEZE", "EXPAND_DIMS",
    "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SPLIT", "UNPACK", "TILE", "CONCATENATION", "PACK", "GATHER",
})  # fmt: skip
"""Operators whose rules also hold for whole numbers and booleans."""

CONSTANT_INPUTS = {
    "CONV_2D": (1, 2), "DEPTHWISE_CONV_2D": (1, 2), "TRANSPOSE_CONV": (0, 1, 3), "TRANSPOSE": (1,), "PAD": (1,),
    "PADV2": (1, 2), "MIRROR_PAD": (1,), "SLICE": (1, 2), "STRIDED_SLICE": (1, 2, 3), "SPLIT": (0,), "TILE": (1,),
    "RESIZE_BILINEAR": (1,), "RESIZE_NEAREST_NEIGHBOR": (1,), "ARG_MAX": (1,), "PRELU": (1,), "EXPAND_DIMS": (1,),
    **dict.fromkeys(REDUCTIONS, (1,)),
}  # fmt: skip
"""Inputs that must be constants."""

_FLOWING = ("float32", "int32", "int64", "bool", "int8", "uint8")
_WEIGHTS = (*_FLOWING, "float16", "int4")


def precision(graph: Graph) -> str:
    """What the package computes in: ``float16`` where the recipe made the weights smaller, else ``float32``."""
    return "float16" if computes_half(graph) else "float32"


def unsupported(graph: Graph) -> list[Unsupported]:
    """Every operator that has no rule, with the reason."""
    found = [
        Unsupported(index, operator.op, reason, remedy)
        for index, operator in enumerate(graph.operators)
        if (answer := _refused(graph, operator))
        for reason, remedy in [answer]
    ]
    for kind, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        found += [
            Unsupported(
                -1, kind, f"{t.name!r} is a scalar, but Core ML's arrays have at least one dimension", "reshape it"
            )
            for t in tensors
            if not t.shape
        ]
    if len(graph.subgraphs) > 1 and not found:
        found.append(Unsupported(-1, "subgraph", "the network has control flow", "unroll it"))
    return found


def _refused(graph: Graph, operator: Operator) -> tuple[str, str] | None:
    if operator.custom or operator.op not in KNOWN:
        return "edgekit's Core ML backend has no rule for it", "use another target, or cut it off the model"
    if not operator.inputs or not operator.outputs or operator.inputs[0] < 0:
        return "it has no inputs or no outputs", "the file is damaged: convert the model again"
    flowing = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    if malformed(graph.tensors, operator) == INCOMPLETE:
        return INCOMPLETE, "the file is damaged: convert the model again"
    for tensor in flowing:
        if reason := _tensor(tensor):
            return reason
    values = graph.tensors[operator.inputs[-1 if operator.op in ("SPLIT", "SELECT_V2") else 0]]
    if (
        values.dtype in ("int32", "int64", "bool")
        and not values.has_scale
        and operator.op not in (*WHOLE, "TRANSPOSE_CONV")
    ):
        return f"it computes in {values.dtype}, and its rule in real numbers", "cast it to float in the model"
    for place in CONSTANT_INPUTS.get(operator.op, ()):
        if place < len(operator.inputs) and (index := operator.inputs[place]) >= 0 and not _constant(graph, index):
            return f"its input {place} is computed as it runs", "make it a constant of the model"
    special = _SPECIAL[operator.op](graph, operator) if operator.op in _SPECIAL else ""
    return (special, "change the model") if special else None


def _tensor(tensor: Tensor) -> tuple[str, str] | None:
    kinds = _FLOWING if tensor.data is None else _WEIGHTS
    if tensor.data is None and tensor.dtype in ("int16", "float16"):
        return f"Core ML has no {tensor.dtype} activations here", "compile it with --recipe float16 or int8"
    if tensor.dtype not in kinds:
        return f"edgekit's Core ML backend has no rule for {tensor.dtype}", "convert the model with other types"
    if tensor.data is None and tensor.dtype in ("int8", "uint8") and not tensor.has_scale:
        return f"{tensor.dtype} without a scale is no Core ML type", "use int32"
    if tensor.sparsity is not None or (tensor.quantization is not None and tensor.quantization.details is not None):
        return "its weights are stored sparse, or have a scale a block", "compile it with --recipe float32 first"
    if tensor.data is None and tensor.quantization is not None and tensor.quantization.per_channel:
        return "an activation has a scale for each channel", "quantize it again: --recipe int8"
    if len(tensor.shape) > MOST_DIMENSIONS:
        return f"it has {len(tensor.shape)} dimensions, and Core ML at most {MOST_DIMENSIONS}", "change the model"
    if any(size < 1 for size in tensor.shape) or not tensor.has_rank:
        return "its shape is not known", "give it with --shape"
    if tensor.is_variable:
        return "it keeps state from one run to the next", "make the state an input and an output"
    return None


def _constant(graph: Graph, index: int) -> bool:
    return graph.tensors[index].data is not None or index in folded(graph)


def _nearest(graph: Graph, operator: Operator) -> str:
    x, y = (graph.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
    whole = y[1] % x[1] == 0 and y[2] % x[2] == 0
    if not whole or operator.options.alignCorners:
        return "it resizes by a factor that is no whole number, or aligns the corners"
    return ""


def _strided(graph: Graph, operator: Operator) -> str:
    o = operator.options
    return "it slices with an ellipsis or a new axis" if o.ellipsisMask or o.newAxisMask else ""


def _padding(graph: Graph, operator: Operator) -> str:
    pads = graph.tensors[operator.inputs[1]]
    if pads.data is None or pads.shape != (len(graph.tensors[operator.inputs[0]].shape), 2):
        return "its padding does not fit its input"
    return "its padding is negative" if (pads.array() < 0).any() else ""


def _transposed(graph: Graph, operator: Operator) -> str:
    o = operator.options
    x, w, y = (graph.tensors[i].shape for i in (operator.inputs[2], operator.inputs[1], operator.outputs[0]))
    full = [(x[a] - 1) * s + w[a] for a, s in ((1, o.strideH), (2, o.strideW))]
    return "its result is larger than its windows reach" if full[0] < y[1] or full[1] < y[2] else ""


def _shuffled(graph: Graph, operator: Operator) -> str:
    return "its weights are shuffled" if operator.options.weightsFormat else ""


def _mirrored(graph: Graph, operator: Operator) -> str:
    if reason := _padding(graph, operator):
        return reason
    pads = graph.tensors[operator.inputs[1]].array()
    if operator.options.mode:
        return "it mirrors symmetrically, and Core ML by reflection only"
    return "it mirrors other than the last two dimensions" if np.any(pads[:-2]) and np.any(pads[[0, -1]]) else ""


def _gathered(graph: Graph, operator: Operator) -> str:
    return "it gathers in batches" if getattr(operator.options, "batchDims", 0) else ""


_SPECIAL: dict[str, Callable[[Graph, Operator], str]] = {
    "RESIZE_NEAREST_NEIGHBOR": _nearest, "STRIDED_SLICE": _strided, "PAD": _padding, "PADV2": _padding,
    "TRANSPOSE_CONV": _transposed, "FULLY_CONNECTED": _shuffled, "MIRROR_PAD": _mirrored, "GATHER": _gathered,
}  # fmt: skip


def minimum(graph: Graph) -> int:
    """The oldest iOS that has every operation: 16; 17 for 8-bit activations; 18 for 4-bit integers."""
    if any(t.data is not None and t.dtype == "int4" for t in graph.tensors):
        return 18
    return 17 if any(t.data is None and t.dtype in ("int8", "uint8") for t in graph.tensors) else 16
