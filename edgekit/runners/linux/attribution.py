"""Maps the kernels that ran to the Graph's operators.

LiteRT's own kernels carry the operator's index, and so do those of a compiled network (-1: the kernel belongs to
none). XNNPACK's do not: it takes the operators of a partition in their
order, but folds some into others (an activation, a pad), drops some (a reshape) and adds some (a clamp, a
conversion). So both lists are aligned, order kept, by what each operator is usually computed with; operators with
multiply-accumulates weigh most, so that they anchor the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic

from edgekit.graph import Graph
from edgekit.graph.stats import macs
from edgekit.runners.linux.kernels import Kernel, T

_UNARY = "Unary Elementwise"
_BINARY = "Binary Elementwise"
KERNELS: dict[str, tuple[str, ...]] = {
    "CONV_2D": ("Convolution", "Fully Connected"),
    "DEPTHWISE_CONV_2D": ("Convolution", "Vmulcaddc"),
    "TRANSPOSE_CONV": ("Deconvolution",),
    "FULLY_CONNECTED": ("Fully Connected", "Dynamic Fully Connected", "Batch Matrix Multiply"),
    "BATCH_MATMUL": ("Batch Matrix Multiply", "Fully Connected", "Dynamic Fully Connected"),
    "ADD": ("Add", _BINARY),
    "SUB": ("Subtract", _BINARY),
    "MUL": ("Multiply", _BINARY),
    "DIV": ("Divide", _BINARY),
    "MAXIMUM": ("Maximum", _BINARY, "Clamp"),
    "MINIMUM": ("Minimum", _BINARY, "Clamp"),
    "SQUARED_DIFFERENCE": ("Squared Difference", _BINARY),
    "POW": ("Power", _BINARY),
    "PRELU": ("PReLU", _BINARY),
    "AVERAGE_POOL_2D": ("Average Pooling", "Global Average Pooling", "Mean", "Sum"),
    "MAX_POOL_2D": ("Max Pooling",),
    "MEAN": ("Mean", "Average Pooling", "Global Average Pooling", "Sum"),
    "SUM": ("Sum", "Mean"),
    "REDUCE_MAX": ("Reduce Max",),
    "REDUCE_MIN": ("Reduce Min",),
    "SOFTMAX": ("Softmax",),
    "LOGISTIC": ("Sigmoid", _UNARY),
    "TANH": ("Tanh", _UNARY),
    "HARD_SWISH": ("HardSwish", _UNARY),
    "GELU": ("GELU", "ApproxGELU", _UNARY),
    "ELU": ("ELU", _UNARY),
    "LEAKY_RELU": ("LeakyReLU", _UNARY),
    "RELU": ("Clamp", _UNARY),
    "RELU6": ("Clamp", _UNARY),
    "RELU_N1_TO_1": ("Clamp", _UNARY),
    "ABS": ("Abs", _UNARY),
    "NEG": ("Negate", _UNARY),
    "EXP": ("Exp", _UNARY),
    "LOG": ("Log", _UNARY),
    "SIN": ("Sine", _UNARY),
    "COS": ("Cosine", _UNARY),
    "SQRT": ("Square Root", _UNARY),
    "RSQRT": ("Reciprocal Square Root", _UNARY),
    "SQUARE": ("Square", _UNARY),
    "FLOOR": ("Floor", _UNARY),
    "CEIL": ("Ceiling", _UNARY),
    "ROUND": ("Bankers Rounding", "Bankders Rounding", _UNARY),
    "RESHAPE": ("Static Reshape", "Copy"),
    "SQUEEZE": ("Static Reshape", "Copy"),
    "EXPAND_DIMS": ("Static Reshape", "Static Expand Dims", "Copy"),
    "TRANSPOSE": ("Transpose",),
    "CONCATENATION": ("Concatenate", "Copy"),
    "SPLIT": ("Even Split", "Slice", "Copy"),
    "SLICE": ("Slice", "Static Slice"),
    "STRIDED_SLICE": ("Slice", "Static Slice"),
    "PAD": ("Constant Pad",),
    "PADV2": ("Constant Pad",),
    "QUANTIZE": ("Convert",),
    "DEQUANTIZE": ("Convert",),
    "CAST": ("Convert", "Copy"),
    "RESIZE_BILINEAR": ("Resize Bilinear",),
    "DEPTH_TO_SPACE": ("Depth To Space",),
    "SPACE_TO_DEPTH": ("Space To Depth",),
    "BROADCAST_TO": ("Broadcast", "Copy"),
}
"""What XNNPACK computes each operator with: beginnings of its kernels' names (xnnpack's operator-type-defs.inc)."""

_FOLDS_BACK = {"RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"}
_FOLDS_FORWARD = {"PAD", "PADV2", "DEQUANTIZE"}
_FOLDS_INTO_LAST = {"ADD"}
"""A compiled network's residual additions, part of the convolution that is computed last."""
NO_OPERATOR = -1
_AFTERTHOUGHTS = ("Clamp",)
_PREPARATIONS = ("Convert", "Static Reshape", "Transpose", "Constant Pad", "Copy")


