"""Rules of our own: what stands for an operator that TVM's frontend lacks, or computes wrongly, in simpler ones.

A rule writes nodes into a :class:`~.building.Rewrite` and returns True, returns False where it does not apply, or
raises Refused. Each is proven by ONNX's own node tests (``tests/onnx_nodes``).
"""

from __future__ import annotations

from collections.abc import Callable

from edgekit.backends.tvm.onnx.rules import arrangement, elementwise, integers, sequences
from edgekit.backends.tvm.onnx.rules.building import OPSET, SIMPLE, Rewrite

__all__ = ["OPSET", "RULES", "SIMPLE", "Rewrite"]

RULES: dict[str, Callable[[Rewrite], bool]] = {
    "Softplus": elementwise.softplus,
    "Mish": elementwise.mish,
    "IsInf": elementwise.is_infinite,
    "Div": elementwise.divide,
    "Mod": elementwise.modulo,
    "BitShift": elementwise.shift,
    "Pow": elementwise.power,
    "Celu": elementwise.celu,
    "Dropout": elementwise.dropout,
    "BatchNormalization": elementwise.batch_norm,
    **dict.fromkeys(("ReduceMax", "ReduceMin"), elementwise.extreme),
    **dict.fromkeys(("MatMul", "Gemm", "Conv", "Softmax", "Sigmoid", "LogSoftmax"), elementwise.wide),
    "RoiAlign": arrangement.roi_align,
    "CumSum": sequences.running,
    "CumProd": sequences.running,
    "TopK": sequences.top_k,
    "OneHot": sequences.one_hot,
    "ReverseSequence": sequences.reverse_sequence,
    "LSTM": sequences.recurrent,
    "GRU": sequences.recurrent,
    "RNN": sequences.recurrent,
    "Pad": arrangement.pad,
    "Tile": arrangement.tile,
    "Resize": arrangement.resize,
    "LpNormalization": arrangement.norm,
    "EyeLike": arrangement.eye,
    "DFT": arrangement.fourier,
    "ConvTranspose": arrangement.transposed_convolution,
    "QLinearMatMul": integers.matmul,
    "QLinearConv": integers.convolution,
    "ConvInteger": integers.integer_convolution,
}
"""By operator."""
