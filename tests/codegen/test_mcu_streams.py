"""Streams compute what their steps compute one by one; and no kernel reads an input after it may be overwritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.codegen.schedule.mcu import memory, streams
from edgekit.codegen.schedule.mcu.steps import Program
from edgekit.graph import Graph
from tests.backends import c99_networks, c99_random
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
        weights, bias = self.kernel8(x, shape, 3 if kind == "depthwise" else 0)
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_streams_compute_what_their_steps_compute(seed: int, tmp_path: Path) -> None:
    """Also in the planned arena, where outputs lie over inputs."""
    graph = chains(seed)
    inputs = [x[0] for x in c99_random.samples(graph, seed, 1)]
    program = c99_networks.scheduled(graph)
    expected, writers = c99_networks.compiled(program, tmp_path).guarded_run(inputs)
    assert not writers
    for longest in (1, 24):
        made = all_streamed(program, longest)
        stages = [len(step.stages) for step in made.steps]
        assert max(stages) >= min(longest, 4) and sum(count > 0 for count in stages) >= CHAINS // 2
        for placed in (None, memory.plan(made, tries=20)):
            network = c99_networks.compiled(made, tmp_path, placed)
            if placed is None:
                outputs, writers = network.guarded_run(inputs)
                assert not writers
            else:
                outputs, _ = network.run(inputs, 0xA5)
            for number, (found, wanted) in enumerate(zip(outputs, expected, strict=True)):
                np.testing.assert_array_equal(found, wanted, f"chain {number}, {longest} stages, {placed is None}")


@pytest.mark.slow
@pytest.mark.parametrize("family", [*c99_random.FAMILIES, "chains"])
def test_inputs_are_read_before_they_may_be_overwritten(family: str, tmp_path: Path) -> None:
    """Each output as near to an input as its kernel promises: the results are those of buffers that lie apart."""
    graph = chains(2) if family == "chains" else c99_random.mixture(family, 7, 40)
    inputs = [x[0] for x in c99_random.samples(graph, 7, 1)]
    plain = c99_networks.scheduled(graph)
    expected, _ = c99_networks.compiled(plain, tmp_path).run(inputs)
    program = all_streamed(plain, 24) if family == "chains" else plain
    overlapping = 0
    for place in (0, 1):
        placed, count = c99_networks.tight(program, place)
        overlapping += count
        outputs, _ = c99_networks.compiled(program, tmp_path, placed).run(inputs, 0x33)
        for number, (found, wanted) in enumerate(zip(outputs, expected, strict=True)):
            np.testing.assert_array_equal(found, wanted, f"output {number}: {graph.outputs[number].name}")
    assert overlapping >= 5
