"""Graph -> Network: which kernels compute each operator, and why some operators have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgekit.codegen.builder import CLAMPS, QUANTIZED, Builder, fused
from edgekit.codegen.functions import REAL
from edgekit.codegen.kernels import BASIC, Network, Scope
from edgekit.codegen.prepare import REPEAT, SPREAD, prepared
from edgekit.codegen.rules import (
    convolutions,
    elements,
    indices,
    lstm,
    movement,
    padding,
    recurrent_float,
    reductions,
    windows,
)
from edgekit.codegen.rules import state as recurrent
from edgekit.codegen.state import COPY, RESOURCES, unsupported
from edgekit.errors import DamagedModel, ModelError
from edgekit.graph import Graph, Operator
from edgekit.graph.forms import UNKNOWN, malformed

MOST_ELEMENTS = 1 << 24
"""Of one tensor."""

_REARRANGED = (
    "TRANSPOSE", "SLICE", "STRIDED_SLICE", "BROADCAST_TO", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "TILE", "REVERSE_V2",
)  # fmt: skip
_REDUCED = ("SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")
_BATCHES = ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
_GATHERS = ("GATHER", "GATHER_ND", "EMBEDDING_LOOKUP")
_TYPED = (*elements.COMPARISONS, *elements.LOGICAL, *elements.SELECTS, "CAST")
_SHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_RESIZED = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
Rule = Callable[[Builder, int, Operator], None]
RULES: dict[str, Rule] = {
    "CONV_2D": convolutions.convolution,
    "FULLY_CONNECTED": convolutions.dense,
    "DEPTHWISE_CONV_2D": convolutions.depthwise,
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D"), windows.pool),
    "SOFTMAX": windows.softmax,
    **dict.fromkeys(_RESIZED, windows.resize),
    **dict.fromkeys(elements.ARITHMETIC, elements.arithmetic),
    **dict.fromkeys(REAL, elements.mapped),
    **dict.fromkeys(_SHAPES, elements.reshape),
    **dict.fromkeys(_TYPED, elements.typed),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE"), elements.convert),
    "PAD": elements.padded,
    "PADV2": padding.filled,
    "MIRROR_PAD": padding.mirrored,
    **dict.fromkeys(_BATCHES, padding.batches),
    "GATHER": indices.gather,
    "EMBEDDING_LOOKUP": indices.lookup,
    "GATHER_ND": indices.gather_nd,
    "ONE_HOT": indices.one_hot,
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), indices.largest),
    "CUMSUM": indices.cumsum,
    SPREAD: movement.spread,
    REPEAT: movement.repeated,
    "CONCATENATION": movement.concatenation,
    **dict.fromkeys(("SPLIT", "SPLIT_V"), movement.split),
    "PACK": movement.pack,
    "UNPACK": movement.unpack,
    **dict.fromkeys(_REARRANGED, movement.rearranged),
    **dict.fromkeys(("MEAN", *_REDUCED), reductions.reduced),
    "BATCH_MATMUL": reductions.matmul,
}
"""Every operator that has kernels in every backend."""
CONVOLUTIONS: dict[str, Rule] = {"TRANSPOSE_CONV": convolutions.transposed}
"""More in :attr:`Scope.convolutions`."""
ROWS: dict[str, Rule] = dict.fromkeys(("LOG_SOFTMAX", "L2_NORMALIZATION"), windows.rows)
"""More in :attr:`Scope.rows`."""
STATE: dict[str, Rule] = {
    "SVDF": recurrent.svdf, "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm.lstm, COPY: recurrent.copied,
}  # fmt: skip
"""More in :attr:`Scope.state`."""
UNSUPPORTED: dict[str, Callable[[Graph, Operator], str]] = {
    **dict.fromkeys(
        ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"), convolutions.weights_unsupported
    ),
    **dict.fromkeys(("MEAN", *_REDUCED), reductions.reduced_unsupported),
    **dict.fromkeys(("SPLIT", "SPLIT_V", *_REARRANGED, *_RESIZED), movement.constants_unsupported),
    **dict.fromkeys(("CONCATENATION", "PACK", "UNPACK"), movement.joined_unsupported),
    **dict.fromkeys(("PAD", "PADV2"), padding.padding_unsupported),
    "MIRROR_PAD": padding.mirrored_unsupported,
    **dict.fromkeys(_BATCHES, padding.batches_unsupported),
    **dict.fromkeys(_GATHERS, indices.gather_unsupported),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "CUMSUM", "ONE_HOT"), indices.axis_unsupported),
    **dict.fromkeys(_TYPED, elements.typed_unsupported),
    **dict.fromkeys(elements.ARITHMETIC, elements.arithmetic_unsupported),
}
"""What says that a rule does not cover an operator."""
STATE_UNSUPPORTED: dict[str, Callable[[Graph, Operator], str]] = {
    "SVDF": recurrent.svdf_unsupported, "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm.lstm_unsupported,
}  # fmt: skip
"""The same for operators with state, whose tensors have types of their own."""
FLOAT_STATE: dict[str, Rule] = {
    "SVDF": recurrent_float.svdf, "UNIDIRECTIONAL_SEQUENCE_LSTM": recurrent_float.lstm,
}  # fmt: skip
"""In place of :data:`STATE` where the input is of float32."""
FLOAT_STATE_UNSUPPORTED: dict[str, Callable[[Graph, Operator], str]] = {
    "SVDF": recurrent_float.svdf_unsupported, "UNIDIRECTIONAL_SEQUENCE_LSTM": recurrent_float.lstm_unsupported,
}  # fmt: skip
_WHOLE = frozenset(("int32", "int64"))
_PLAIN = _WHOLE | {"bool", "uint8"}
_BOTH = frozenset(("float32", "int8"))
_ONE_TYPE = frozenset(("float32",))
TYPES: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            *_SHAPES, "PAD", "PADV2", "MIRROR_PAD", "CONCATENATION", "SPLIT", "SPLIT_V", "PACK", "UNPACK",
            *_REARRANGED, *_BATCHES, *_GATHERS, *elements.COMPARISONS, *elements.SELECTS, "CAST", "ONE_HOT",
            "ARG_MAX", "ARG_MIN",
        ),
        _BOTH | _PLAIN,
    ),
    **dict.fromkeys(
        (*elements.INTEGER_ARITHMETIC, "SUM", "REDUCE_MAX", "REDUCE_MIN", "ABS", "NEG"), _BOTH | _WHOLE
    ),
    **dict.fromkeys(("CUMSUM", "REDUCE_PROD"), _ONE_TYPE | _WHOLE),
    **dict.fromkeys((*elements.LOGICAL, "REDUCE_ANY", "REDUCE_ALL"), frozenset(("bool",))),
    "POW": _ONE_TYPE,
    "FLOOR_DIV": _ONE_TYPE | _WHOLE,
    "FLOOR_MOD": _ONE_TYPE | _WHOLE,
}  # fmt: skip
"""Of activations; float32 and int8 where nothing else is said."""
WORDS = frozenset((
    *_SHAPES, "TRANSPOSE", "SLICE", "STRIDED_SLICE", "BROADCAST_TO", "TILE", "REVERSE_V2",
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "ADD", "SUB", "MUL",
    "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "SOFTMAX", "LOGISTIC", "TANH", "QUANTIZE", "DEQUANTIZE", "PAD",
    "CONCATENATION", "SPLIT", "SPLIT_V", "PACK", "UNPACK", "MAXIMUM", "MINIMUM", "REDUCE_MAX", "REDUCE_MIN",
    "GATHER", "RESIZE_NEAREST_NEIGHBOR", "BATCH_MATMUL", "MIRROR_PAD", *_BATCHES,
))  # fmt: skip
"""What int16 activations are computed by in :attr:`Scope.int16`: what LiteRT has kernels for that are tested here."""
SUBGRAPHS = ("WHILE", "IF", "CALL")
"""What runs other subgraphs. Recurrent layers that are unrolled when they are converted do without."""
_WORDS, _NONE = frozenset(("int16",)), frozenset[str]()
MIXED = frozenset(("QUANTIZE", "DEQUANTIZE", "CAST", "ONE_HOT", "ARG_MAX", "ARG_MIN", *_GATHERS,
                   *elements.COMPARISONS, *elements.SELECTS))  # fmt: skip
"""What may have activations of more than one type."""
FEATURE_MAPS = frozenset((
    "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "MAX_POOL_2D", "AVERAGE_POOL_2D", *_RESIZED, SPREAD, REPEAT,
))  # fmt: skip
"""What takes one feature map at a time."""


@dataclass(frozen=True)
class Missing:
    """An operator without a kernel: its index in the graph, its name, why."""

    node: int
    op: str
    reason: str

    def of(self, backend: str) -> str:
        """The reason, naming the backend that has no kernel."""
        return self.reason.replace("there is no kernel", f"edgekit's {backend} backend has no kernel")


def lower(graph: Graph, scope: Scope = BASIC) -> Network:
    """Lower the main subgraph; a kernel's ``node`` is an index of ``graph``.

    :param scope: what the backend has kernels for.
    :raises ModelError: naming the first operator that has no kernel; see :func:`lowered`.
    """
    network = lowered(graph, scope)
    if isinstance(network, list):
        first = network[0]
        raise ModelError(f"operator {first.node} ({first.op}) cannot be compiled: {first.reason}")
    return network


def lowered(graph: Graph, scope: Scope = BASIC) -> Network | list[Missing]:
    """Lower the main subgraph; or list all operators that have no kernel even after rewriting."""
    rewritten = prepared(graph, scope)
    ready, nodes = rewritten.graph, rewritten.nodes
    reasons = [unsupported_reason(ready, operator, scope) for operator in ready.operators]
    missing = [
        Missing(node, graph.operators[node].op, reason) for node, reason in zip(nodes, reasons, strict=True) if reason
    ]
    if missing:
        return missing
    builder, rules = Builder(ready, nodes, scope), rules_of(scope)
    for index, initial in rewritten.variables.items():
        builder.variable(index, initial)
    for number, operator in enumerate(ready.operators):
        if number in builder.folded:
            continue
        try:
            rule = FLOAT_STATE.get(operator.op) if _floating(ready, operator) else None
            (rule or rules[operator.op])(builder, number, operator)
        except DamagedModel as error:
            return [Missing(nodes[number], operator.op, f"it is damaged: {error.message}")]
    return builder.network()


def _floating(graph: Graph, operator: Operator) -> bool:
    """Whether the first operand is of float32."""
    return bool(operator.inputs) and operator.inputs[0] >= 0 and graph.tensors[operator.inputs[0]].dtype == "float32"


def rules_of(scope: Scope) -> dict[str, Rule]:
    """Every operator that has kernels in a scope."""
    more = ((CONVOLUTIONS, scope.convolutions), (ROWS, scope.rows), (STATE, scope.state))
    return RULES | {op: rule for rules, there in more if there for op, rule in rules.items()}


def unsupported_reason(graph: Graph, operator: Operator, scope: Scope = BASIC) -> str:
    """Why the operator has no kernel, in a few words; empty if it has one."""
    if scope.state and operator.op in RESOURCES:
        return unsupported(graph, operator)
    if operator.op in SUBGRAPHS and not operator.custom:
        return "there is no kernel for loops and branches"
    if operator.op not in rules_of(scope) or operator.custom:
        return "there is no kernel for it"
    if reason := malformed(graph.tensors, operator):
        return reason
    if operator.op not in STATE and fused(operator) not in CLAMPS:
        return "its activation is not one that clamps"
    tensors = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    flowing = [t for t in tensors if t.data is None]
    if any(size < 1 for t in tensors for size in t.shape):
        return UNKNOWN
    if any(t.elements > MOST_ELEMENTS for t in tensors):
        return "its tensors are too large"
    if any(t.data is not None and not t.is_dense for t in tensors):
        return "its constant is not dense"
    if operator.op in STATE:
        special = (FLOAT_STATE_UNSUPPORTED if _floating(graph, operator) else STATE_UNSUPPORTED).get(operator.op)
        return special(graph, operator) if special else ""
    types = TYPES.get(operator.op, _BOTH) | (_WORDS if scope.int16 and operator.op in WORDS else _NONE)
    for tensor in flowing:
        if tensor.has_scale and operator.op == "QUANTIZE" and tensor.dtype in ("uint8", *(("int32",) * scope.int16)):
            continue
        quantized = tensor.dtype in QUANTIZED
        plain = not quantized and (tensor.dtype == "float32" or not tensor.has_scale)
        if tensor.dtype not in types or not (plain or (quantized and tensor.has_scale)):
            return f"there is no kernel for {tensor.dtype}"
        if operator.op in FEATURE_MAPS and len(tensor.shape) == 4 and tensor.shape[0] != 1:
            return "its batch is not 1"
    if any(t.quantization is not None and t.quantization.per_channel for t in flowing):
        return "its activations have a scale for each channel"
    if len({t.dtype for t in flowing}) > 1 and operator.op not in (*MIXED, *(("SOFTMAX",) * scope.int16)):
        return "it mixes integers and floats"
    special = UNSUPPORTED.get(operator.op)
    if special and (reason := special(graph, operator)):
        return reason
    return "" if scope.convolutions else convolutions.apart_unsupported(graph, operator)
