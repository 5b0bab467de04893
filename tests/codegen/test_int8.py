"""int8 kernels over random shapes, scales and zero points: LiteRT's bits.

The operator table (``tests/ops``) has every operator in the shapes and options that matter, quantized by edgekit's own
recipe; here the scales are anything that LiteRT takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgekit.codegen.lower import lowered
from edgekit.graph import Graph, Quantization
from tests.codegen.frames import compared
from tests.networks.building import NONE, RELU, RELU6, RELU_N1_TO_1, Pictures
from tests.networks.streaming import scaled

Make = Callable[["Bytes"], int]


class Bytes(Pictures):
    """Results are int8; scales and zero points are drawn at random, for every other seed powers of two."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.powers = seed % 2 == 1

    def drawn(self, low: float = -8, high: float = -3) -> Quantization:
        power = self.rng.uniform(low, high)
        if self.powers:  # products and sums that lie exactly between two integers
            power = np.round(power)
        return scaled(2**power, int(self.rng.integers(-128, 128)))

    def x(self, *shape: int, quantization: Quantization | None = None) -> int:
        return self.tensor(shape, "int8", quantization=quantization or self.drawn())

    def made(self, index: int, quantization: Quantization | None = None) -> int:
        self.tensors[index].dtype = "int8"
        self.tensors[index].quantization = quantization or self.drawn()
        return index

    def size(self, most: int) -> int:
        return int(self.rng.integers(1, most + 1))

    def one(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def weighted(self, y: int, per_channel: int = -1) -> int:
        """int8 weights and an int32 bias for the operator added last."""
        operator = self.operators[-1]
        weights, bias = (self.tensors[operator.inputs[place]] for place in (1, -1))
        count = weights.shape[per_channel] if per_channel >= 0 else 1
        weights.dtype = "int8"
        weights.data = self.rng.integers(-127, 128, weights.shape).astype(np.int8).reshape(-1).view(np.uint8)
        exponents = self.rng.uniform(-9, -6, count)
        scales = 2 ** (np.round(exponents) if self.powers else exponents)
        weights.quantization = Quantization(scales.astype(np.float32), np.zeros(count, np.int64), max(0, per_channel))
        if operator.inputs[-1] >= 0:
            bias.dtype, bias.quantization = "int32", scaled(1e-5)
            bias.data = self.rng.integers(-9999, 9999, bias.shape).astype(np.int32).view(np.uint8)
        return self.made(y, self.drawn(-6, -2))


def conv(n: Bytes) -> int:
    depth, groups = n.size(5), n.one(1, 1, 2, 3)
    x = n.x(1, n.size(9) + 5, n.size(9) + 5, depth * groups)
    count = groups * n.size(4)
    activation = n.one(NONE, RELU, RELU6, RELU_N1_TO_1)
    y = n.conv(x, count, (n.size(3), n.size(3)), (n.size(2), n.size(3)), (1, n.size(2)), n.one(True, False), activation)
    operator = n.operators[-1]
    kernel = n.tensors[operator.inputs[1]]
    kernel.shape = (*kernel.shape[:3], depth)
    kernel.data = np.zeros(4 * kernel.elements, np.uint8)
    return n.weighted(y, n.one(0, -1))


def depthwise(n: Bytes) -> int:
    x = n.x(1, n.size(9) + 3, n.size(9) + 3, n.size(6))
    return n.weighted(n.depthwise(
        x, (n.size(3), n.size(3)), (n.size(2),) * 2, (1, 1), n.one(True, False), n.one(NONE, RELU6), n.size(3),
    ), 3)  # fmt: skip


def dense(n: Bytes) -> int:
    return n.weighted(
        n.dense(n.x(n.size(3), n.size(70)), n.size(9), n.one(NONE, RELU), n.one(True, False)), n.one(0, -1)
    )


def transposed(n: Bytes) -> int:
    depth, count, kernel, stride, valid = n.size(4), n.size(5), n.size(4), n.size(3), n.one(True, False)
    sizes = (n.size(5), n.size(5))
    shape = (1, *((s - 1) * stride + max(kernel, stride) if valid else s * stride for s in sizes), count)
    given = (n.ints(*shape), n.weights(count, kernel, kernel, depth, fan_in=9), n.x(1, *sizes, depth))
    bias = (n.bias(count),) if n.one(True, False) else ()
    y = n.add("TRANSPOSE_CONV", (*given, *bias), shape, options="TransposeConv", padding=int(valid), strideH=stride,
              strideW=stride)  # fmt: skip
    n.operators[-1].version = 3 if bias else 2
    if not bias:
        n.operators[-1].inputs = (*given, -1)
    n.weighted(y, 0)
    n.operators[-1].inputs = (*given, *bias)
    return y


def two(op: str) -> Make:
    def make(n: Bytes) -> int:
        shape = (n.size(4), n.size(4), n.size(9), n.size(7))
        other = tuple(s if n.one(True, True, False) else 1 for s in shape)
        activation = n.one(NONE, NONE, RELU, RELU6) if op in ("ADD", "SUB", "MUL") else NONE
        y = n.add2(op, n.x(*shape), n.x(*other), activation)
        return n.made(y)

    return make


def same(op: str) -> Make:
    """Operands and result of one scale, which LiteRT compares as they are stored."""

    def make(n: Bytes) -> int:
        q = n.drawn()
        return n.made(n.add2(op, n.x(9, 31, quantization=q), n.x(9, 31, quantization=q)), q)

    return make


def prelu(n: Bytes) -> int:
    shape = (n.size(3), n.size(5), n.size(5), n.size(9))
    slope = n.constant(n.rng.integers(-128, 128, shape[-1:]).astype(np.int8), quantization=n.drawn())
    return n.made(n.add("PRELU", (n.x(*shape), slope), shape))


def compare(op: str) -> Make:
    return lambda n: n.add(op, (n.x(7, 33), n.x(7, 33)), (7, 33), "bool")


def reduce(op: str) -> Make:
    def make(n: Bytes) -> int:
        shape = (n.size(3), n.size(12), n.size(12), n.size(9))
        axes = sorted({int(n.rng.integers(4)) for _ in range(n.size(3))})
        keep = n.one(True, False)
        made = tuple(1 if a in axes else s for a, s in enumerate(shape) if keep or a not in axes)
        x = n.x(*shape)
        y = n.add(op, (x, n.ints(*axes)), made, options="Reducer", keepDims=keep)
        alike = op != "MEAN" or n.one(True, False, False)
        return n.made(y, n.tensors[x].quantization if alike else n.drawn(-5, 3))

    return make


def matmul(n: Bytes) -> int:
    i, k, j = n.size(7), n.size(40), n.size(7)
    left, right = n.one(True, False), n.one(True, False)
    a, b = n.x(3, *((k, i) if left else (i, k))), n.x(3, *((j, k) if right else (k, j)))
    y = n.add("BATCH_MATMUL", (a, b), (3, i, j), options="BatchMatMul", adjX=left, adjY=right)
    return n.made(y, n.drawn(-6, 0))


def softmax(n: Bytes) -> int:
    shape = (n.size(9), n.size(60))
    y = n.add(
        "SOFTMAX", (n.x(*shape, quantization=n.drawn(-9, 1)),), shape, options="Softmax", beta=n.rng.uniform(0.3, 2)
    )
    return n.made(y, scaled(1 / 256, -128))


def log_softmax(n: Bytes) -> int:
    shape = (n.size(9), n.size(60))
    return n.made(n.add("LOG_SOFTMAX", (n.x(*shape, quantization=n.drawn(-9, 1)),), shape), scaled(16 / 256, 127))


def normalization(n: Bytes) -> int:
    shape = (n.size(9), n.size(60))
    y = n.add("L2_NORMALIZATION", (n.x(*shape),), shape, options="L2Norm", fusedActivationFunction=NONE)
    return n.made(y, scaled(1 / 128, 0))


def pool(op: str) -> Make:
    def make(n: Bytes) -> int:
        x = n.x(1, n.size(9) + 3, n.size(9) + 3, n.size(6))
        y = n.pool(op, x, (n.size(4), n.size(4)), (n.size(3), n.size(3)), n.one(True, False), n.one(NONE, RELU6))
        return n.made(y, n.tensors[x].quantization)

    return make


def resize(op: str, kind: str) -> Make:
    def make(n: Bytes) -> int:
        x, size = n.x(1, n.size(9), n.size(9), 2), (n.size(20), n.size(20))
        align, half = n.one((False, False), (True, False), (False, True))
        y = n.add(op, (x, n.ints(*size)), (1, *size, 2), options=kind, alignCorners=align, halfPixelCenters=half)
        n.operators[-1].version = 3
        return n.made(y, n.tensors[x].quantization)

    return make


def convert(given: str, made: str) -> Make:
    def make(n: Bytes) -> int:
        low = 128 if given == "uint8" else 0
        q, r = n.drawn(), n.drawn()
        x = n.tensor((60, 9), given, quantization=scaled(float(q.scale[0]), int(q.zero_point[0]) + low))
        y = n.add("QUANTIZE", (x,), (60, 9), made, options="Quantize")
        shift = 128 if made == "uint8" else 0
        n.tensors[y].quantization = scaled(float(r.scale[0]), int(r.zero_point[0]) + shift)
        return y

    return make


CASES: dict[str, Make] = {
    "CONV_2D": conv, "DEPTHWISE_CONV_2D": depthwise, "FULLY_CONNECTED": dense, "TRANSPOSE_CONV": transposed,
    **{op: two(op) for op in ("ADD", "SUB", "MUL", "SQUARED_DIFFERENCE")},
    "MAXIMUM": same("MAXIMUM"), "MINIMUM": same("MINIMUM"), "PRELU": prelu,
    **{op: compare(op) for op in ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL")},
    **{op: reduce(op) for op in ("MEAN", "REDUCE_MAX", "REDUCE_MIN")}, "BATCH_MATMUL": matmul,
    "SOFTMAX": softmax, "LOG_SOFTMAX": log_softmax, "L2_NORMALIZATION": normalization,
    "MAX_POOL_2D": pool("MAX_POOL_2D"), "AVERAGE_POOL_2D": pool("AVERAGE_POOL_2D"),
    "RESIZE_BILINEAR": resize("RESIZE_BILINEAR", "ResizeBilinear"),
    "RESIZE_NEAREST_NEIGHBOR": resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor"),
    **{f"QUANTIZE {a} {b}": convert(a, b) for a, b in (("int8", "int8"), ("uint8", "int8"), ("int8", "uint8"))},
}  # fmt: skip


def network(make: Make, seed: int) -> Graph:
    """Several of them side by side."""
    n = Bytes(seed)
    for _ in range(6):
        make(n)
    read = {i for o in n.operators for i in o.inputs if i >= 0}
    written = {i for o in n.operators for i in o.outputs}
    return n.all_results(*(i for i in sorted(read - written) if n.tensors[i].data is None))


@pytest.mark.parametrize("name", CASES)
def test_every_operator(name: str) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        graph = network(CASES[name], seed)
        frames = [
            [rng.integers(np.iinfo(t.dtype).min, np.iinfo(t.dtype).max + 1, t.shape).astype(t.dtype)
             for t in graph.inputs] for _ in range(2)
        ]  # fmt: skip
        compared(graph, frames)


def test_what_litert_computes_wrong_is_refused() -> None:
    """Division shifts by more than the width of a word, and negative sums become -1."""
    n = Bytes(0)
    x, y = n.x(4, 9), n.x(4, 9)
    n.made(n.add2("DIV", x, y))
    n.made(n.add("SUM", (x, n.ints(1)), (4,), options="Reducer"))
    found = lowered(n.all_results(x, y))
    assert isinstance(found, list)
    assert [one.op for one in found] == ["DIV", "SUM"]
    assert "shifts by more than 31 bits" in found[0].reason and "wrong where it is negative" in found[1].reason
