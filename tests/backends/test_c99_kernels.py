"""Every C kernel of int8, on operators of random shapes and scales, against LiteRT's reference kernels: bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.backends.c99.emit import Optimize
from edgekit.codegen.schedule.mcu import strides
from edgekit.graph import tflite
from edgekit.reference.litert import reference_outputs
from tests.backends import c99_networks, c99_random

SEEDS, OPERATORS, SAMPLES = 2, 60, 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("family", c99_random.FAMILIES)
def test_random_operators(family: str, seed: int, tmp_path: Path) -> None:
    """In an arena where every buffer lies between guards; functions for each shape, and one for all shapes."""
    graph = c99_random.mixture(family, seed, OPERATORS)
    inputs = c99_random.samples(graph, seed, SAMPLES)
    tflite.write(graph, tmp_path / "network.tflite")
    expected = reference_outputs(tmp_path / "network.tflite", inputs)
    optimize = Optimize.SIZE if seed % 2 else Optimize.SPEED
    network = c99_networks.compiled(c99_networks.scheduled(graph), tmp_path, optimize=optimize)
    wrong: dict[int, str] = {}
    for sample in range(SAMPLES):
        outputs, writers = network.guarded_run([x[sample] for x in inputs])
        wrong |= {n: f"{graph.operators[n].op} writes outside its output" for n in writers}
        for number, found in enumerate(outputs):
            if not np.array_equal(found, expected[number][sample], equal_nan=found.dtype.kind == "f"):
                operator = next(o for o in graph.operators if graph.main.outputs[number] in o.outputs)
                shapes = [graph.tensors[i].shape for i in operator.inputs if i >= 0]
                wrong[number] = (
                    f"{operator.op} {shapes}: {found.reshape(-1)[:8]}, {expected[number][sample].reshape(-1)[:8]}"
                )
    assert not wrong, "\n".join(wrong[n] for n in sorted(wrong))


@pytest.mark.parametrize("more", [0, 1])
def test_guards_catch_what_is_written_outside_an_output(more: int, tmp_path: Path) -> None:
    """A step that computes one element too many, and one that does not."""
    n = c99_random.Mixture(0)
    x = n.given(3, 40)
    y = n.made("RELU", (x,), (3, 40))
    program = c99_networks.scheduled(n.graph((x,), (n.made("RELU", (y,), (3, 40)),)))
    program.steps[1] = replace(program.steps[1], shape=strides.flat(120 + more, 2))
    network = c99_networks.compiled(program, tmp_path)
    _, arena = network.run([np.zeros((3, 40), np.int8)], 0x5A)
    assert network.writers(arena, 0x5A) == ({1} if more else set())
