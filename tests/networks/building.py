"""A builder that works out shapes and draws weights; how networks are quantized, built and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgekit
from edgekit import plugins, target
from edgekit.backends import Request
from edgekit.bundle import Bundle
from edgekit.graph import Graph, Quantization, tflite
from edgekit.graph.explode import explode
from edgekit.metrics import parity
from edgekit.reference.litert import reference_tensors
from edgekit.runners import RunOptions, once
from edgekit.runners import get as get_runner
from tests.networks.small import Builder

SAMPLES = 3
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3


def along(size: int, kernel: int, stride: int, dilation: int, valid: bool) -> int:
    """Length of a window operator's output."""
    return -(-(size - (kernel - 1) * dilation if valid else size) // stride)


class Pictures(Builder):
    """Adds window operators with shapes worked out and weights drawn so that values keep their size."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def weights(self, *shape: int, fan_in: int) -> int:
        return self.constant((self.rng.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32))

    def ints(self, *values: Any) -> int:
        return self.constant(np.array(values, np.int32))

    def bias(self, count: int) -> int:
        return self.constant((0.3 * self.rng.normal(size=count)).astype(np.float32))

    def conv(
        self, x: int, count: int, kernel: tuple[int, int] = (3, 3), strides: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1), valid: bool = False, activation: int = NONE,
    ) -> int:  # fmt: skip
        batch, *size, depth = self.tensors[x].shape
        shape = (batch, *map(along, size, kernel, strides, dilation, (valid, valid)), count)
        given = (x, self.weights(count, *kernel, depth, fan_in=kernel[0] * kernel[1] * depth), self.bias(count))
        return self.add(
            "CONV_2D", given, shape, options="Conv2D", strideH=strides[0], strideW=strides[1], padding=int(valid),
            dilationHFactor=dilation[0], dilationWFactor=dilation[1], fusedActivationFunction=activation,
        )  # fmt: skip

    def depthwise(
        self, x: int, kernel: tuple[int, int] = (3, 3), strides: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1), valid: bool = False, activation: int = NONE, times: int = 1,
    ) -> int:  # fmt: skip
        batch, *size, depth = self.tensors[x].shape
        shape = (batch, *map(along, size, kernel, strides, dilation, (valid, valid)), depth * times)
        given = (x, self.weights(1, *kernel, depth * times, fan_in=kernel[0] * kernel[1]), self.bias(depth * times))
        return self.add(
            "DEPTHWISE_CONV_2D", given, shape, options="DepthwiseConv2D", strideH=strides[0], strideW=strides[1],
            padding=int(valid), dilationHFactor=dilation[0], dilationWFactor=dilation[1], depthMultiplier=times,
            fusedActivationFunction=activation,
        )  # fmt: skip

    def dense(self, x: int, count: int, activation: int = NONE, bias: bool = True, keep: bool = False) -> int:
        shape = self.tensors[x].shape
        given = (x, self.weights(count, shape[-1], fan_in=shape[-1]), self.bias(count) if bias else -1)
        return self.add(
            "FULLY_CONNECTED", given, (*shape[:-1], count) if keep else (shape[0], count), options="FullyConnected",
            fusedActivationFunction=activation, keepNumDims=keep,
        )  # fmt: skip

    def pool(
        self, op: str, x: int, window: tuple[int, int], strides: tuple[int, int], valid: bool, activation: int = NONE
    ) -> int:
        batch, h, w, depth = self.tensors[x].shape
        shape = (batch, along(h, window[0], strides[0], 1, valid), along(w, window[1], strides[1], 1, valid), depth)
        return self.add(
            op, (x,), shape, options="Pool2D", filterHeight=window[0], filterWidth=window[1], strideH=strides[0],
            strideW=strides[1], padding=int(valid), fusedActivationFunction=activation,
        )  # fmt: skip

    def add2(self, op: str, a: int, b: int, activation: int = NONE) -> int:
        shape = np.broadcast_shapes(self.tensors[a].shape, self.tensors[b].shape)
        kind = op.capitalize()
        if op in ("MAXIMUM", "MINIMUM"):
            return self.add(op, (a, b), shape, options="MaximumMinimum")
        if op in ("PRELU", "SQUARED_DIFFERENCE"):
            return self.add(op, (a, b), shape)
        return self.add(op, (a, b), shape, options=kind, fusedActivationFunction=activation)

    def reshape(self, x: int, *shape: int) -> int:
        return self.add(
            "RESHAPE", (x, self.constant(np.array(shape, np.int32))), shape, options="Reshape", newShape=list(shape)
        )

    def pad(self, x: int, *pads: tuple[int, int]) -> int:
        shape = tuple(n + a + b for n, (a, b) in zip(self.tensors[x].shape, pads, strict=True))
        return self.add("PAD", (x, self.constant(np.array(pads, np.int32))), shape, options="Pad")

    def all_results(self, *inputs: int) -> Graph:
        """The network whose outputs are all that no operator reads."""
        read = {i for o in self.operators for i in o.inputs}
        made = [i for o in self.operators for i in o.outputs if i not in read]
        return self.graph(inputs, tuple(made))


def several(
    n: Pictures, op: str, inputs: tuple[int, ...], shapes: list[tuple[int, ...]], options: str,
    dtypes: Sequence[str] = (), **fields: int,
) -> list[int]:  # fmt: skip
    """An operator with more than one output."""
    dtypes = dtypes or ["float32"] * len(shapes)
    first = n.add(op, inputs, shapes[0], dtypes[0], options=options, **fields)
    rest = [n.tensor(shape, dtype) for shape, dtype in zip(shapes[1:], dtypes[1:], strict=True)]
    n.operators[-1] = replace(n.operators[-1], outputs=(first, *rest))
    return [first, *rest]


def given(graph: Graph, seed: int = 1, samples: int = SAMPLES) -> list[NDArray[Any]]:
    """Values of all inputs, ``[samples, *shape]``: normal, or any integer."""
    rng = np.random.default_rng(seed)
    made: list[NDArray[Any]] = []
    for tensor in graph.inputs:
        shape = (samples, *tensor.shape)
        if tensor.dtype == "float32":
            made.append(rng.normal(size=shape).astype(np.float32))
        else:
            limits = np.iinfo(tensor.dtype)
            made.append(rng.integers(limits.min, limits.max + 1, shape).astype(tensor.dtype))
    return made


def quantized(graph: Graph, folder: Path) -> Graph:
    """The network in int8, by edgekit's own recipe."""
    folder.mkdir()
    tflite.write(graph, folder / "net.tflite")
    names = [t.name for t in graph.inputs]
    values = given(graph, samples=16)
    key = dict(zip(names, values, strict=True)) if len(names) > 1 else {"x": values[0]}
    np.savez(folder / "data.npz", **key)
    made = edgekit.compile(
        folder / "net.tflite", targets=["host"], recipe="int8", backend="null", data=str(folder / "data.npz"),
        out=folder,
    )  # fmt: skip
    return tflite.read(made[0].path / "model.tflite")


@dataclass(frozen=True)
class Built:
    """A Graph compiled by itself, without proof."""

    bundle: Bundle

    def run(self, inputs: Sequence[NDArray[Any]], runner: str = "host") -> list[NDArray[Any]]:
        return once(get_runner(runner), self.bundle, inputs, RunOptions()).outputs


def build(graph: Graph, folder: Path, board: str = "host") -> Built:
    """Compile with TVM into ``folder``."""
    (folder / "artifact").mkdir(parents=True)
    tflite.write(graph, folder / "model.tflite")
    backend = plugins.get("backends", "tvm")
    request = Request(folder / "model.tflite", folder / "artifact")
    artifact = backend.build(backend.plan(graph, target.load(board)), request)
    return Built(Bundle(folder, {"target": board, "backend": "tvm", "execution": artifact.execution.json()}))


def check_operators(graph: Graph, folder: Path, board: str = "host") -> None:
    """Every operator by itself, fed with the reference's values, computes what the reference kernel does."""
    parts = explode(graph)
    assert parts is not None and len(parts.graph.operators) == len(graph.operators)
    tflite.write(graph, folder / "whole.tflite")
    inputs = given(graph)
    values = reference_tensors(folder / "whole.tflite", inputs) | dict(zip(graph.main.inputs, inputs, strict=True))
    built = build(parts.graph, folder / "apart", board)
    outputs = built.run([values[i] for i in parts.inputs], "host" if board == "host" else "emulator")
    rows = parity.compare_operators(graph, parts.operators, parts.outputs, [values[i] for i in parts.outputs], outputs)
    wrong = [_words(graph, row.index, row) for row in rows if not row.ok]
    assert not wrong, "\n".join(wrong)


def _words(graph: Graph, number: int, row: Any) -> str:
    operator = graph.operators[number]
    shapes = [graph.tensors[i].shape for i in (*operator.inputs, *operator.outputs) if i >= 0]
    return f"{row} {shapes} {operator.options and vars(operator.options)}"


def check_whole(graph: Graph, folder: Path, lsb: int) -> None:
    """The network with everything folded, against the reference: floats within 1e-4, integers within ``lsb``."""
    tflite.write(graph, folder / "whole.tflite")
    inputs = given(graph)
    values = reference_tensors(folder / "whole.tflite", inputs) | dict(zip(graph.main.inputs, inputs, strict=True))
    outputs = build(graph, folder / "whole").run(inputs)
    wrong = []
    for index, found in zip(graph.main.outputs, outputs, strict=True):
        wanted = values[index]
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        assert np.unique(wanted).size > 1, f"{graph.tensors[index].name} says nothing: {np.unique(wanted)}"
        if found.dtype.kind in "ib":
            worst = float(np.abs(found.astype(int) - wanted.astype(int)).max())
            limit = float(lsb if found.dtype == np.int8 else 0)
        else:
            worst, limit = float(np.abs(found - wanted).max()), 1e-4 * float(np.abs(wanted).max())
        if not worst <= limit:
            wrong.append(f"{graph.tensors[index].name} {wanted.shape}: off by {worst}")
    assert not wrong, "\n".join(wrong)


def as_integers(graph: Graph, rng: np.random.Generator) -> Graph:
    """Any scales: nothing here runs."""
    for tensor in graph.tensors:
        if tensor.data is not None and tensor.dtype == "float32":
            whole = np.clip(tensor.array() * 50, -127, 127)
            bias = len(tensor.shape) == 1
            tensor.data = whole.astype(np.int32 if bias else np.int8).reshape(-1).view(np.uint8)
            tensor.dtype = "int32" if bias else "int8"
        if tensor.dtype in ("float32", "int8"):
            zero = 0 if tensor.data is not None else int(rng.integers(-128, 128))
            tensor.dtype = "int8"
            tensor.quantization = Quantization(np.array([0.05], np.float32), np.array([zero], np.int64), 0)
    for operator in graph.operators:
        if operator.op == "PAD":  # moves integers as they are
            graph.tensors[operator.outputs[0]].quantization = graph.tensors[operator.inputs[0]].quantization
    return graph
