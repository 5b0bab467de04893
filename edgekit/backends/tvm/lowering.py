"""Graph -> Program: which kernel computes each operator, on which layout of its tensors.

A tensor is a picture ``[height, width, channels]``: ``[1, h, w, c]`` as it is, any other shape as ``[1, rows, last]``.
A picture that a padded convolution reads is stored with its border, into which its producer writes, so that no kernel
pads. Bias, activation and a residual addition are part of the convolution's kernel. int8 stays integer arithmetic with
one scale a channel; where the processor multiplies unsigned by signed bytes (x86), activations are kept with 128 added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.tvm.program import ITEM, Border, Kernel, Program, Storage, View, product
from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator, Tensor
from edgekit.graph.edit import uses

INFINITE = 3.0e38
DOT_LANES = {"vnni": (8, 16), "sdot": (4,)}
"""Outputs of one dot product instruction."""
ELEMENTWISE = {"map", "shift", "table", "convert", "binary"}
"""Templates that compute each element from the elements at the same place."""
_CLAMPS = {0: (-INFINITE, INFINITE), 1: (0.0, INFINITE), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""Fused activations by the schema's ActivationFunctionType: the range of real values."""


@dataclass(frozen=True)
class Machine:
    """What the templates are made for.

    :param lanes: 32-bit lanes of a vector. :param registers: vector registers.
    :param dot: ``vnni`` (unsigned by signed bytes), ``sdot``, or "" for plain multiplications.
    """

    target: dict[str, Any]
    lanes: int
    registers: int
    dot: str = ""

    @property
    def shifted(self) -> bool:
        return self.dot == "vnni"


@dataclass(frozen=True)
class Picture:
    """Where a tensor lies: ``outer`` ``(h, w, c)`` of the storage, and the picture's corner and size in it."""

    storage: int
    dtype: str
    outer: tuple[int, int, int]
    top: int
    left: int
    size: tuple[int, int, int]

    @property
    def view(self) -> View:
        return View(self.storage, self.outer, self.dtype)

    @property
    def dense(self) -> bool:
        return self.outer == self.size

    @property
    def spec(self) -> list[int]:
        """What a template needs: the outer shape and the corner."""
        return [*self.outer, self.top, self.left]


def obstacle(graph: Graph, operator: Operator) -> str:
    """Why the operator cannot be lowered, in a few words; empty if it can."""
    if operator.op not in LOWER or operator.custom:
        return "edgekit's TVM backend has no kernel for it"
    tensors = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    flowing = [t for t in tensors if t.data is None]
    for tensor in flowing:
        if tensor.dtype not in ("float32", "int8") or (tensor.dtype == "int8" and not tensor.has_scale):
            return f"edgekit's TVM backend has no kernel for {tensor.dtype}"
        if len(tensor.shape) == 4 and tensor.shape[0] != 1:
            return "its batch is not 1"
    if len({t.dtype for t in flowing}) > 1 and operator.op not in ("QUANTIZE", "DEQUANTIZE"):
        return "it mixes integers and floats"
    special = _OBSTACLES.get(operator.op)
    return special(graph, operator) if special else ""


def lower(graph: Graph, machine: Machine) -> Program:
    """Lower the main subgraph.

    :raises ModelError: naming the operator that cannot be lowered; see :func:`obstacle`.
    """
    return _Lowering(graph, machine).run()


def size3(shape: Sequence[int]) -> tuple[int, int, int]:
    """A tensor's shape as a picture's."""
    if len(shape) == 4 and shape[0] == 1:
        return shape[1], shape[2], shape[3]
    return 1, product(shape[:-1]), shape[-1] if shape else 1


