"""Graph -> Program: which kernel computes each operator, on which layout of its tensors.

A tensor is a picture ``[height, width, channels]``: ``[1, h, w, c]`` as it is, any other shape as ``[1, rows, last]``.
A picture that a padded convolution reads is stored with its border, into which its producer writes, so that no kernel
pads. Bias, activation and a residual addition are part of the convolution's kernel. int8 stays integer arithmetic with
one scale a channel; where the processor multiplies unsigned by signed bytes (x86), activations are kept with 128 added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.tvm.layout import CLAMPS, Machine, Picture, as_one_row, padding_of, size3
from edgekit.backends.tvm.prepare import prepared
from edgekit.backends.tvm.program import ITEM, Border, Kernel, Program, Storage, product
from edgekit.backends.tvm.rules import LOWER, MIXED, OBSTACLES, PICTURES, TYPES
from edgekit.backends.tvm.tuned import Choices, workload
from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator, Tensor
from edgekit.graph.edit import uses

__all__ = ["LOWER", "Lowering", "Machine", "lower", "obstacle", "obstacles"]

ELEMENTWISE = {"map", "shift", "table", "convert", "binary"}
"""Templates that compute each element from the elements at the same place."""


MOST_ELEMENTS = 1 << 24
"""Of a tensor: lowering keeps the place of each element."""


CONTRADICTS = "its shapes and options contradict one another"
DAMAGED = (AttributeError, ValueError, LookupError, TypeError, ArithmeticError, AssertionError)
"""What rules stumble over in a damaged file."""


class Contradiction(ModelError):
    """An operator's shapes or options contradict one another, as in a damaged file."""

    def __init__(self, node: int, op: str) -> None:
        self.node, self.op, self.reason = node, op, CONTRADICTS
        super().__init__(f"operator {node} ({op}) cannot be compiled: {self.reason}")


def obstacle(graph: Graph, operator: Operator) -> str:
    """Why the operator cannot be lowered, in a few words; empty if it can."""
    try:
        return _obstacle(graph, operator)
    except DAMAGED:
        return CONTRADICTS


def _obstacle(graph: Graph, operator: Operator) -> str:
    if operator.op not in LOWER or operator.custom:
        return "edgekit's TVM backend has no kernel for it"
    tensors = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    flowing = [t for t in tensors if t.data is None]
    if any(size < 1 for t in tensors for size in t.shape):
        return "its shape is not known"
    if any(t.elements > MOST_ELEMENTS for t in tensors):
        return "its tensors are too large"
    types = TYPES.get(operator.op, frozenset(("float32", "int8")))
    for tensor in flowing:
        if tensor.dtype == "uint8" and tensor.has_scale and operator.op == "QUANTIZE":
            continue
        plain = tensor.dtype != "int8" and (tensor.dtype == "float32" or not tensor.has_scale)
        if tensor.dtype not in types or not (plain or (tensor.dtype == "int8" and tensor.has_scale)):
            return f"edgekit's TVM backend has no kernel for {tensor.dtype}"
        if operator.op in PICTURES and len(tensor.shape) == 4 and tensor.shape[0] != 1:
            return "its batch is not 1"
    if len({t.dtype for t in flowing}) > 1 and operator.op not in MIXED:
        return "it mixes integers and floats"
    special = OBSTACLES.get(operator.op)
    return special(graph, operator) if special else ""


def lower(graph: Graph, machine: Machine, choices: Choices = MappingProxyType({})) -> Program:
    """Lower the main subgraph; a kernel's ``node`` is an index of ``graph``.

    :param choices: what tuning found, in place of the rules' tiles and schedules.
    :raises ModelError: naming the operator that cannot be lowered; see :func:`obstacle`.
    """
    ready, nodes = prepared(graph)
    program = Lowering(ready, machine, nodes, choices).run()
    for place, kernel in enumerate(program.kernels):
        trace = choices.get(workload(kernel.template, kernel.params), {}).get("trace") if choices else None
        node = nodes[kernel.node] if kernel.node >= 0 else -1
        program.kernels[place] = replace(kernel, node=node, schedule=trace if isinstance(trace, str) else "")
    return program


def obstacles(graph: Graph) -> list[tuple[int, Operator, str]]:
    """All operators of ``graph`` that cannot be lowered even after rewriting: index, operator, why."""
    try:
        ready, nodes = prepared(graph)
    except DAMAGED:
        return [(0, graph.operators[0], CONTRADICTS)]
    found = [(node, obstacle(ready, operator)) for node, operator in zip(nodes, ready.operators, strict=True)]
    return [(node, graph.operators[node], reason) for node, reason in found if reason]


