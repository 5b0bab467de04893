"""What LiteRT has kernels for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.backends import Unsupported
from edgekit.graph.ir import BITS
from edgekit.graph.onnx_operators import from_onnx

if TYPE_CHECKING:
    from edgekit.graph import Graph, Operator

_STABLEHLO = [
    "LOGISTIC",
    "DIVIDE",
    "RESHAPE",
    "CLAMP",
    "CONCATENATE",
    "BROADCAST_IN_DIM",
    "CONVOLUTION",
    "SLICE",
    "CUSTOM_CALL",
    "REDUCE",
    "ABS",
    "COSINE",
    "EXPONENTIAL",
    "FLOOR",
    "LOG",
    "NEGATE",
    "OR",
    "POWER",
    "REMAINDER",
    "RSQRT",
    "SELECT",
    "SUBTRACT",
    "TANH",
    "COMPARE",
    "CONVERT",
    "DYNAMIC_SLICE",
    "DYNAMIC_UPDATE_SLICE",
    "IOTA",
    "DOT_GENERAL",
    "SORT",
    "WHILE",
    "TRANSPOSE",
    "CBRT",
]
_OTHERS = {"CONCAT_EMBEDDINGS", "CALL", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}
WITHOUT_KERNEL = frozenset(_OTHERS | {f"STABLEHLO_{name}" for name in _STABLEHLO})
"""Builtin operators of the schema that LiteRT 2.3.0 registers no kernel for (a test asks LiteRT for each)."""

CUSTOM = frozenset({"TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram", "NumericVerify"})
"""Custom operators it does have kernels for."""


def unsupported(graph: Graph) -> list[Unsupported]:
    """List operators without a kernel, and inputs and outputs that are not plain numbers.

    The index counts in the main subgraph; it is -1 for an operator inside control flow and for tensors.
    """
    found = [
        Unsupported(index if number == 0 else -1, operator.op, *reason)
        for number, subgraph in enumerate(graph.subgraphs)
        for index, operator in enumerate(subgraph.operators)
        if (reason := _refused(operator))
    ]
    for kind, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        found += [
            Unsupported(
                -1,
                kind,
                f"{tensor.name!r} is {tensor.dtype}, which has no fixed size",
                "convert it outside the network",
            )
            for tensor in tensors
            if tensor.dtype not in BITS
        ]
    return found


def _refused(operator: Operator) -> tuple[str, str] | None:
    if operator.custom and operator.op.startswith("Flex"):
        return "it is a TensorFlow operator, not a LiteRT one", "convert without SELECT_TF_OPS"
    if from_onnx(operator):
        return "it is an operator of ONNX, which LiteRT does not have", "use --backend tvm, where the target has it"
    if operator.custom and operator.op not in CUSTOM:
        return "it is a custom operator, which LiteRT has no kernel for", "cut it off the model and do it outside"
    if operator.intermediates:  # LiteRT 2.3's C API: "Intermediate tensors not yet supported"
        return "LiteRT's C library refuses recurrent operators in integers", ""
    if not operator.custom and operator.op in WITHOUT_KERNEL:
        return "LiteRT has no kernel for it", "replace it before conversion"
    return None
