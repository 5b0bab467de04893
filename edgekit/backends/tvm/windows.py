"""Rules for windows and rows: pooling, means, softmax, resized pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.tvm import reductions
from edgekit.backends.tvm.layout import Picture
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering


def pool(self: Lowering, number: int, operator: Operator) -> None:
    o, target = operator.options, operator.outputs[0]
    given, out = self.pictures[operator.inputs[0]], self.make(target)
    pads = []
    sides = ((0, o.strideH, o.filterHeight), (1, o.strideW, o.filterWidth))
    for axis, stride, window in sides:
        total = max(0, (out.size[axis] - 1) * stride + window - given.size[axis]) if o.padding == 0 else 0
        pads.append(total // 2)
    params: dict[str, Any] = {
        "kind": "max" if operator.op == "MAX_POOL_2D" else "average", "shape": list(out.size),
        "size": list(given.size[:2]), "window": [o.filterHeight, o.filterWidth], "strides": [o.strideH, o.strideW],
        "pads": pads, "limits": list(self.limits(target, o.fusedActivationFunction)),
    }  # fmt: skip
    self.emit("pool", params, number, [given], out)


def mean(self: Lowering, number: int, operator: Operator) -> None:
    if not _over_pixels(self.graph, operator):
        reductions.reduced(self, number, operator)
        return
    target = operator.outputs[0]
    given = self.pictures[operator.inputs[0]]
    out = self.make(target)
    out = Picture(out.storage, out.dtype, (1, 1, given.size[2]), 0, 0, (1, 1, given.size[2]))
    params: dict[str, Any] = {"size": list(given.size)}
    if out.dtype != "float32":
        (scale_in, zero_in), (scale_out, zero_out) = self.scale(operator.inputs[0]), self.scale(target)
        params |= {"factor": scale_in / scale_out, "zeros": [zero_in, zero_out], "limits": self.limits(target, 0)}
    self.emit("mean", params, number, [given], out)


def softmax(self: Lowering, number: int, operator: Operator) -> None:
    target = operator.outputs[0]
    given, out = self.pictures[operator.inputs[0]], self.make(target)
    params: dict[str, Any] = {"shape": list(out.size), "beta": float(operator.options.beta)}
    constants: list[NDArray[Any]] = []
    if out.dtype != "float32":
        params["made"] = list(self.scale(target))
        step = params["beta"] * self.scale(operator.inputs[0])[0]
        constants = [np.exp(-step * np.arange(256)).astype(np.float32)]
    self.emit("softmax", params, number, [given], out, constants)


def _over_pixels(graph: Graph, operator: Operator) -> bool:
    x, axes = (graph.tensors[i] for i in operator.inputs)
    return len(x.shape) == 4 and x.shape[0] == 1 and sorted(axes.array().reshape(-1).tolist()) == [1, 2]


def nearest(self: Lowering, number: int, operator: Operator) -> None:
    """RESIZE_NEAREST_NEIGHBOR; each output row and column has one of the input's."""
    _resize(self, number, operator, "nearest")


def bilinear(self: Lowering, number: int, operator: Operator) -> None:
    _resize(self, number, operator, "bilinear")


def _resize(self: Lowering, number: int, operator: Operator, template: str) -> None:
    given = self.pictures[operator.inputs[0]]
    out = self.make(operator.outputs[0])
    constants: list[NDArray[Any]] = []
    for axis in (0, 1):
        first, second, share = places(given.size[axis], out.size[axis], operator)
        constants += [first] if template == "nearest" else [first, second, share]
    limits = list(self.limits(operator.outputs[0], 0))
    self.emit(template, {"shape": list(out.size), "limits": limits}, number, [given], out, constants)


def places(given: int, made: int, operator: Operator) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """For each output position the two input positions it lies between, and how far it is to the second.

    For RESIZE_NEAREST_NEIGHBOR the first is the nearest. Formulas: TFLite's reference_ops/resize_*.h.
    """
    o, i = operator.options, np.arange(made, dtype=np.float32)
    scale = np.float32((given - 1) / (made - 1) if o.alignCorners and made > 1 else given / made)
    half = np.float32(0.5 if o.halfPixelCenters else 0)
    if operator.op == "RESIZE_NEAREST_NEIGHBOR":
        at = (i + half) * scale
        at = np.floor(at + np.float32(0.5)) if o.alignCorners else np.floor(at)
        found = np.clip(at, 0, given - 1).astype(np.int32)
        return found, found, np.zeros(made, np.float32)
    at = (i + half) * scale - half
    first = np.maximum(np.floor(at), 0)
    second = np.minimum(np.ceil(at), given - 1)
    return first.astype(np.int32), second.astype(np.int32), (at - first).astype(np.float32)