class Lowering:
    """The Program so far, and what rules need to add to it."""

    def __init__(
        self, graph: Graph, machine: Machine, nodes: Sequence[int], choices: Choices = MappingProxyType({})
    ) -> None:
        self.graph, self.machine, self.program, self.nodes = graph, machine, Program(), nodes
        self.choices = choices
        self.uses = uses(graph)
        self.pictures: dict[int, Picture] = {}
        self.folded: set[int] = set()

    def run(self) -> Program:
        graph, program = self.graph, self.program
        for index in graph.main.inputs:
            tensor = graph.tensors[index]
            kept = "uint8" if tensor.dtype == "bool" else tensor.dtype
            storage = program.add(Storage("input", tensor.nbytes, dtype=kept))
            program.inputs.append(storage)
            size = size3(tensor.shape)
            given = Picture(storage, kept, size, 0, 0, size)
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
                raise ModelError(f"operator {self.nodes[number]} ({operator.op}) cannot be compiled: {reason}")
            try:
                LOWER[operator.op](self, number, operator)
            except DAMAGED as error:
                raise Contradiction(self.nodes[number], operator.op) from error
        for index in graph.main.outputs:
            program.outputs.append(self._output(index))
        return program

    def _output(self, index: int) -> int:
        tensor, picture = self.graph.tensors[index], self.pictures[index]
        kept = "uint8" if tensor.dtype == "bool" else tensor.dtype
        storage = self.program.add(Storage("output", tensor.nbytes, dtype=kept))
        out = Picture(storage, kept, picture.size, 0, 0, picture.size)
        if tensor.dtype == "int8" and self.machine.shifted:
            self.emit("shift", {"shape": list(picture.size)}, -1, [picture], out)
        else:
            self.emit("map", {"shape": list(picture.size), "function": "copy"}, -1, [picture], out)
        return storage

    def choice(self, template: str, params: dict[str, Any]) -> Mapping[str, Any]:
        """What tuning chose for a kernel; empty where the rules decide."""
        return self.choices.get(workload(template, params), {}) if self.choices else {}

    def obstacle(self, operator: Operator) -> str:
        return obstacle(self.graph, operator)

    # Tensors

    def dtype(self, tensor: Tensor) -> str:
        """As it is stored; truth values are bytes."""
        byte = tensor.dtype == "bool" or (tensor.dtype == "int8" and self.machine.shifted)
        return "uint8" if byte else tensor.dtype

    def scale(self, index: int) -> tuple[float, int]:
        """Scale, and zero point as it is stored."""
        q = self.graph.tensors[index].quantization
        assert q is not None
        shifted = self.machine.shifted and self.graph.tensors[index].dtype == "int8"
        return float(q.scale[0]), int(q.zero_point[0]) + (128 if shifted else 0)

    def stored(self, index: int) -> NDArray[Any]:
        """A constant's values as kernels take them."""
        values = self.graph.tensors[index].array()
        if values.dtype == np.bool_:
            return values.astype(np.uint8)
        if self.machine.shifted and self.graph.tensors[index].dtype == "int8":
            return (values.astype(np.int16) + 128).astype(np.uint8)
        return values

    def limits(self, index: int, fused: int) -> tuple[float, float]:
        """The stored values that a fused activation leaves, for floats and integers."""
        low, high = CLAMPS[fused]
        if self.graph.tensors[index].dtype == "float32":
            return low, high
        scale, zero = self.scale(index)
        least, most = (0, 255) if self.dtype(self.graph.tensors[index]) == "uint8" else (-128, 127)
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
        for number, place in self.uses.get(index, ()) if self.machine.borders else ():
            operator = self.graph.operators[number]
            if place == 0 and operator.op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
                need = [max(a, b) for a, b in zip(need, padding_of(self.graph, operator), strict=True)]
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
            inputs, out = [as_one_row(p) for p in inputs], as_one_row(out)
            params = params | {"shape": list(out.size)}
        specs = {"in": [p.spec for p in inputs], "out": out.spec, "dtype": out.dtype}
        args = [p.view for p in inputs] + [self.program.constant(c) for c in constants] + [out.view]
        self.program.kernels.append(Kernel(template, {**params, **specs}, node, tuple(args)))
