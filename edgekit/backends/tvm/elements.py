"""Rules for operators that compute each element from the elements at its place, and for new shapes and types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.tvm.layout import CLAMPS, Picture, size3
from edgekit.backends.tvm.program import Border
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering


BINARIES = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")


def binary(self: Lowering, number: int, operator: Operator) -> None:
    graph, target = self.graph, operator.outputs[0]
    fused = getattr(operator.options, "fusedActivationFunction", 0)
    out = self.make(target)
    inputs, constants, kinds, scales = [], [], [], []
    for index in operator.inputs:
        tensor = graph.tensors[index]
        if tensor.data is None:
            inputs.append(self.pictures[index])
            kinds.append("picture")
        else:
            values = tensor.array().reshape(-1)
            if self.machine.shifted and tensor.dtype == "int8":
                values = (values.astype(np.int16) + 128).astype(np.uint8)
            constants.append(values)
            kinds.append("scalar" if values.size == 1 else "channels")
        if tensor.dtype == "int8":
            scales.append(list(self.scale(index)))
    params: dict[str, Any] = {
        "shape": list(out.size), "function": operator.op.lower(), "kinds": kinds,
        "limits": list(self.limits(target, fused)),
    }  # fmt: skip
    if out.dtype != "float32":
        params |= {"scales": scales, "made": list(self.scale(target))}
    self.emit("binary", params, number, inputs, out, constants)


def mapped(self: Lowering, number: int, operator: Operator) -> None:
    given, target = self.pictures[operator.inputs[0]], operator.outputs[0]
    out = self.make(target)
    params: dict[str, Any] = {"shape": list(out.size)}
    if out.dtype == "float32":
        self.emit("map", params | {"function": operator.op.lower()}, number, [given], out)
        return
    (scale_in, zero_in), (scale_out, zero_out) = self.scale(operator.inputs[0]), self.scale(target)
    least = 0 if self.machine.shifted else -128
    real = (np.arange(least, least + 256) - zero_in) * scale_in
    wanted = np.rint(REAL[operator.op](real) / scale_out) + zero_out
    table = np.clip(wanted, least, least + 255).astype(out.dtype)
    self.emit("table", params | {"least": least}, number, [given], out, [table])


REAL: dict[str, Callable[[Any], NDArray[Any]]] = {
    "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
    "TANH": np.tanh,
    "HARD_SWISH": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
}


def reshape(self: Lowering, number: int, operator: Operator) -> None:
    given = self.flat(operator.inputs[0], number)
    size = size3(self.graph.tensors[operator.outputs[0]].shape)
    target = operator.outputs[0]
    if any(self._border(target)):
        source = Picture(given.storage, given.dtype, size, 0, 0, size)
        self.emit("map", {"shape": list(size), "function": "copy"}, number, [source], self.make(target))
        return
    self.pictures[target] = Picture(given.storage, given.dtype, size, 0, 0, size)


def padded(self: Lowering, number: int, operator: Operator) -> None:
    """The picture in a storage with a wider border."""
    graph, target = self.graph, operator.outputs[0]
    given = self.pictures[operator.inputs[0]]
    (_, _), (top, _), (left, _), _ = graph.tensors[operator.inputs[1]].array().tolist()
    out = self.make(target)
    value = float(self.scale(target)[1]) if out.dtype != "float32" else 0.0
    inner = (out.top + top, out.left + left, given.size[0], given.size[1])
    self.program.storages[out.storage].border = Border(out.outer, inner, value)
    within = Picture(out.storage, out.dtype, out.outer, inner[0], inner[1], given.size)
    self.emit("map", {"shape": list(given.size), "function": "copy"}, number, [given], within)


def convert(self: Lowering, number: int, operator: Operator) -> None:
    source, target = operator.inputs[0], operator.outputs[0]
    given, out = self.pictures[source], self.make(target)
    params: dict[str, Any] = {"shape": list(out.size), "given": given.dtype}
    if given.dtype != "float32":
        params["from"] = list(self.scale(source))
    if out.dtype != "float32":
        params["to"] = [*self.scale(target), *self.limits(target, 0)]
    self.emit("convert", params, number, [given], out)


def binary_obstacle(graph: Graph, operator: Operator) -> str:
    out = graph.tensors[operator.outputs[0]]
    if getattr(operator.options, "fusedActivationFunction", 0) not in CLAMPS:
        return "its activation is not one that clamps"
    for index in operator.inputs:
        tensor = graph.tensors[index]
        small = tensor.data is not None and tensor.elements in (1, out.shape[-1] if out.shape else 1)
        if tensor.shape != out.shape and not small:
            return "its operands have different shapes"
        if tensor.data is not None and (not small or tensor.dtype != out.dtype):
            return "its constant is larger than one value a channel"
    return "" if any(graph.tensors[i].data is None for i in operator.inputs) else "all its operands are constants"


def pad_obstacle(graph: Graph, operator: Operator) -> str:
    pads = graph.tensors[operator.inputs[1]]
    ok = pads.data is not None and pads.array().shape == (4, 2) and not pads.array()[[0, 3]].any()
    return "" if ok else "it pads other than height and width"
