"""Rules for operators that compute each element from the elements at its place, and for new shapes and types."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.tvm import padding, strided
from edgekit.backends.tvm.layout import Picture, size3
from edgekit.backends.tvm.program import Border
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering


WHOLE = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")
"""What plain integers are combined by, too."""
BINARIES = (*WHOLE, "PRELU", "FLOOR_DIV", "FLOOR_MOD", "POW")


def binary(self: Lowering, number: int, operator: Operator) -> None:
    graph, target = self.graph, operator.outputs[0]
    if not _simple(graph, operator) or graph.tensors[target].dtype not in ("float32", "int8"):
        strided.broadcast(self, number, operator)
        return
    fused = getattr(operator.options, "fusedActivationFunction", 0)
    out = self.make(target)
    inputs, constants, kinds, scales = [], [], [], []
    for index in operator.inputs:
        tensor = graph.tensors[index]
        if tensor.data is None:
            inputs.append(self.pictures[index])
            kinds.append("picture")
        else:
            values = self.stored(index).reshape(-1)
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
    alpha: dict[str, Any] = {"alpha": float(operator.options.alpha)} if operator.op == "LEAKY_RELU" else {}
    if operator.op == "GELU":
        alpha = {"approximate": bool(getattr(operator.options, "approximate", False))}
    if self.graph.tensors[target].dtype != "int8":
        name = "gelu_tanh" if alpha.pop("approximate", False) else operator.op.lower()
        self.emit("map", params | alpha | {"function": name}, number, [given], out)
        return
    (scale_in, zero_in), (scale_out, zero_out) = self.scale(operator.inputs[0]), self.scale(target)
    least = 0 if self.machine.shifted else -128
    real = (np.arange(least, least + 256) - zero_in) * scale_in
    with np.errstate(all="ignore"):  # what has no logarithm or root becomes the least value
        wanted = np.rint(np.nan_to_num(REAL[operator.op](real, **alpha), nan=-1e9) / scale_out) + zero_out
    table = np.clip(wanted, least, least + 255).astype(out.dtype)
    self.emit("table", params | {"least": least}, number, [given], out, [table])


_erf = np.vectorize(math.erf)


def _inner(x: NDArray[Any], approximate: bool) -> NDArray[Any]:
    """GELU's argument (Hendrycks and Gimpel 2016)."""
    return (2 / np.pi) ** 0.5 * (x + 0.044715 * x**3) if approximate else x / 2**0.5


REAL: dict[str, Callable[..., NDArray[Any]]] = {
    "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
    "TANH": np.tanh,
    "HARD_SWISH": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
    "RELU_N1_TO_1": lambda x: np.clip(x, -1, 1),
    "RELU_0_TO_1": lambda x: np.clip(x, 0, 1),
    "LEAKY_RELU": lambda x, alpha: np.maximum(x, 0) + alpha * np.minimum(x, 0),
    "ELU": lambda x: np.expm1(np.minimum(x, 0)) + np.maximum(x, 0),
    "GELU": lambda x, approximate: 0.5 * x * (1 + (np.tanh if approximate else _erf)(_inner(x, approximate))),
    "EXP": np.exp,
    "LOG": np.log,
    "SQRT": np.sqrt,
    "RSQRT": lambda x: 1 / np.sqrt(x),
    "ABS": np.abs,
    "NEG": np.negative,
    "SQUARE": np.square,
    "SIN": np.sin,
    "COS": np.cos,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "ROUND": np.rint,
}
"""Functions of one real value; for integers a table of all results."""


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
    """The picture in a storage with a wider border; other axes and types are filled first."""
    graph, target = self.graph, operator.outputs[0]
    pads, tensor = graph.tensors[operator.inputs[1]].array(), graph.tensors[target]
    picture = pads.shape == (4, 2) and tensor.shape[0] == 1 and tensor.dtype in ("float32", "int8")
    if not picture or pads[[0, 3]].any():
        padding.filled(self, number, operator)
        return
    given = self.pictures[operator.inputs[0]]
    (_, _), (top, _), (left, _), _ = pads.tolist()
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


def _simple(graph: Graph, operator: Operator) -> bool:
    """Whether the operands are pictures of the output's shape, single constants, or constants of a value a channel."""
    out = graph.tensors[operator.outputs[0]]
    for index in operator.inputs:
        tensor = graph.tensors[index]
        one_a_channel = bool(tensor.shape) and tensor.elements == tensor.shape[-1] == out.shape[-1]
        if tensor.data is None and tensor.shape != out.shape:
            return False
        if tensor.data is not None and tensor.elements != 1 and not one_a_channel:
            return False
    return True
