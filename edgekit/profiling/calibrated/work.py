"""What an operator has to do, in the physical quantities that cost models are made of.

Everything is counted on shapes: a network's name, its weights' values and its tensors' names play no part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from edgekit.graph import Graph
from edgekit.graph.ir import Operator, Subgraph, Tensor
from edgekit.graph.stats import macs


class Kind(StrEnum):
    """Operators by what their kernels are limited by."""

    POINTWISE = "pointwise"
    """1x1 convolutions of stride 1: a product of matrices as they lie in memory."""
    CONV = "conv"
    """Other convolutions: rows of the input are gathered first."""
    DEPTHWISE = "depthwise"
    DENSE = "dense"
    """One or few rows: the weights are read once and used once."""
    MATMUL = "matmul"
    """Both operands are computed."""
    POOL = "pool"
    MEAN = "mean"
    BINARY = "binary"
    ACTIVATION = "activation"
    """Of one operand, with a few operations an element."""
    TRANSCENDENTAL = "transcendental"
    """Of one operand, with an exponential or a polynomial an element."""
    ERROR_FUNCTION = "error-function"
    """Of one operand, by the scalar error function of C's library."""
    MOVE = "move"
    """Elements are copied elsewhere."""
    FREE = "free"
    """Nothing is computed or moved."""
    OTHER = "other"
    """No measured network has one; counted by its bytes."""


_KINDS: dict[str, Kind] = {
    "DEPTHWISE_CONV_2D": Kind.DEPTHWISE, "FULLY_CONNECTED": Kind.DENSE, "BATCH_MATMUL": Kind.MATMUL,
    "TRANSPOSE_CONV": Kind.CONV, "AVERAGE_POOL_2D": Kind.POOL, "MAX_POOL_2D": Kind.POOL, "MEAN": Kind.MEAN,
    "SUM": Kind.MEAN, "REDUCE_MAX": Kind.MEAN, "ADD": Kind.BINARY, "SUB": Kind.BINARY, "MUL": Kind.BINARY,
    "DIV": Kind.BINARY, "MAXIMUM": Kind.BINARY, "MINIMUM": Kind.BINARY, "SQUARED_DIFFERENCE": Kind.BINARY,
    "RELU": Kind.ACTIVATION, "RELU6": Kind.ACTIVATION, "RELU_N1_TO_1": Kind.ACTIVATION, "LEAKY_RELU": Kind.ACTIVATION,
    "PRELU": Kind.ACTIVATION, "ABS": Kind.ACTIVATION, "NEG": Kind.ACTIVATION, "SQUARE": Kind.ACTIVATION,
    "QUANTIZE": Kind.ACTIVATION, "DEQUANTIZE": Kind.ACTIVATION, "CAST": Kind.ACTIVATION,
    "HARD_SWISH": Kind.TRANSCENDENTAL, "LOGISTIC": Kind.TRANSCENDENTAL, "TANH": Kind.TRANSCENDENTAL,
    "ELU": Kind.TRANSCENDENTAL, "EXP": Kind.TRANSCENDENTAL, "LOG": Kind.TRANSCENDENTAL,
    "SQRT": Kind.TRANSCENDENTAL, "RSQRT": Kind.TRANSCENDENTAL, "SOFTMAX": Kind.TRANSCENDENTAL,
    "POW": Kind.TRANSCENDENTAL, "LOG_SOFTMAX": Kind.TRANSCENDENTAL,
    "GELU": Kind.ERROR_FUNCTION, "ERF": Kind.ERROR_FUNCTION,
    "CONCATENATION": Kind.MOVE, "PAD": Kind.MOVE, "PADV2": Kind.MOVE, "MIRROR_PAD": Kind.MOVE, "TRANSPOSE": Kind.MOVE,
    "STRIDED_SLICE": Kind.MOVE, "SLICE": Kind.MOVE, "SPLIT": Kind.MOVE, "SPLIT_V": Kind.MOVE, "PACK": Kind.MOVE,
    "UNPACK": Kind.MOVE, "TILE": Kind.MOVE, "GATHER": Kind.MOVE, "SPACE_TO_DEPTH": Kind.MOVE,
    "DEPTH_TO_SPACE": Kind.MOVE,
    "RESIZE_NEAREST_NEIGHBOR": Kind.MOVE, "RESIZE_BILINEAR": Kind.MOVE, "BROADCAST_TO": Kind.MOVE,
    "RESHAPE": Kind.FREE, "SQUEEZE": Kind.FREE, "EXPAND_DIMS": Kind.FREE, "SHAPE": Kind.FREE,
}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """One operator's work, in elements and multiplications with addition.

    :param inputs, outputs: elements of the activations read and written. :param weights: elements of the constants.
    :param rows: output pixels (rows of the product). :param channels: outputs of each row. :param depth: products
        summed for each output.
    """

    kind: Kind
    inputs: int = 0
    outputs: int = 0
    weights: int = 0
    macs: int = 0
    rows: int = 0
    channels: int = 0
    depth: int = 0
    taps: int = 1
    """Kernel's height times width."""
    stride: int = 1
    groups: int = 1