class _Lowering:
    def __init__(self, graph: Graph, machine: Machine) -> None:
        self.graph, self.machine, self.program = graph, machine, Program()
        self.uses = uses(graph)
        self.pictures: dict[int, Picture] = {}
        self.folded: set[int] = set()

    def run(self) -> Program:
        graph, program = self.graph, self.program
        for index in graph.main.inputs:
            tensor = graph.tensors[index]
            storage = program.add(Storage("input", tensor.nbytes, dtype=tensor.dtype))
            program.inputs.append(storage)
            size = size3(tensor.shape)
            given = Picture(storage, tensor.dtype, size, 0, 0, size)
            made = self.make(index, channels=self._channels(index))
            if tensor.dtype == "int8" and self.machine.shifted:
                self.emit("shift", {"shape": list(size)}, -1, [given], made)
            elif made.dense:
                self.pictures[index] = given
            else:
                self.emit("map", {"shape": list(size), "function": "copy"}, -1, [given], made)
        for number, operator in enumerate(graph.operators):
            if number in self.folded:
                continue
            if reason := obstacle(graph, operator):
                raise ModelError(f"operator {number} ({operator.op}) cannot be compiled: {reason}")
            LOWER[operator.op](self, number, operator)
        for index in graph.main.outputs:
            program.outputs.append(self._output(index))
        return program

    def _output(self, index: int) -> int:
        tensor, picture = self.graph.tensors[index], self.pictures[index]
        storage = self.program.add(Storage("output", tensor.nbytes, dtype=tensor.dtype))
        out = Picture(storage, tensor.dtype, picture.size, 0, 0, picture.size)
        if tensor.dtype == "int8" and self.machine.shifted:
            self.emit("shift", {"shape": list(picture.size)}, -1, [picture], out)
        else:
            self.emit("map", {"shape": list(picture.size), "function": "copy"}, -1, [picture], out)
        return storage

    # Tensors

    def dtype(self, tensor: Tensor) -> str:
        return "uint8" if tensor.dtype == "int8" and self.machine.shifted else tensor.dtype

    def scale(self, index: int) -> tuple[float, int]:
        """Scale, and zero point as it is stored."""
        q = self.graph.tensors[index].quantization
        assert q is not None
        return float(q.scale[0]), int(q.zero_point[0]) + (128 if self.machine.shifted else 0)

    def limits(self, index: int, fused: int) -> tuple[float, float]:
        """The stored values that a fused activation leaves, for floats and integers."""
        low, high = _CLAMPS[fused]
        if self.graph.tensors[index].dtype == "float32":
            return low, high
        scale, zero = self.scale(index)
        least, most = (0, 255) if self.machine.shifted else (-128, 127)
        return max(least, round(max(low / scale, -1e6)) + zero), min(most, round(min(high / scale, 1e6)) + zero)

    def make(self, index: int, channels: int | None = None) -> Picture:
        """Place a tensor that a kernel is about to write, with the border its readers need."""
        tensor = self.graph.tensors[index]
        size = size3(tensor.shape)
        top, left, bottom, right = self._border(index)
        outer = (top + size[0] + bottom, left + size[1] + right, channels or size[2])
        dtype = self.dtype(tensor)
        border = None
        if outer[:2] != size[:2]:
            value = float(self.scale(index)[1]) if tensor.dtype == "int8" else 0.0
            border = Border(outer, (top, left, size[0], size[1]), value)
        storage = self.program.add(Storage("arena", product(outer) * ITEM[dtype], border=border, dtype=dtype))
        self.pictures[index] = Picture(storage, dtype, outer, top, left, size)
        return self.pictures[index]

    def flat(self, index: int, node: int) -> Picture:
        """The tensor without a border, copied if need be."""
        picture = self.pictures[index]
        if picture.dense:
            return picture
        storage = self.program.add(Storage("arena", product(picture.size) * ITEM[picture.dtype], dtype=picture.dtype))
        dense = Picture(storage, picture.dtype, picture.size, 0, 0, picture.size)
        self.emit("map", {"shape": list(picture.size), "function": "copy"}, node, [picture], dense)
        return dense

    def _border(self, index: int) -> tuple[int, int, int, int]:
        """Top, left, bottom, right: the most that any reader's padding needs."""
        need = [0, 0, 0, 0]
        for number, place in self.uses.get(index, ()):
            operator = self.graph.operators[number]
            if place == 0 and operator.op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
                need = [max(a, b) for a, b in zip(need, _pads(self.graph, operator), strict=True)]
        return need[0], need[1], need[2], need[3]

    def _channels(self, index: int) -> int | None:
        """Channels of a network's input as stored: a multiple of four where dot products read four bytes at once."""
        count = size3(self.graph.tensors[index].shape)[2]
        readers = [self.graph.operators[n].op for n, _ in self.uses.get(index, ())]
        if self.machine.dot and self.graph.tensors[index].dtype == "int8" and set(readers) == {"CONV_2D"}:
            return -(-count // 4) * 4
        return None

    def emit(
        self, template: str, params: dict[str, Any], node: int, inputs: Sequence[Picture], out: Picture,
        constants: Sequence[NDArray[Any]] = (),
    ) -> None:  # fmt: skip
        if (
            template in ELEMENTWISE
            and all(p.dense for p in (*inputs, out))
            and "channels" not in params.get("kinds", ())
        ):
            inputs, out = [_as_one_row(p) for p in inputs], _as_one_row(out)
            params = params | {"shape": list(out.size)}
        specs = {"in": [p.spec for p in inputs], "out": out.spec, "dtype": out.dtype}
        args = [p.view for p in inputs] + [self.program.constant(c) for c in constants] + [out.view]
        self.program.kernels.append(Kernel(template, {**params, **specs}, node, tuple(args)))


def _pads(graph: Graph, operator: Operator) -> tuple[int, int, int, int]:
    """Top, left, bottom, right padding of a convolution (TFLite's SAME puts the odd one at the end)."""
    o = operator.options
    if o.padding != 0:
        return 0, 0, 0, 0
    x, w, y = (graph.tensors[i].shape for i in (operator.inputs[0], operator.inputs[1], operator.outputs[0]))
    found = []
    for axis, stride, dilation in ((1, o.strideH, o.dilationHFactor), (2, o.strideW, o.dilationWFactor)):
        total = max(0, (y[axis] - 1) * stride + (w[axis] - 1) * dilation + 1 - x[axis])
        found.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = found
    return top, left, bottom, right


def tile(width: int, channels: int, machine: Machine) -> tuple[int, int, int]:
    """Pixels and channels of a register tile, and lanes: as many accumulators as registers allow, fewest loads.

    Both divide their dimension, so that no tile is cut.
    """
    best, most = (1, 1, 1), -1.0
    for lanes in _divisors(channels, machine.lanes):
        for vectors in range(1, 5):
            if channels % (lanes * vectors):
                continue
            for pixels in _divisors(width, 16):
                accumulators = pixels * vectors
                if accumulators + vectors + 1 > machine.registers:
                    continue
                # Work for each load: a tile loads `vectors` weights and broadcasts `pixels` values.
                score = lanes * accumulators / (vectors + 0.5 * pixels) * (1.0 if lanes == machine.lanes else 0.8)
                if score > most:
                    best, most = (pixels, lanes * vectors, lanes), score
    return best


def _divisors(number: int, most: int) -> list[int]:
    return [d for d in range(1, min(number, most) + 1) if number % d == 0]


def _convolution(self: _Lowering, number: int, operator: Operator) -> None:
    graph, o = self.graph, operator.options
    dense = operator.op == "FULLY_CONNECTED"
    source, weights = operator.inputs[0], graph.tensors[operator.inputs[1]].array()
    if dense:
        weights = weights.reshape(weights.shape[0], 1, 1, weights.shape[1])
        given = self.flat(source, number)
        rows = product(given.size) // weights.shape[3]
        size = (1, rows, weights.shape[3])
        given = Picture(given.storage, given.dtype, size, 0, 0, size)
        pads, steps = (0, 0), (1, 1, 1, 1)
    else:
        given = self.pictures[source]
        top, left, _, _ = _pads(graph, operator)
        pads, steps = (top, left), (o.strideH, o.strideW, o.dilationHFactor, o.dilationWFactor)
    target, residual = _residual(self, number, operator)
    out = self.make(target)
    if dense and out.size[:2] != (1, rows):
        out = Picture(out.storage, out.dtype, (1, rows, weights.shape[0]), 0, 0, (1, rows, weights.shape[0]))
    height, width = out.size[:2]
    flattened = weights.shape[1:3] == (1, 1) and steps[:2] == (1, 1) and given.dense and out.dense and height > 1
    if flattened and (residual is None or residual.dense):  # a plain matrix product: pixels are rows
        given, out = _as_rows(given), _as_rows(out)
        residual = _as_rows(residual) if residual else None
        height, width = 1, height * width
    corner = [given.top - pads[0], given.left - pads[1]]
    count, kh, kw, depth = weights.shape
    pixels, channels, lanes = tile(width, count, self.machine)
    params: dict[str, Any] = {
        "shape": [height, width, count], "kernel": [kh, kw, given.outer[2] if not dense else depth],
        "steps": list(steps), "corner": corner, "tile": [pixels, channels, lanes],
        "residual": residual is not None,
    }  # fmt: skip
    weights = np.pad(weights, ((0, 0), (0, 0), (0, 0), (0, params["kernel"][2] - depth)))
    blocks = weights.reshape(count // channels, channels, kh, kw, -1).transpose(0, 2, 3, 4, 1)
    inputs = [given, residual] if residual else [given]
    if out.dtype == "float32":
        bias = _bias(graph, operator, count).astype(np.float32)
        low, high = self.limits(target, _fused(graph, operator, target, residual))
        params |= {"low": low, "high": high}
        self.emit("conv", params, number, inputs, out, [blocks, bias])
        return
    extra = _integers(self, operator, weights, target, residual is not None)
    params |= extra["params"]
    if lanes in DOT_LANES.get(self.machine.dot, ()) and params["kernel"][2] % 4 == 0:
        params["dot"] = self.machine.dot
        n, h, w, k, c = blocks.shape
        blocks = blocks.reshape(n, h, w, k // 4, 4, c).transpose(0, 1, 2, 3, 5, 4)
    self.emit("conv_int8", params, number, inputs, out, [blocks, extra["bias"], extra["scale"]])


def _as_one_row(picture: Picture) -> Picture:
    size = (1, 1, product(picture.size))
    return Picture(picture.storage, picture.dtype, size, 0, 0, size)


def _as_rows(picture: Picture) -> Picture:
    size = (1, picture.size[0] * picture.size[1], picture.size[2])
    return Picture(picture.storage, picture.dtype, size, 0, 0, size)


def _residual(self: _Lowering, number: int, operator: Operator) -> tuple[int, Picture | None]:
    """If an addition is all that reads the output, and its other side is known: the addition's output, that side."""
    made, graph = operator.outputs[0], self.graph
    readers = self.uses.get(made, [])
    if len(readers) != 1 or made in graph.main.outputs or operator.options.fusedActivationFunction:
        return made, None
    after, place = readers[0]
    add = graph.operators[after]
    if add.op != "ADD" or len(set(add.inputs)) != 2:
        return made, None
    other = add.inputs[1 - place]
    alike = all(graph.tensors[i].shape == graph.tensors[made].shape for i in (other, add.outputs[0]))
    if other not in self.pictures or not alike or len(graph.tensors[made].shape) != 4 or obstacle(graph, add):
        return made, None
    self.folded.add(after)
    return add.outputs[0], self.pictures[other]


def _fused(graph: Graph, operator: Operator, target: int, residual: Picture | None) -> int:
    if residual is None:
        return int(operator.options.fusedActivationFunction)
    add = next(o for o in graph.operators if target in o.outputs)
    return int(add.options.fusedActivationFunction)


def _bias(graph: Graph, operator: Operator, count: int) -> NDArray[Any]:
    index = operator.inputs[2] if len(operator.inputs) > 2 else -1
    return graph.tensors[index].array() if index >= 0 else np.zeros(count, np.int32)


def _integers(
    self: _Lowering, operator: Operator, weights: NDArray[Any], target: int, residual: bool
) -> dict[str, Any]:
    """Bias with the zero point's part, scale a channel, limits; and for a residual the addition's factors.

    ``q = clamp(round(acc * scale[c]) + zero)``; with a residual r: ``clamp(round((q - zero) ka + (r - zr) kb) + z2)``.
    """
    graph, made, axis = self.graph, operator.outputs[0], tuple(range(1, weights.ndim))
    quantization = graph.tensors[operator.inputs[1]].quantization
    assert quantization is not None
    scale_in, zero_in = self.scale(operator.inputs[0])
    scale_out, zero_out = self.scale(made)
    count = weights.shape[0]
    bias = _bias(graph, operator, count).astype(np.int64) - zero_in * weights.astype(np.int64).sum(axis)
    scale = np.broadcast_to(scale_in * quantization.scale.astype(np.float64) / scale_out, count).astype(np.float32)
    low, high = self.limits(made, operator.options.fusedActivationFunction)
    params: dict[str, Any] = {"zero": zero_out, "low": low, "high": high}
    if residual:
        add = next(o for o in graph.operators if target in o.outputs)
        other = next(i for i in add.inputs if i != made)
        (scale_r, zero_r), (scale_2, zero_2) = self.scale(other), self.scale(target)
        low, high = self.limits(target, add.options.fusedActivationFunction)
        params["add"] = [scale_out / scale_2, scale_r / scale_2, zero_r, zero_2, low, high]
    return {"bias": bias.astype(np.int32), "scale": scale, "params": params}


def _depthwise(self: _Lowering, number: int, operator: Operator) -> None:
    graph, o = self.graph, operator.options
    given, weights = self.pictures[operator.inputs[0]], graph.tensors[operator.inputs[1]].array()[0]
    top, left, _, _ = _pads(graph, operator)
    target = operator.outputs[0]
    out = self.make(target)
    lanes = tile(out.size[1], out.size[2], self.machine)[2]
    params: dict[str, Any] = {
        "shape": list(out.size), "kernel": list(weights.shape[:2]), "corner": [given.top - top, given.left - left],
        "steps": [o.strideH, o.strideW, o.dilationHFactor, o.dilationWFactor],
        "tile": [max(_divisors(out.size[1], 8)), lanes, lanes],
    }  # fmt: skip
    if out.dtype == "float32":
        low, high = self.limits(target, o.fusedActivationFunction)
        bias = _bias(graph, operator, out.size[2]).astype(np.float32)
        self.emit("depthwise", params | {"low": low, "high": high}, number, [given], out, [weights, bias])
        return
    extra = _integers(self, operator, weights.transpose(2, 0, 1), target, False)
    constants = [weights.astype(np.int16), extra["bias"], extra["scale"]]
    self.emit("depthwise_int8", params | extra["params"], number, [given], out, constants)


def _pool(self: _Lowering, number: int, operator: Operator) -> None:
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


def _mean(self: _Lowering, number: int, operator: Operator) -> None:
    target = operator.outputs[0]
    given = self.pictures[operator.inputs[0]]
    out = self.make(target)
    out = Picture(out.storage, out.dtype, (1, 1, given.size[2]), 0, 0, (1, 1, given.size[2]))
    params: dict[str, Any] = {"size": list(given.size)}
    if out.dtype != "float32":
        (scale_in, zero_in), (scale_out, zero_out) = self.scale(operator.inputs[0]), self.scale(target)
        params |= {"factor": scale_in / scale_out, "zeros": [zero_in, zero_out], "limits": self.limits(target, 0)}
    self.emit("mean", params, number, [given], out)


def _binary(self: _Lowering, number: int, operator: Operator) -> None:
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


def _map(self: _Lowering, number: int, operator: Operator) -> None:
    given, target = self.pictures[operator.inputs[0]], operator.outputs[0]
    out = self.make(target)
    params: dict[str, Any] = {"shape": list(out.size)}
    if out.dtype == "float32":
        self.emit("map", params | {"function": operator.op.lower()}, number, [given], out)
        return
    (scale_in, zero_in), (scale_out, zero_out) = self.scale(operator.inputs[0]), self.scale(target)
    least = 0 if self.machine.shifted else -128
    real = (np.arange(least, least + 256) - zero_in) * scale_in
    wanted = np.rint(_REAL[operator.op](real) / scale_out) + zero_out
    table = np.clip(wanted, least, least + 255).astype(out.dtype)
    self.emit("table", params | {"least": least}, number, [given], out, [table])


_REAL: dict[str, Callable[[Any], NDArray[Any]]] = {
    "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
    "TANH": np.tanh,
    "HARD_SWISH": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
}


def _softmax(self: _Lowering, number: int, operator: Operator) -> None:
    target = operator.outputs[0]
    given, out = self.pictures[operator.inputs[0]], self.make(target)
    params: dict[str, Any] = {"shape": list(out.size), "beta": float(operator.options.beta)}
    if out.dtype != "float32":
        params |= {"scales": [self.scale(operator.inputs[0])[0], *self.scale(target)]}
    self.emit("softmax", params, number, [given], out)


def _reshape(self: _Lowering, number: int, operator: Operator) -> None:
    given = self.flat(operator.inputs[0], number)
    size = size3(self.graph.tensors[operator.outputs[0]].shape)
    target = operator.outputs[0]
    if any(self._border(target)):
        source = Picture(given.storage, given.dtype, size, 0, 0, size)
        self.emit("map", {"shape": list(size), "function": "copy"}, number, [source], self.make(target))
        return
    self.pictures[target] = Picture(given.storage, given.dtype, size, 0, 0, size)


def _pad(self: _Lowering, number: int, operator: Operator) -> None:
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


def _convert(self: _Lowering, number: int, operator: Operator) -> None:
    source, target = operator.inputs[0], operator.outputs[0]
    given, out = self.pictures[source], self.make(target)
    params: dict[str, Any] = {"shape": list(out.size), "given": given.dtype}
    if given.dtype != "float32":
        params["from"] = list(self.scale(source))
    if out.dtype != "float32":
        params["to"] = [*self.scale(target), *self.limits(target, 0)]
    self.emit("convert", params, number, [given], out)


LOWER: dict[str, Callable[[_Lowering, int, Operator], None]] = {
    "CONV_2D": _convolution, "FULLY_CONNECTED": _convolution, "DEPTHWISE_CONV_2D": _depthwise,
    "MAX_POOL_2D": _pool, "AVERAGE_POOL_2D": _pool, "MEAN": _mean, "SOFTMAX": _softmax,
    "ADD": _binary, "SUB": _binary, "MUL": _binary, "MAXIMUM": _binary, "MINIMUM": _binary,
    "RELU": _map, "RELU6": _map, "LOGISTIC": _map, "TANH": _map, "HARD_SWISH": _map,
    "RESHAPE": _reshape, "SQUEEZE": _reshape, "EXPAND_DIMS": _reshape, "PAD": _pad,
    "QUANTIZE": _convert, "DEQUANTIZE": _convert,
}  # fmt: skip
"""Every operator that can be compiled."""


def _constant_weights(graph: Graph, operator: Operator) -> str:
    tensor = graph.tensors[operator.inputs[1]]
    given = graph.tensors[operator.inputs[0]].dtype
    if tensor.data is None or tensor.sparsity is not None:
        return "its weights are not constant"
    if tensor.dtype != given:
        return f"its weights are {tensor.dtype}, its input is {given}"
    if operator.options.fusedActivationFunction not in _CLAMPS:
        return "its activation is not one that clamps"
    if operator.op == "CONV_2D" and graph.tensors[operator.inputs[0]].shape[3] != tensor.shape[3]:
        return "it is a grouped convolution"
    one = operator.op == "DEPTHWISE_CONV_2D" and graph.tensors[operator.inputs[0]].shape[3] != tensor.shape[3]
    return "it has a channel multiplier" if one else ""


def _over_pixels(graph: Graph, operator: Operator) -> str:
    x, axes = (graph.tensors[i] for i in operator.inputs)
    ok = axes.data is not None and len(x.shape) == 4 and sorted(axes.array().reshape(-1).tolist()) == [1, 2]
    return "" if ok else "it is not over height and width"


def _same_shape(graph: Graph, operator: Operator) -> str:
    out = graph.tensors[operator.outputs[0]]
    if getattr(operator.options, "fusedActivationFunction", 0) not in _CLAMPS:
        return "its activation is not one that clamps"
    for index in operator.inputs:
        tensor = graph.tensors[index]
        small = tensor.data is not None and tensor.elements in (1, out.shape[-1] if out.shape else 1)
        if tensor.shape != out.shape and not small:
            return "its operands have different shapes"
        if tensor.data is not None and (not small or tensor.dtype != out.dtype):
            return "its constant is larger than one value a channel"
    return "" if any(graph.tensors[i].data is None for i in operator.inputs) else "all its operands are constants"


def _pad_obstacle(graph: Graph, operator: Operator) -> str:
    pads = graph.tensors[operator.inputs[1]]
    ok = pads.data is not None and pads.array().shape == (4, 2) and not pads.array()[[0, 3]].any()
    return "" if ok else "it pads other than height and width"


_OBSTACLES: dict[str, Callable[[Graph, Operator], str]] = {
    "CONV_2D": _constant_weights, "FULLY_CONNECTED": _constant_weights, "DEPTHWISE_CONV_2D": _constant_weights,
    "MEAN": _over_pixels, "PAD": _pad_obstacle,
    **dict.fromkeys(("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"), _same_shape),
}  # fmt: skip
