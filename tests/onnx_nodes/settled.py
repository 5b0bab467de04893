"""The deployed form of a node test: what a network that runs on a device has fixed is fixed.

Node tests feed everything: the shape that Reshape makes, the axes that ReduceSum sums, the pads of Pad. In a network
these are constants, and edgekit's networks have fixed shapes. So a case that is refused as it is gets a second trial
with these inputs as constants, with its own values, and with its own sizes where it leaves them open.
"""

from __future__ import annotations

from typing import Any

import onnx
from onnx import numpy_helper

from tests.onnx_nodes.cases import Case

PARAMETERS = {
    "Reshape": {1}, "Expand": {1}, "Tile": {1}, "Slice": {1, 2, 3, 4}, "Squeeze": {1}, "Unsqueeze": {1},
    "Pad": {1, 2, 3}, "Split": {1}, "SplitToSequence": {1}, "Resize": {1, 2, 3}, "Upsample": {1}, "TopK": {1},
    "ConstantOfShape": {0}, "Range": {0, 1, 2}, "OneHot": {1, 2}, "CumSum": {1}, "CumProd": {1}, "Trilu": {1},
    "CenterCropPad": {1}, "AffineGrid": {1}, "BlackmanWindow": {0}, "HannWindow": {0}, "HammingWindow": {0},
    "MelWeightMatrix": {0, 1, 2, 3, 4}, "DFT": {1, 2}, "STFT": {1, 3}, "Col2Im": {1, 2}, "MaxUnpool": {2},
    "Dropout": {1, 2}, "Clip": {1, 2}, "QuantizeLinear": {1, 2}, "DequantizeLinear": {1, 2},
    "QLinearConv": {1, 2, 3, 4, 5, 6, 7}, "QLinearMatMul": {1, 2, 4, 5, 6, 7}, "ConvInteger": {1, 2, 3},
    "MatMulInteger": {2, 3}, "BitShift": {1}, "CastLike": {1},
    **{
        f"Reduce{kind}": {1}
        for kind in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
    },
}  # fmt: skip
"""By operator: which inputs say how it computes, not what on."""


def parameters(case: Case) -> list[str]:
    """Names of the model's inputs that operators read as parameters only, or not at all.

    What the operator of the whole case takes as a parameter is one in its expanded form, whoever reads it there.
    """
    names = {value.name for value in case.model.graph.input}
    read: dict[str, set[bool]] = {}
    for node in case.model.graph.node:
        for place, name in enumerate(node.input):
            if name in names:
                read.setdefault(name, set()).add(place in PARAMETERS.get(node.op_type, ()))
    known = set(parameters(case.whole)) if case.whole else set()
    return [v.name for v in case.model.graph.input if v.name in known or read.get(v.name, {True}) == {True}]


def settled(case: Case) -> Case | None:
    """Return the case with constant parameters and fixed sizes; None if that is what it is already."""
    if case.inputs is None:
        return None
    constant = set(parameters(case))
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    kept, changed = [], False
    del model.graph.input[:]
    for value, array in zip(case.model.graph.input, case.inputs, strict=False):
        if value.name in constant:
            model.graph.initializer.append(numpy_helper.from_array(array, value.name))
            changed = True
            continue
        fixed = model.graph.input.add()
        fixed.CopyFrom(value)
        changed = _fix(fixed, array.shape) or changed
        kept.append(array)
    if len(kept) + len(constant) != len(case.inputs) or not changed:
        return None
    return Case(case.name, model, case.rtol, case.atol, kept, case.outputs)


def _fix(value: Any, shape: tuple[int, ...]) -> bool:
    tensor = value.type.tensor_type
    if value.type.WhichOneof("value") != "tensor_type":
        return False
    if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return False
    tensor.shape.CopyFrom(onnx.helper.make_tensor_type_proto(tensor.elem_type, shape).tensor_type.shape)
    return True
