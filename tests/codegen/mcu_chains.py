"""Random chains of operators that work row by row, and their steps as streams."""

from __future__ import annotations

from edgekit.codegen.schedule.mcu import streams
from edgekit.codegen.schedule.mcu.steps import Program
from edgekit.graph import Graph
from tests.backends import c99_random
from tests.networks.building import along

CHAINS, LONGEST = 10, 6


class Chain(c99_random.Mixture):
    """Random chains of what works row by row."""

    def sliding(self, x: int) -> int:
        """A convolution, a depthwise one or a pool, of any window that fits."""
        _, h, w, c = self.tensors[x].shape
        kernel, stride = (self.number(1, min(4, h)), self.number(1, min(4, w))), self.one_of(1, 1, 2, 3)
        dilation = self.one_of(1, 1, 2)
        kind = self.one_of("conv", "conv", "depthwise", "depthwise", "pool")
        valid = self.one_of(True, False) and all(
            (k - 1) * dilation < size for k, size in zip(kernel, (h, w), strict=True)
        )
        if kind == "pool":
            size = [along(s, k, stride, 1, valid) for s, k in zip((h, w), kernel, strict=True)]
            return self.made(self.one_of("MAX_POOL_2D", "AVERAGE_POOL_2D"), (x,), (1, *size, c), self.same(x),
                             options="Pool2D", filterHeight=kernel[0], filterWidth=kernel[1], strideH=stride,
                             strideW=stride, padding=int(valid), version=2)  # fmt: skip
        size = [along(s, k, stride, dilation, valid) for s, k in zip((h, w), kernel, strict=True)]
        count = c if kind == "depthwise" else self.number(1, 9)
        shape = (1, *kernel, c) if kind == "depthwise" else (count, *kernel, c)
        weights, bias = self.kernel8(x, shape, 3 if kind == "depthwise" else 0, bits=self.one_of(8, 8, 4))
        options = {"options": "DepthwiseConv2D", "depthMultiplier": 1} if kind == "depthwise" else {"options": "Conv2D"}
        op = "DEPTHWISE_CONV_2D" if kind == "depthwise" else "CONV_2D"
        return self.made(op, (x, weights, bias), (1, *size, count), strideH=stride, strideW=stride,
                         dilationHFactor=dilation, dilationWFactor=dilation, padding=int(valid), version=3,
                         **options)  # fmt: skip

    def link(self, x: int) -> int:
        shape = self.tensors[x].shape
        match self.number(0, 4):
            case 0:
                return self.made("LOGISTIC", (x,), shape, (1 / 256, -128))
            case 1:
                other = self.one_of(self.constant8(*shape), self.given(*shape))
                return self.made("ADD", self.one_of((x, other), (other, x)), shape, options="Add", version=2)
            case _:
                return self.sliding(x)


def chains(seed: int) -> Graph:
    n = Chain(seed)
    ends = []
    for _ in range(CHAINS):
        x = n.given(1, n.number(3, 12), n.number(3, 9), n.one_of(1, 3, 8))
        for _ in range(n.number(2, LONGEST)):
            x = n.link(x)
        ends.append(x)
    return n.graph(tuple(n.inputs), tuple(ends))


def all_streamed(program: Program, longest: int) -> Program:
    """Streams of as many steps as can be, at most so many each."""
    runs: list[tuple[int, int]] = []
    for first, last in sorted(streams._runs(program), key=lambda run: (run[0], -run[1])):
        if last - first < longest and (not runs or first > runs[-1][1]):
            runs.append((first, last))
    return streams._applied(program, runs)
