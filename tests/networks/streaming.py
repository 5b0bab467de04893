"""Networks that keep state from one inference to the next: resource variables and filters over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgekit.graph import Graph, Operator, Quantization, Subgraph, tflite
from tests.networks.building import Pictures
from tests.networks.small import Builder

KEYWORD = Path(__file__).parents[3] / "shared" / "models" / "tflite_micro" / "keyword_scrambled_8bit.tflite"


SCALE = Quantization(np.array([0.05], np.float32), np.array([-3], np.int64))


def scaled(scale: float, zero: int = 0) -> Quantization:
    return Quantization(np.array([scale], np.float32), np.array([zero], np.int64))


class Streaming(Pictures):
    """A network with resource variables; :meth:`whole` adds the subgraph that gives them their first values."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Builder()
        self.call("CALL_ONCE", "CallOnce", initSubgraphIndex=1)

    def call(self, op: str, kind: str, **fields: Any) -> None:
        options = getattr(tflite.schema(), f"{kind}OptionsT")()
        for name, value in fields.items():
            setattr(options, name, value)
        self.operators.append(Operator(op, (), (), options))

    def variable(self, name: str, initial: np.ndarray | None) -> int:
        handle = self.add("VAR_HANDLE", (), (), "resource", options="VarHandle", container="", sharedName=name)
        if initial is not None:
            first = self.first
            other = first.add("VAR_HANDLE", (), (), "resource", options="VarHandle", container="", sharedName=name)
            first.operators.append(Operator("ASSIGN_VARIABLE", (other, first.constant(initial)), ()))
        return handle

    def read(self, handle: int, shape: tuple[int, ...]) -> int:
        result = self.add("READ_VARIABLE", (handle,), shape, "int8")
        self.tensors[result].quantization = SCALE
        return result

    def assign(self, handle: int, value: int) -> None:
        self.operators.append(Operator("ASSIGN_VARIABLE", (handle, value), ()))

    def bytes_of(self, op: str, inputs: tuple[int, ...], shape: tuple[int, ...], **options: Any) -> int:
        result = self.add(op, inputs, shape, "int8", **options)
        self.tensors[result].quantization = SCALE
        return result

    def joined(self, state: int, x: int, rows: int) -> int:
        return self.bytes_of("CONCATENATION", (state, x), (1, rows, 4), options="Concatenation", axis=1)

    def last(self, x: int, rows: int) -> int:
        start = self.ints(0, self.tensors[x].shape[1] - rows, 0)
        return self.bytes_of("SLICE", (x, start, self.ints(1, rows, 4)), (1, rows, 4), options="Slice")

    def whole(self, x: int, *outputs: int) -> Graph:
        graph = self.graph((x,), outputs)
        graph.subgraphs.append(Subgraph("NoOp", self.first.tensors, self.first.operators, (), ()))
        return graph


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int8).reshape(shape)


def window(n: Streaming, x: int) -> tuple[int, ...]:
    """The usual form: the last rows are kept."""
    handle = n.variable("window", ramp(1, 3, 4))
    whole = n.joined(n.read(handle, (1, 3, 4)), x, 5)
    n.assign(handle, n.last(whole, 3))
    return (n.bytes_of("RELU", (whole,), (1, 5, 4)),)


def shown(n: Streaming, x: int) -> tuple[int, ...]:
    """What was read is an output of the network, so that it must not change when the variable does."""
    handle = n.variable("shown", ramp(1, 2, 4))
    old = n.read(handle, (1, 2, 4))
    n.assign(handle, x)
    return (old,)


def used_later(n: Streaming, x: int) -> tuple[int, ...]:
    """What was read is used after the assignment."""
    handle = n.variable("later", ramp(1, 2, 4))
    old = n.read(handle, (1, 2, 4))
    n.assign(handle, n.last(n.joined(old, x, 4), 2))
    return (n.bytes_of("RELU", (old,), (1, 2, 4)),)


def twice(n: Streaming, x: int) -> tuple[int, ...]:
    """Read, assigned, read again, assigned again; two handles of one variable."""
    handle = n.variable("twice", ramp(1, 2, 4))
    n.assign(handle, n.last(n.joined(n.read(handle, (1, 2, 4)), x, 4), 2))
    again = n.variable("twice", None)
    new = n.read(again, (1, 2, 4))
    sum_ = n.bytes_of("ADD", (new, x), (1, 2, 4), options="Add")
    n.assign(again, sum_)
    return (n.bytes_of("RELU", (n.read(handle, (1, 2, 4)),), (1, 2, 4)),)


def kept(n: Streaming, x: int) -> tuple[int, ...]:
    """A result that is moved into the variable, and read elsewhere too."""
    handle = n.variable("kept", ramp(1, 2, 4))
    part = n.last(n.joined(n.read(handle, (1, 2, 4)), x, 4), 2)
    n.assign(handle, part)
    return (n.bytes_of("RELU", (part,), (1, 2, 4)),)


def svdf(
    batch: int, rank: int, units: int, memory: int, depth: int, bias: bool, zero: int, out_zero: int, seed: int
) -> Graph:
    rng = np.random.default_rng(seed)
    n = Pictures()
    x = n.tensor((batch, depth), "int8", quantization=scaled(2 ** rng.uniform(-6, -2), zero))
    return n.graph((x,), (add_svdf(n, x, rank, units, memory, bias, out_zero, rng),))


def add_svdf(
    n: Pictures, x: int, rank: int, units: int, memory: int, bias: bool, out_zero: int, rng: np.random.Generator
) -> int:
    """An int8 SVDF after the tensor ``x``, ``[batch, depth]``."""
    batch, depth = n.tensors[x].shape
    filters = rank * units
    features = n.constant(rng.integers(-127, 128, (filters, depth)).astype(np.int8), quantization=scaled(0.01))
    times = n.constant(rng.integers(-32767, 32768, (filters, memory)).astype(np.int16), quantization=scaled(3e-5))
    added = n.constant(rng.integers(-9999, 9999, units).astype(np.int32), quantization=scaled(1e-4)) if bias else -1
    state = n.tensor(
        (batch, filters * memory), "int16", quantization=scaled(2 ** rng.uniform(-14, -9)), is_variable=True
    )
    y = n.add("SVDF", (x, features, times, added, state), (batch, units), "int8", options="SVDF", rank=rank,
              fusedActivationFunction=1)  # fmt: skip
    n.tensors[y].quantization = scaled(2 ** rng.uniform(-6, 0), out_zero)
    n.operators[-1].version = 3
    return y
