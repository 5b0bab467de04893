"""Networks of many random int8 operators side by side, each of its own shapes and scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.tables import FUNCTIONS
from edgekit.graph import Graph, Quantization
from tests.networks.building import Pictures, along
from tests.networks.words import halves
from tests.ops.cases import RESIZES, scaled

FIXED = {
    "LOGISTIC": (1 / 256, -128),
    "TANH": (1 / 128, 0),
    "LOG_SOFTMAX": (16 / 256, 127),
    "L2_NORMALIZATION": (1 / 128, 0),
}
"""Scales that TFLite demands of results."""


class Mixture(Pictures):
    """Adds random operators; ``inputs``: the network's. Scales are powers of two for every other seed."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.powers = seed % 2 == 1
        self.inputs: list[int] = []

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def one_of(self, *choices: Any) -> Any:
        return choices[self.number(0, len(choices) - 1)]

    def scale(self) -> tuple[float, int]:
        """A scale and a zero point, extreme ones among them."""
        zero = self.one_of(-128, 127, 0, self.number(-128, 127))
        if self.powers:
            return 2.0 ** -self.number(1, 6), zero
        return float(np.exp(self.rng.uniform(-6, 0))), zero

    def given(self, *shape: int, scale: tuple[float, int] | None = None, dtype: str = "int8") -> int:
        """An input of the network."""
        quantization = scaled(*(scale or self.scale())) if dtype in ("int8", "uint8") else None
        self.inputs.append(self.tensor(shape, dtype, quantization=quantization))
        return self.inputs[-1]

    def constant8(self, *shape: int, scale: tuple[float, int] | None = None) -> int:
        values = self.rng.integers(-128, 128, shape).astype(np.int8)
        return self.constant(values, quantization=scaled(*(scale or self.scale())))

    def same(self, x: int) -> tuple[float, int]:
        quantization = self.tensors[x].quantization
        assert quantization is not None
        return float(quantization.scale[0]), int(quantization.zero_point[0])

    def made(self, op: str, inputs: tuple[int, ...], shape: Sequence[int], scale: tuple[float, int] | None = None,
             dtype: str = "int8", version: int = 1, **options: Any) -> int:  # fmt: skip
        y = self.add(op, inputs, tuple(shape), dtype, **options)
        if dtype in ("int8", "uint8"):
            self.tensors[y].quantization = scaled(*(scale or self.scale()))
        self.operators[-1] = replace(self.operators[-1], version=version)
        return y

    def feature_map(self) -> int:
        return self.given(1, self.number(1, 9), self.number(1, 9), self.one_of(1, 2, 3, 4, 5, 8, 16, 17))

    def kernel8(
        self, x: int, shape: tuple[int, ...], axis: int, *, per_channel: bool = True, bits: int = 8
    ) -> tuple[int, int]:
        """Weights and a bias."""
        channels = shape[axis]
        factor, scale = self.same(x)[0], np.exp(self.rng.uniform(-7, -2, channels)).astype(np.float32)
        if self.powers:
            scale = 2 ** np.round(np.log2(scale))
        if not per_channel or self.number(0, 3) == 0:
            scale = scale[:1]
        zeros = np.zeros(len(scale), np.int64)
        if bits == 4:
            scale = 16 * scale
        values = self.rng.integers(-(1 << (bits - 1)) + self.number(0, 1), 1 << (bits - 1), shape).astype(np.int8)
        weights = self.constant(values, quantization=Quantization(scale, zeros, axis if len(scale) > 1 else 0))
        if bits == 4:
            self.tensors[weights].dtype, self.tensors[weights].data = "int4", halves(values)
        totals = self.rng.integers(-5000, 5000, channels).astype(np.int32)
        bias = self.constant(totals, quantization=Quantization(np.float32(factor) * scale, zeros, 0))
        return weights, bias


def convolution(n: Mixture) -> None:
    convolved(n, n.feature_map())


def padded_convolution(n: Mixture) -> None:
    """Padding before a convolution, which the convolution may do itself."""
    x = n.feature_map()
    pads = n.rng.integers(0, 3, (4, 2)).astype(np.int32)
    pads[[0, 3]] = 0
    shape = (np.array(n.tensors[x].shape) + pads.sum(1)).tolist()
    convolved(n, n.made("PAD", (x, n.constant(pads)), shape, n.same(x), options="Pad", version=2))