def works(graph: Graph) -> list[Work]:
    """The work of each operator of the main subgraph."""
    return [_work(graph.main, operator) for operator in graph.main.operators]


def _work(subgraph: Subgraph, operator: Operator) -> Work:
    read = [subgraph.tensors[i] for i in operator.inputs if i >= 0]
    written = [subgraph.tensors[i] for i in operator.outputs]
    inputs = sum(t.elements for t in read if t.data is None)
    weights = [t for t in read if t.data is not None and len(t.shape) > 1]
    outputs = sum(t.elements for t in written)
    count = macs(subgraph, operator)
    held = sum(t.elements for t in weights)
    if operator.op == "CONV_2D" and len(read) > 1 and len(read[1].shape) == 4 and written:
        return _conv(read[0], read[1], written[0], count, held, _stride(operator))
    kind = _KINDS.get(operator.op, Kind.OTHER)
    channels = written[0].shape[-1] if written and written[0].shape else 1
    rows = outputs // max(1, channels)
    if kind is Kind.DEPTHWISE and len(read) > 1 and len(read[1].shape) == 4:
        taps = read[1].shape[1] * read[1].shape[2]
        return Work(kind, inputs, outputs, held, count, rows, channels, taps, taps, _stride(operator))
    if kind is Kind.POOL and outputs:
        options = operator.options
        taps = max(1, int(getattr(options, "filterHeight", 1) or 1) * int(getattr(options, "filterWidth", 1) or 1))
        return Work(kind, inputs, outputs, 0, 0, rows, channels, taps, taps, _stride(operator))
    depth = count // outputs if outputs else 0
    return Work(kind, inputs, outputs, held, count, rows, channels, depth)


def _stride(operator: Operator) -> int:
    return max(1, int(getattr(operator.options, "strideH", 1) or 1))


def _conv(data: Tensor, weights: Tensor, output: Tensor, count: int, held: int, stride: int) -> Work:
    filters, height, width, depth = weights.shape
    groups = max(1, data.shape[-1] // max(1, depth)) if data.shape else 1
    rows = output.elements // max(1, filters)
    return conv(data.elements, output.elements, rows, filters, depth, height * width, stride, groups, count, held)


def conv(
    inputs: int, outputs: int, rows: int, filters: int, depth: int, taps: int, stride: int, groups: int, count: int,
    weights: int,
) -> Work:  # fmt: skip
    """The work of a convolution; ``depth``: channels of the input that one output sees."""
    if depth == 1 and groups > 1:
        return Work(Kind.DEPTHWISE, inputs, outputs, weights, count, rows, filters, taps, taps, stride)
    plain = taps == 1 and stride == 1 and groups == 1
    kind = Kind.DENSE if plain and rows == 1 else Kind.POINTWISE if plain else Kind.CONV
    return Work(kind, inputs, outputs, weights, count, rows, filters, depth * taps, taps, stride, groups)


def elements(shape: tuple[int, ...]) -> int:
    """Number of elements of a shape; unknown dimensions count as 1."""
    return math.prod(abs(d) for d in shape)