@dataclass
class Share(Generic[T]):
    """What ran for one operator: ``index`` in the Graph, or None for work that belongs to none."""

    index: int | None
    kernels: list[Kernel[T]] = field(default_factory=list)
    fused: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The kernels' names, joined."""
        return " + ".join(kernel.name for kernel in self.kernels)


def attribute(graph: Graph, kernels: Sequence[Kernel[T]]) -> list[Share[T]]:
    """Give each kernel to an operator; shares come in execution order, every kernel is in exactly one."""
    last = len(graph.operators) - 1  # a delegate's own node comes after the model's
    owner = {k: kernel.node for k, kernel in enumerate(kernels) if kernel.node is not None and 0 <= kernel.node <= last}
    delegated = [i for i in range(len(graph.operators)) if i not in owner.values()]
    mine = [k for k, kernel in enumerate(kernels) if k not in owner and kernel.node != NO_OPERATOR]
    pairs = _align(graph, delegated, [kernels[k].name for k in mine])
    owner |= {mine[k]: delegated[i] for i, k in pairs}
    _adopt(graph, kernels, owner)
    shares: dict[int | tuple[int], Share[T]] = {}
    for k, kernel in enumerate(kernels):
        index = owner.get(k)
        shares.setdefault((k,) if index is None else index, Share(index)).kernels.append(kernel)
    _fold(graph, {share.index: share for share in shares.values() if share.index is not None})
    return list(shares.values())


def _weight(graph: Graph, index: int, name: str) -> int:
    """How much it is worth to pair an operator with a kernel; 0 where they do not fit."""
    operator = graph.operators[index]
    plain = name.split(" (")[0].removeprefix("Delegate/")
    if plain not in KERNELS.get(operator.op, ()):
        return 0
    if operator.op == "DEPTHWISE_CONV_2D" and name.endswith("DWConv"):
        return 12
    if operator.op == "CONV_2D" and name.endswith("DWConv"):
        return 2
    return 10 if macs(graph.main, operator) else 3


def _align(graph: Graph, indices: Sequence[int], names: Sequence[str]) -> list[tuple[int, int]]:
    """Pair operators with kernels so that the order holds and the sum of weights is largest.

    Needleman & Wunsch (1970) with no cost for gaps. Returns positions in ``indices`` and ``names``.
    """
    rows, columns = len(indices), len(names)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    weights = []
    for index in indices:
        by_name = {name: _weight(graph, index, name) for name in set(names)}
        weights.append([by_name[name] for name in names])
    for i in range(rows - 1, -1, -1):
        below, here, weight = best[i + 1], best[i], weights[i]
        for k in range(columns - 1, -1, -1):
            here[k] = max(below[k], here[k + 1], below[k + 1] + weight[k])
    pairs, i, k = [], 0, 0
    while i < rows and k < columns:
        if weights[i][k] and best[i][k] == best[i + 1][k + 1] + weights[i][k]:
            pairs.append((i, k))
            i, k = i + 1, k + 1
        elif best[i][k] == best[i + 1][k]:
            i += 1
        else:
            k += 1
    return pairs


def _adopt(graph: Graph, kernels: Sequence[Kernel[T]], owner: dict[int, int]) -> None:
    """Give helper kernels to the operator they help: a clamp to the one before, a preparation to the one after."""
    for k, kernel in enumerate(kernels):
        if k in owner or kernel.node is not None:
            continue
        if kernel.name.startswith(_AFTERTHOUGHTS) and k - 1 in owner and _has_activation(graph, owner[k - 1]):
            owner[k] = owner[k - 1]
    for k in range(len(kernels) - 2, -1, -1):
        if (
            k not in owner
            and kernels[k].name.startswith(_PREPARATIONS)
            and kernels[k + 1].node is None
            and k + 1 in owner
        ):
            owner[k] = owner[k + 1]


def _has_activation(graph: Graph, index: int) -> bool:
    return bool(getattr(graph.operators[index].options, "fusedActivationFunction", 0))


def _fold(graph: Graph, shares: dict[int, Share[T]]) -> None:
    """Note operators without a kernel of their own at the operator that computes them too."""
    producer = {tensor: index for index, op in enumerate(graph.operators) for tensor in op.outputs}
    consumers: dict[int, list[int]] = {}
    for index, op in enumerate(graph.operators):
        for tensor in op.inputs:
            consumers.setdefault(tensor, []).append(index)
    for index, operator in enumerate(graph.operators):
        if index in shares or not operator.inputs or not operator.outputs:
            continue
        if operator.op in _FOLDS_BACK:
            home = producer.get(operator.inputs[0])
        elif operator.op in _FOLDS_INTO_LAST:
            home = max((producer[i] for i in operator.inputs if i in producer), default=None)
        elif operator.op in _FOLDS_FORWARD:
            home = next(iter(consumers.get(operator.outputs[0], [])), None)
        else:
            continue
        if home in shares:
            shares[home].fused.append(index)
