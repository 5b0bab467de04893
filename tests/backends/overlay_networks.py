"""Networks of random int8 operators side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgekit.graph import Graph, Quantization
from tests.networks.building import RELU, RELU6
from tests.networks.small import Builder


class Integers(Builder):
    """Adds int8 operators with quantization drawn at random, and results that fill their range."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)
        self.inputs: list[int] = []
        self.outputs: list[int] = []

    def scale(self, middle: float = 0.05) -> Quantization:
        value = middle * np.exp(self.rng.normal(0, 0.4))
        return Quantization(np.array([value], np.float32), np.array([self.rng.integers(-128, 128)]))

    def fed(self, *shape: int) -> int:
        self.inputs.append(self.tensor(shape, "int8", quantization=self.scale()))
        return self.inputs[-1]

    def made(
        self, op: str, inputs: tuple[int, ...], shape: tuple[int, ...], scale: Quantization | None, **options: Any
    ) -> int:
        y = self.add(op, inputs, shape, "int8", **options)
        self.tensors[y].quantization = scale
        self.outputs.append(y)
        return y

    def products(self, x: int, shape: tuple[int, ...], count: int, axis: int) -> tuple[int, int, float]:
        """Weights and bias of random scales per channel; the deviation of their sums."""
        fan_in = int(np.prod(shape)) // count
        given = self.tensors[x].quantization
        assert given is not None
        each = 0.01 * np.exp(self.rng.normal(0, 0.5, count)).astype(np.float32)
        weights = self.constant(
            self.rng.integers(-127, 128, shape, np.int8),
            quantization=Quantization(each, np.zeros(count, np.int64), axis),
        )
        scale = Quantization((each * given.scale[0]).astype(np.float32), np.zeros(count, np.int64))
        bias = self.constant(self.rng.integers(-20000, 20000, count, np.int32), quantization=scale)
        return weights, bias, float(np.median(scale.scale)) * 73 * 73 * np.sqrt(fan_in)

    def window(self, *, depthwise: bool) -> None:
        rng = self.rng
        rows, columns, depth, kernel = (
            rng.integers(3, 12),
            rng.integers(3, 15),
            rng.integers(1, 22),
            rng.integers(1, 5, 2),
        )
        strides, valid = rng.integers(1, 4, 2), bool(rng.integers(2)) and max(kernel) <= 3
        count = int(depth) if depthwise else int(rng.integers(1, 22))
        x = self.fed(1, int(rows), int(columns), int(depth))
        shape = (1, *map(int, kernel), int(depth)) if depthwise else (count, *map(int, kernel), int(depth))
        weights, bias, spread = self.products(x, shape, count, 3 if depthwise else 0)
        size = (
            -(-(n - (k - 1 if valid else 0)) // s) for n, k, s in zip((rows, columns), kernel, strides, strict=True)
        )
        self.made(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", (x, weights, bias), (1, *map(int, size), count),
            self.scale(spread / 50), options="DepthwiseConv2D" if depthwise else "Conv2D", strideH=int(strides[0]),
            strideW=int(strides[1]), padding=int(valid), dilationHFactor=1, dilationWFactor=1,
            fusedActivationFunction=int(rng.choice([0, RELU, RELU6])), **({"depthMultiplier": 1} if depthwise else {}),
        )  # fmt: skip

    def dense(self, depth: int, count: int) -> None:
        x = self.fed(1, depth)
        weights, bias, spread = self.products(x, (count, depth), count, 0)
        self.made("FULLY_CONNECTED", (x, weights, bias), (1, count), self.scale(spread / 50), options="FullyConnected")

    def pair(self) -> None:
        shape = tuple(int(n) for n in (1, *self.rng.integers(1, 9, 3)))
        x, y = self.fed(*shape), self.fed(*shape)
        if self.rng.integers(2):
            self.made("ADD", (x, y), shape, self.scale(0.08), options="Add", fusedActivationFunction=0)
        else:
            self.made("MUL", (x, y), shape, self.scale(0.2), options="Mul", fusedActivationFunction=0)

    def pool(self, side_by_side: bool = False) -> None:
        rows, columns, depth = (int(n) for n in self.rng.integers(2, 10, 3))
        high, wide = (int(n) for n in self.rng.integers(1, 4, 2))
        sy, sx = (int(n) for n in self.rng.integers(1, 3, 2))
        if side_by_side:  # whole windows, none of which overlap
            sy, sx = high, wide
            rows, columns = rows * sy, columns * sx
        x = self.fed(1, rows, columns, depth)
        same = self.tensors[x].quantization
        assert same is not None
        op = str(self.rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
        self.made(
            op, (x,), (1, -(-rows // sy), -(-columns // sx), depth), same, options="Pool2D", filterHeight=high,
            filterWidth=wide, strideH=sy, strideW=sx, padding=0,
        )  # fmt: skip

    def mean(self) -> None:
        rows, columns, depth = (int(n) for n in self.rng.integers(1, 12, 3))
        x = self.fed(1, rows, columns, depth)
        axes = self.constant(np.array([1, 2], np.int32))
        self.made("MEAN", (x, axes), (1, 1, 1, depth), self.scale(0.02), options="Reducer", keepDims=1)

    def table(self) -> None:
        op, scale, zero = [("LOGISTIC", 1 / 256, -128), ("TANH", 1 / 128, 0)][int(self.rng.integers(2))]
        shape = tuple(int(n) for n in (1, *self.rng.integers(1, 9, 3)))
        fixed = Quantization(np.array([scale], np.float32), np.array([zero]))
        self.made(op, (self.fed(*shape),), shape, fixed)

    def whole(self) -> Graph:
        return self.graph(tuple(self.inputs), tuple(self.outputs))


OPERATORS: dict[str, Callable[[Integers], None]] = {
    "conv": lambda b: b.window(depthwise=False), "depthwise": lambda b: b.window(depthwise=True),
    "dense": lambda b: b.dense(*map(int, b.rng.integers(1, 70, 2))),
    "pair": Integers.pair, "pool": Integers.pool, "mean": Integers.mean,
    "table": Integers.table,
}  # fmt: skip


def random_network(name: str, seed: int, count: int) -> Graph:
    b = Integers(seed)
    for _ in range(count):
        OPERATORS[name](b)
    return b.whole()
