"""Networks with int16 activations and int8 weights (TFLite's 16x8), one for each operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph
from tests.networks.building import RELU, RELU6, Pictures, several
from tests.networks.streaming import scaled

INT32 = 2
"""Of the schema's TensorType."""
Make = Callable[["Words"], Any]


def halves(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Values of four bits, two per byte, as TFLite stores them."""
    flat = np.append(values.reshape(-1), np.zeros(values.size % 2, np.int8)).view(np.uint8)
    return (flat[0::2] & 15) | (flat[1::2] << 4)


class Words(Pictures):
    """Results are int16 with scales drawn at random and zero points 0."""

    def x(self, *shape: int, scale: float = 0.0) -> int:
        return self.tensor(shape, "int16", quantization=scaled(scale or 2 ** self.rng.uniform(-13, -10)))

    def made(self, index: int, scale: float = 0.0, dtype: str = "int16", zero: int = 0) -> int:
        self.tensors[index].dtype = dtype
        self.tensors[index].quantization = scaled(scale or 2 ** self.rng.uniform(-12, -9), zero)
        return index

    def same(self, index: int) -> int:
        """Give the result of the last operator the scale of its input."""
        self.tensors[index].dtype = "int16"
        self.tensors[index].quantization = self.tensors[self.operators[-1].inputs[0]].quantization
        return index

    def weighted(self, index: int, wide: bool = True, per_channel: int = -1) -> int:
        """int8 weights, and a bias of 64 or 32 bits, for the operator added last."""
        from edgekit.graph import Quantization

        operator = self.operators[-1]
        place = 1
        weights = self.tensors[operator.inputs[place]]
        shape, axis = weights.shape, max(per_channel, 0)
        count = shape[axis] if per_channel >= 0 else 1
        weights.dtype = "int8"
        weights.data = self.rng.integers(-127, 128, shape).astype(np.int8).reshape(-1).view(np.uint8)
        weights.quantization = Quantization(
            self.rng.uniform(0.001, 0.01, count).astype(np.float32), np.zeros(count, np.int64), axis
        )
        last = operator.inputs[-1]
        if len(operator.inputs) > (3 if operator.op == "TRANSPOSE_CONV" else 2) and last >= 0:
            bias = self.tensors[last]
            kind = np.int64 if wide else np.int32
            bias.data = self.rng.integers(-99999, 99999, bias.shape).astype(kind).view(np.uint8)
            bias.dtype = "int64" if wide else "int32"
            if not wide:
                operator.options.quantizedBiasType = INT32
            bias.quantization = scaled(1e-6)
        # Results as large as int16 holds, so that every bit of the factors matters.
        given = self.tensors[operator.inputs[2 if operator.op == "TRANSPOSE_CONV" else 0]].quantization
        terms = weights.elements / (shape[3] if operator.op == "DEPTHWISE_CONV_2D" else shape[0])
        factor = float(given.scale[0]) * float(weights.quantization.scale.mean())
        return self.made(index, factor * 127 * np.sqrt(terms) * 2 ** self.rng.uniform(-2, 0))


def conv(wide: bool = True, activation: int = 0) -> Make:
    return lambda n: n.weighted(n.conv(n.x(1, 6, 5, 3), 4, strides=(2, 1), activation=activation), wide, 0)


def depthwise(n: Words, times: int = 1) -> int:
    return n.weighted(n.depthwise(n.x(1, 6, 5, 3), times=times), True, 3)


def dense(wide: bool = True, bias: bool = True, per_channel: int = -1) -> Make:
    return lambda n: n.weighted(n.dense(n.x(2, 9), 5, RELU, bias=bias), wide, per_channel)


def of_int4(make: Make) -> Make:
    """The same layer with weights of four bits."""

    def narrow(n: Words) -> int:
        y: int = make(n)
        weights, output = n.tensors[n.operators[-1].inputs[1]], n.tensors[y]
        weights.dtype, weights.data = "int4", halves(weights.array() >> 4)
        return n.made(y, float(output.quantization.scale[0]) / 16)

    return narrow


def transposed(wide: bool = True) -> Make:
    def make(n: Words) -> int:
        given = (n.ints(1, 8, 10, 6), n.weights(6, 3, 3, 3, fan_in=9), n.x(1, 4, 5, 3), n.bias(6))
        y = n.add("TRANSPOSE_CONV", given, (1, 8, 10, 6), options="TransposeConv", padding=0, strideH=2, strideW=2)
        n.operators[-1].version = 4
        return n.weighted(y, wide, 0)

    return make


def two(op: str, activation: int = 0) -> Make:
    def make(n: Words) -> int:
        y = n.add2(op, n.x(1, 5, 7, 10), n.x(1, 5, 7, 10), activation)
        if op in ("ADD", "SUB"):
            n.operators[-1].options.potScaleInt16 = False
        return n.made(y)

    return make


def pool(op: str) -> Make:
    def make(n: Words) -> int:
        x = n.x(1, 6, 7, 3)
        return n.made(n.pool(op, x, (3, 2), (2, 1), False, RELU6), n.tensors[x].quantization.scale[0])

    return make


def mean(*axes: int, keep: bool = False) -> Make:
    def make(n: Words) -> int:
        shape = tuple(1 if a in axes else s for a, s in enumerate((2, 5, 7, 10)) if keep or a not in axes)
        return n.made(n.add("MEAN", (n.x(2, 5, 7, 10), n.ints(*axes)), shape, options="Reducer", keepDims=keep))

    return make


def function(op: str, scale: float = 0.0) -> Make:
    return lambda n: n.made(n.add(op, (n.x(300, 7, scale=scale),), (300, 7)), 1 / 32768)


def softmax(n: Words) -> int:
    return n.made(n.add("SOFTMAX", (n.x(9, 11),), (9, 11), options="Softmax", beta=n.rng.uniform(0.5, 2)), 1 / 32768)


def softmax_of_bytes(n: Words) -> int:
    x = n.tensor((9, 11), "int8", quantization=scaled(0.1, 3))
    return n.made(n.add("SOFTMAX", (x,), (9, 11), options="Softmax", beta=1.0), 1 / 65536, zero=-32768)


def quantize(given: str, made: str, zero: int = 0) -> Make:
    def make(n: Words) -> int:
        x = n.tensor((40, 9), given, quantization=None if given == "float32" else scaled(0.003, zero))
        return n.made(n.add("QUANTIZE", (x,), (40, 9), options="Quantize"), 0.002, made, -zero)

    return make


def dequantize(n: Words) -> int:
    return n.add("DEQUANTIZE", (n.x(40, 9),), (40, 9), options="Dequantize")


def moved(op: str, shape: tuple[int, ...], *constants: Any, **options: Any) -> Make:
    def make(n: Words) -> int:
        x = n.x(1, 4, 6, 2)
        kept = [n.constant(np.asarray(c, np.int32)) for c in constants]
        y = n.made(n.add(op, (x, *kept), shape, "int16", **options), n.tensors[x].quantization.scale[0])
        n.operators[-1].version = 2 if op == "BROADCAST_TO" else 1
        return y

    return make


def joined(n: Words) -> int:
    a, b = n.x(1, 4, 3, scale=0.01), n.x(1, 2, 3, scale=0.01)
    return n.made(n.add("CONCATENATION", (a, b), (1, 6, 3), options="Concatenation", axis=1), 0.01)


def split(n: Words) -> int:
    x = n.x(2, 6, scale=0.01)
    parts = several(n, "SPLIT", (n.ints(1), x), [(2, 3), (2, 3)], "Split", ("int16", "int16"), numSplits=2)
    for part in parts:
        n.made(part, 0.01)
    return parts[0]


def by_default(op: str) -> Make:
    """The options' default: scales that are powers of two would be added by shifts."""

    def make(n: Words) -> int:
        return n.made(n.add2(op, n.x(1, 5, 7, 10), n.x(1, 5, 7, 10)))

    return make


def same_scale(op: str) -> Make:
    return lambda n: n.made(n.add2(op, n.x(1, 5, 7, 10, scale=0.01), n.x(1, 5, 7, 10, scale=0.01)), 0.01)


def matmul(n: Words) -> int:
    return n.made(n.add("BATCH_MATMUL", (n.x(2, 3, 9), n.x(2, 9, 4)), (2, 3, 4), options="BatchMatMul"))


def packed(n: Words) -> int:
    a, b = n.x(4, 3, scale=0.01), n.x(4, 3, scale=0.01)
    return n.made(n.add("PACK", (a, b), (4, 2, 3), options="Pack", valuesCount=2, axis=1), 0.01)


def unpacked(n: Words) -> int:
    parts = several(n, "UNPACK", (n.x(2, 6, scale=0.01),), [(6,), (6,)], "Unpack", ("int16", "int16"), num=2, axis=0)
    for part in parts:
        n.made(part, 0.01)
    return parts[0]


CASES: dict[str, Make] = {
    "CONV_2D": conv(), "CONV_2D int32 bias": conv(False), "CONV_2D RELU6": conv(activation=RELU6),
    "DEPTHWISE_CONV_2D": depthwise, "DEPTHWISE_CONV_2D times 3": lambda n: depthwise(n, 3),
    "CONV_2D int4": of_int4(conv(False)), "FULLY_CONNECTED int4": of_int4(dense(bias=False)),
    "FULLY_CONNECTED": dense(),
    "FULLY_CONNECTED int32 bias": dense(False), "FULLY_CONNECTED no bias": dense(bias=False),
    "FULLY_CONNECTED per channel": dense(per_channel=0), "TRANSPOSE_CONV": transposed(),
    "TRANSPOSE_CONV int32 bias": transposed(False),
    "ADD": two("ADD"), "ADD RELU": two("ADD", RELU), "SUB": two("SUB"), "MUL": two("MUL"),
    "MUL RELU6": two("MUL", RELU6),
    "MAX_POOL_2D": pool("MAX_POOL_2D"), "AVERAGE_POOL_2D": pool("AVERAGE_POOL_2D"),
    "MEAN 1 2": mean(1, 2), "MEAN keep": mean(1, 2, keep=True), "MEAN 3": mean(3), "MEAN 0 2": mean(0, 2),
    "LOGISTIC": function("LOGISTIC"), "TANH": function("TANH"), "LOGISTIC power of two": function("LOGISTIC", 2**-12),
    "TANH power of two": function("TANH", 2**-12), "LOGISTIC steep": function("LOGISTIC", 0.01),
    "TANH steep": function("TANH", 0.01), "TANH 2**-11": function("TANH", 2**-11),
    "LOGISTIC 2**-11": function("LOGISTIC", 2**-11), "LOGISTIC fine": function("LOGISTIC", 1e-5),
    "SOFTMAX": softmax, "SOFTMAX int8": softmax_of_bytes, "QUANTIZE float": quantize("float32", "int16"),
    "QUANTIZE int8": quantize("int8", "int16"), "QUANTIZE to int8": quantize("int16", "int8", 7),
    "QUANTIZE int16": quantize("int16", "int16"), "QUANTIZE to int32": quantize("int16", "int32"),
    "DEQUANTIZE": dequantize, "PAD": moved("PAD", (1, 5, 9, 2), [[0, 0], [1, 0], [1, 2], [0, 0]], options="Pad"),
    "RESHAPE": moved("RESHAPE", (8, 6), [8, 6], options="Reshape", newShape=[8, 6]),
    "TRANSPOSE": moved("TRANSPOSE", (1, 6, 4, 2), [0, 2, 1, 3], options="Transpose"),
    "SLICE": moved("SLICE", (1, 2, 3, 2), [0, 1, 2, 0], [1, 2, 3, 2], options="Slice"),
    "CONCATENATION": joined, "SPLIT": split,
    "ADD other scales": by_default("ADD"), "SUB other scales": by_default("SUB"),
    "MAXIMUM": same_scale("MAXIMUM"), "MINIMUM": same_scale("MINIMUM"),
    **{name: moved(name, (1, 4, 2), [2], options="Reducer") for name in ("REDUCE_MAX", "REDUCE_MIN")},
    "GATHER": moved("GATHER", (1, 4, 3, 2), [5, 0, 3], options="Gather", axis=2),
    "RESIZE_NEAREST_NEIGHBOR": moved("RESIZE_NEAREST_NEIGHBOR", (1, 7, 9, 2), [7, 9], options="ResizeNearestNeighbor"),
    "BATCH_MATMUL": matmul,
    "MIRROR_PAD": moved("MIRROR_PAD", (1, 6, 8, 2), [[0, 0], [1, 1], [2, 0], [0, 0]], options="MirrorPad", mode=0),
    "STRIDED_SLICE": moved("STRIDED_SLICE", (1, 2, 6, 2), [0, 0, 0, 0], [1, 4, 6, 2], [1, 2, 1, 1],
                           options="StridedSlice"),
    "TILE": moved("TILE", (1, 8, 6, 2), [1, 2, 1, 1], options="Tile"),
    "BROADCAST_TO": moved("BROADCAST_TO", (3, 4, 6, 2), [3, 4, 6, 2], options="BroadcastTo"),
    "REVERSE_V2": moved("REVERSE_V2", (1, 4, 6, 2), [2], options="ReverseV2"),
    "SPACE_TO_BATCH_ND": moved("SPACE_TO_BATCH_ND", (4, 2, 3, 2), [2, 2], [[0, 0], [0, 0]], options="SpaceToBatchND"),
    "EXPAND_DIMS": moved("EXPAND_DIMS", (1, 1, 4, 6, 2), 1, options="ExpandDims"),
    "SQUEEZE": moved("SQUEEZE", (4, 6, 2), options="Squeeze", squeezeDims=[0]),
    "PACK": packed, "UNPACK": unpacked,
}  # fmt: skip


def network(make: Make, seed: int) -> Graph:
    n = Words(seed)
    make(n)
    read = {i for o in n.operators for i in o.inputs if i >= 0}
    inputs = [i for i in sorted(read) if n.tensors[i].data is None]
    return n.all_results(*inputs)


def inputs(graph: Graph, rng: np.random.Generator) -> list[np.ndarray]:
    """Any integers; floats beyond what int16 holds, too."""
    return [
        rng.integers(np.iinfo(t.dtype).min, np.iinfo(t.dtype).max + 1, t.shape).astype(t.dtype)
        if t.dtype != "float32" else (40 * rng.normal(size=t.shape)).astype(np.float32)
        for t in graph.inputs
    ]  # fmt: skip
