"""Operands, options and ranks that an operator must have before anything inspects it.

A file can lack any of them. The rules of backends rely on this check and do not repeat it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.graph.ir import Operator, Tensor

INCOMPLETE = "its operands or options are incomplete"
UNKNOWN = "its shape is not known"


@dataclass(frozen=True)
class Form:
    """Operands and options of an operator.

    :param least: inputs that must be there; :param most: inputs at most. :param outputs: how many; 0 for any number.
    :param options: fields of its options. :param maps: inputs that have four axes, as the output has then.
    :param optional: inputs that may be absent although later ones are not.
    """

    least: int
    most: int
    options: tuple[str, ...] = ()
    outputs: int = 1
    maps: tuple[int, ...] = ()
    optional: tuple[int, ...] = ()


_ANY = 1 << 16
_WINDOW = ("padding", "strideH", "strideW")
_CONVOLUTION = (*_WINDOW, "dilationHFactor", "dilationWFactor", "fusedActivationFunction")
_POOL = (*_WINDOW, "filterHeight", "filterWidth", "fusedActivationFunction")
_RESIZE = ("alignCorners", "halfPixelCenters")
_SLICES = ("beginMask", "endMask", "shrinkAxisMask", "ellipsisMask", "newAxisMask", "offset")


def _each(names: str, form: Form) -> dict[str, Form]:
    return dict.fromkeys(names.split(), form)


FORMS: dict[str, Form] = {
    **_each("CONV_2D DEPTHWISE_CONV_2D", Form(2, 3, _CONVOLUTION, maps=(0, 1))),
    "TRANSPOSE_CONV": Form(3, 4, _WINDOW, maps=(1, 2)),
    "FULLY_CONNECTED": Form(2, 3, ("fusedActivationFunction",)),
    **_each("MAX_POOL_2D AVERAGE_POOL_2D", Form(1, 1, _POOL, maps=(0,))),
    **_each("MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD REDUCE_ANY REDUCE_ALL", Form(2, 2)),
    "SOFTMAX": Form(1, 1, ("beta",)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Form(
        20, 24, ("cellClip", "projClip", "timeMajor"), optional=(1, 5, 9, 10, 11, 12, 16, 17)
    ),
    "SVDF": Form(5, 5, ("rank",), optional=(3,)),
    **_each("LOG_SOFTMAX L2_NORMALIZATION", Form(1, 1)),
    **_each("ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE PRELU FLOOR_DIV FLOOR_MOD POW", Form(2, 2)),
    **_each("EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL LOGICAL_AND LOGICAL_OR", Form(2, 2)),
    **_each("SELECT SELECT_V2", Form(3, 3)),
    **_each("LOGICAL_NOT CAST QUANTIZE DEQUANTIZE SQUEEZE", Form(1, 1)),
    **_each("LOGISTIC TANH HARD_SWISH RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 ELU GELU EXP LOG SQRT RSQRT", Form(1, 1)),
    **_each("ABS NEG SQUARE SIN COS FLOOR CEIL ROUND", Form(1, 1)),
    "LEAKY_RELU": Form(1, 1, ("alpha",)),
    "RESHAPE": Form(1, 2),
    **_each("EXPAND_DIMS PAD TRANSPOSE BROADCAST_TO TILE REVERSE_V2 EMBEDDING_LOOKUP GATHER_ND", Form(2, 2)),
    "MIRROR_PAD": Form(2, 2, ("mode",)),
    **_each("PADV2 SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND SLICE", Form(3, 3)),
    "GATHER": Form(2, 2),  # its options may be missing: axis 0, no batches
    "ONE_HOT": Form(4, 4, ("axis",)),
    **_each("ARG_MAX ARG_MIN", Form(2, 2)),
    "CUMSUM": Form(2, 2, ("reverse", "exclusive")),
    **_each("CONCATENATION PACK", Form(1, _ANY, ("axis",))),
    "UNPACK": Form(1, 1, ("axis",), outputs=0),
    "SPLIT": Form(2, 2, outputs=0),
    "SPLIT_V": Form(3, 3, outputs=0),
    "STRIDED_SLICE": Form(4, 4, _SLICES),
    **_each("SPACE_TO_DEPTH DEPTH_TO_SPACE", Form(1, 1, ("blockSize",))),
    "BATCH_MATMUL": Form(2, 2, ("adjX", "adjY")),
    **_each("RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR", Form(2, 2, _RESIZE, maps=(0,))),
}
"""By operator."""


def malformed(tensors: Sequence[Tensor], operator: Operator) -> str:
    """Why the operator cannot be looked into; empty if it can, or if nothing here knows it."""
    form = FORMS.get(operator.op)
    if form is None:
        return ""
    inputs, outputs = operator.inputs, operator.outputs
    complete = form.least <= len(inputs) <= form.most and all(
        index >= 0 or place in form.optional for place, index in enumerate(inputs[: form.least])
    )
    if not complete or not outputs or len(outputs) != (form.outputs or len(outputs)):
        return INCOMPLETE
    if any(not hasattr(operator.options, name) for name in form.options):
        return INCOMPLETE
    used = [tensors[index] for index in (*inputs, *outputs) if index >= 0]
    if any(size < 1 for tensor in used for size in tensor.shape):
        return UNKNOWN
    maps = [tensors[inputs[place]] for place in form.maps]
    if any(len(tensor.shape) != 4 for tensor in maps) or (maps and len(tensors[outputs[0]].shape) != 4):
        return INCOMPLETE
    return ""