def convolved(n: Mixture, x: int) -> None:
    """A convolution or a depthwise one."""
    _, h, w, c = n.tensors[x].shape
    kernel, strides = (n.number(1, 4), n.number(1, 4)), (n.number(1, 3), n.number(1, 3))
    dilation = n.one_of((1, 1), (1, 1), (n.number(1, 2), n.number(1, 2)))
    valid = all(size > (k - 1) * d for size, k, d in zip((h, w), kernel, dilation, strict=True)) and n.one_of(
        True, False
    )
    depthwise = n.one_of(True, False)
    groups = 1 if depthwise or c % 2 or n.number(0, 2) else 2
    count = c * n.number(1, 3) if depthwise else groups * n.number(1, 9)
    shape = (1, *kernel, count) if depthwise else (count, *kernel, c // groups)
    weights, bias = n.kernel8(x, shape, 3 if depthwise else 0, bits=n.one_of(8, 8, 4))
    size = map(along, (h, w), kernel, strides, dilation, (valid, valid))
    options = {"options": "DepthwiseConv2D", "depthMultiplier": count // c} if depthwise else {"options": "Conv2D"}
    n.made("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", (x, weights, bias), (1, *size, count), strideH=strides[0],
           strideW=strides[1], dilationHFactor=dilation[0], dilationWFactor=dilation[1], padding=int(valid),
           fusedActivationFunction=n.number(0, 3), version=3, **options)  # fmt: skip


def transposed(n: Mixture) -> None:
    x = n.feature_map()
    _, h, w, c = n.tensors[x].shape
    kernel, strides, valid = (n.number(1, 4), n.number(1, 4)), (n.number(1, 3), n.number(1, 3)), n.one_of(True, False)
    size = [(s - 1) * t + k if valid else s * t for s, t, k in zip((h, w), strides, kernel, strict=True)]
    count = n.number(1, 6)
    weights, bias = n.kernel8(x, (count, *kernel, c), 0)
    operands = (n.ints(1, *size, count), weights, x, bias)
    n.made("TRANSPOSE_CONV", operands[: n.one_of(3, 4, 4)], (1, *size, count), options="TransposeConv",
           padding=int(valid), strideH=strides[0], strideW=strides[1], version=3)  # fmt: skip


def dense(n: Mixture) -> None:
    depth, count, rows = n.number(1, 70), n.number(1, 20), n.number(1, 3)
    x = n.given(rows, depth)
    weights, bias = n.kernel8(x, (count, depth), 0, per_channel=False, bits=n.one_of(8, 8, 4))
    n.made("FULLY_CONNECTED", (x, weights, bias if n.number(0, 3) else -1), (rows, count), options="FullyConnected",
           fusedActivationFunction=n.number(0, 3), version=4)  # fmt: skip


def pool(n: Mixture) -> None:
    x, op = n.feature_map(), n.one_of("MAX_POOL_2D", "AVERAGE_POOL_2D")
    _, h, w, c = n.tensors[x].shape
    window, strides = (n.number(1, min(h, 5)), n.number(1, min(w, 5))), (n.number(1, 3), n.number(1, 3))
    valid = n.one_of(True, False)
    size = map(along, (h, w), window, strides, (1, 1), (valid, valid))
    n.made(op, (x,), (1, *size, c), n.same(x), options="Pool2D", filterHeight=window[0], filterWidth=window[1],
           strideH=strides[0], strideW=strides[1], padding=int(valid), fusedActivationFunction=n.number(0, 3),
           version=2)  # fmt: skip


def broadcast(n: Mixture) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast, and theirs."""
    shape = tuple(n.number(1, 5) for _ in range(n.number(1, 4)))
    a = tuple(n.one_of(size, size, 1) for size in shape)
    b = tuple(size if have == 1 else n.one_of(size, size, 1) for size, have in zip(shape, a, strict=True))
    b = b[n.number(0, len(b) - 1) :] if n.number(0, 2) == 0 else b
    return a, b, np.broadcast_shapes(a, b)


def arithmetic(n: Mixture) -> None:
    op = n.one_of("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")
    a, b, shape = broadcast(n)
    x = n.given(*a)
    alike = n.same(x) if op in ("MAXIMUM", "MINIMUM") else None
    other = n.given(*b, scale=alike) if n.one_of(True, False) else n.constant8(*b, scale=alike)
    operands = (x, other) if n.one_of(True, False) else (other, x)
    options: dict[str, Any] = {}
    if op in ("ADD", "SUB", "MUL"):
        options = {"options": op.capitalize(), "fusedActivationFunction": n.number(0, 3)}
    elif alike:
        options = {"options": "MaximumMinimum"}
    n.made(op, operands, shape, alike, version=2, **options)


def prelu(n: Mixture) -> None:
    x = n.feature_map()
    shape = n.tensors[x].shape
    n.made("PRELU", (x, n.constant8(*n.one_of(shape[1:], (1, 1, shape[3])))), shape)


def compared(n: Mixture) -> None:
    op = n.one_of("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL")
    a, b, shape = broadcast(n)
    n.made(op, (n.given(*a), n.given(*b)), shape, dtype="bool", version=2)


def mapped(n: Mixture) -> None:
    op = n.one_of(*sorted(FUNCTIONS.keys() - {"LOG", "SQRT", "RSQRT", "ELU"}))
    x = n.feature_map() if n.one_of(True, False) else n.given(n.number(1, 3), n.number(1, 70))
    options = {"LEAKY_RELU": {"options": "LeakyRelu", "alpha": 0.3}, "GELU": {"options": "Gelu"},
               "HARD_SWISH": {"options": "HardSwish"}}.get(op, {})  # fmt: skip
    scale = FIXED.get(op) or ((n.same(x)[0], n.scale()[1]) if op in ("ABS", "NEG") else None)
    scale = n.same(x) if op == "NEG" else scale
    n.made(op, (x,), n.tensors[x].shape, scale, **options)


def softmax(n: Mixture) -> None:
    x = n.given(n.number(1, 3), n.number(1, 40))
    n.made("SOFTMAX", (x,), n.tensors[x].shape, (1 / 256, -128), options="Softmax", beta=float(n.one_of(1.0, 0.3, 4.0)),
           version=2)  # fmt: skip


def reduced(n: Mixture) -> None:
    shape = tuple(n.number(1, 6) for _ in range(n.number(1, 4)))
    op = n.one_of("MEAN", "MEAN", "REDUCE_MAX", "REDUCE_MIN")
    axes = sorted(n.rng.choice(len(shape), n.number(1, len(shape)), replace=False).tolist())
    keep = n.one_of(True, False)
    made = [1 if i in axes else size for i, size in enumerate(shape) if keep or i not in axes]
    x = n.given(*shape)
    scale = n.same(x) if op.startswith("REDUCE") or n.number(0, 3) == 0 else None
    n.made(op, (x, n.constant(np.array(axes, np.int32))), made, scale, options="Reducer", keepDims=keep, version=2)


def matmul(n: Mixture) -> None:
    batch, i, k, j = (n.number(1, 5) for _ in range(4))
    left, right = n.one_of(True, False), n.one_of(True, False)
    a = n.given(batch, *((k, i) if left else (i, k)))
    b = n.given(*((batch,) if n.one_of(True, False) else (1,)), *((j, k) if right else (k, j)))
    n.made("BATCH_MATMUL", (a, b), (batch, i, j), options="BatchMatMul", adjX=left, adjY=right, version=2)


def resized(n: Mixture) -> None:
    x = n.feature_map()
    size = (n.number(1, 12), n.number(1, 12))
    align, half = n.one_of((False, False), (True, False), (False, True))
    name, options = RESIZES[n.one_of("bilinear", "nearest")]
    n.made(name, (x, n.constant(np.array(size, np.int32))), (1, *size, n.tensors[x].shape[3]), n.same(x),
           options=options, alignCorners=align, halfPixelCenters=half, version=3)  # fmt: skip


def padded(n: Mixture) -> None:
    x = n.given(*(n.number(1, 4) for _ in range(n.number(1, 4))))
    pads = n.rng.integers(0, 3, (len(n.tensors[x].shape), 2)).astype(np.int32)
    shape = (np.array(n.tensors[x].shape) + pads.sum(1)).tolist()
    n.made("PAD", (x, n.constant(pads)), shape, n.same(x), options="Pad", version=2)


def joined(n: Mixture) -> None:
    shape = [n.number(1, 4) for _ in range(n.number(1, 4))]
    axis, scale = n.number(0, len(shape) - 1), n.scale()
    sizes = [n.number(1, 4) for _ in range(n.number(1, 3))]
    parts = tuple(n.given(*shape[:axis], size, *shape[axis + 1 :], scale=scale) for size in sizes)
    shape[axis] = sum(sizes)
    n.made("CONCATENATION", parts, shape, scale, options="Concatenation", axis=axis, version=2)


def rearranged(n: Mixture) -> None:
    shape = [n.number(1, 4) for _ in range(n.number(2, 5))]
    x = n.given(*shape)
    kind = n.number(0, 2)
    if kind == 0:
        order = n.rng.permutation(len(shape)).astype(np.int32)
        n.made("TRANSPOSE", (x, n.constant(order)), [shape[i] for i in order], n.same(x), options="Transpose",
               version=4)  # fmt: skip
    elif kind == 1:
        begin = [n.number(0, size - 1) for size in shape]
        made = [n.number(1, size - first) for size, first in zip(shape, begin, strict=True)]
        n.made("SLICE", (x, n.ints(*begin), n.ints(*made)), made, n.same(x),
               options="Slice", version=4)  # fmt: skip
    else:
        times = [n.number(1, 3) for _ in shape]
        made = [a * b for a, b in zip(shape, times, strict=True)]
        n.made("TILE", (x, n.constant(np.array(times, np.int32))), made, n.same(x), options="Tile")


def chosen(n: Mixture) -> None:
    rows, depth = n.number(1, 4), n.number(1, 9)
    x = n.given(rows, depth)
    op = n.one_of("ARG_MAX", "ARG_MIN")
    axis = n.number(0, 1)
    options = {"ARG_MAX": "ArgMax", "ARG_MIN": "ArgMin"}[op]
    n.made(op, (x, n.ints(axis)), ((depth, rows)[axis],), dtype="int32", options=options, outputType=2, version=2)


def gathered(n: Mixture) -> None:
    rows, depth, count = n.number(1, 5), n.number(1, 6), n.number(1, 7)
    x = n.given(rows, depth)
    places = n.constant(n.rng.integers(0, rows, count).astype(np.int32))
    n.made("GATHER", (x, places), (count, depth), n.same(x), options="Gather", axis=0, version=2)


def converted(n: Mixture) -> None:
    shape = n.one_of((n.number(1, 4), n.number(1, 60)), (1, n.number(1, 4), n.number(1, 4), n.number(1, 9)))
    source, target = n.one_of(("int8", "int8"), ("uint8", "int8"), ("float32", "int8"), ("int8", "float32"))
    scale = (n.scale()[0], n.number(0, 255)) if source == "uint8" else None
    x = n.given(*shape, scale=scale, dtype=source)
    if target == "float32":
        n.made("DEQUANTIZE", (x,), shape, dtype="float32", options="Dequantize", version=2)
    else:
        n.made("QUANTIZE", (x,), shape, options="Quantize", version=2)


FAMILIES: dict[str, tuple[Callable[[Mixture], None], ...]] = {
    "convolutions": (convolution, convolution, padded_convolution, dense, transposed),
    "elements": (arithmetic, arithmetic, prelu, compared, mapped, converted),
    "windows": (pool, softmax, resized, reduced, reduced, matmul),
    "movement": (padded, joined, rearranged, chosen, gathered),
}


def mixture(family: str, seed: int, count: int) -> Graph:
    """``count`` random operators of a family, side by side."""
    n = Mixture(seed)
    for number in range(count):
        makes = FAMILIES[family]
        makes[number % len(makes)](n)
    return n.all_results(*n.inputs)


def samples(graph: Graph, seed: int, count: int) -> list[NDArray[Any]]:
    """Values of all inputs, ``[count, *shape]``: any integers, and reals of all magnitudes."""
    rng = np.random.default_rng(seed)
    values = []
    for tensor in graph.inputs:
        shape = (count, *tensor.shape)
        if tensor.dtype == "float32":
            values.append((rng.normal(size=shape) * np.exp(rng.uniform(-5, 5, shape))).astype(np.float32))
        else:
            limits = np.iinfo(tensor.dtype)
            values.append(rng.integers(limits.min, limits.max, shape, tensor.dtype, endpoint=True))
    return values
