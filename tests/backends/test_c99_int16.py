"""int16 activations in C: what the NumPy backend has, which has LiteRT's bits (``tests/codegen/test_int16.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit.codegen.schedule.mcu import memory
from edgekit.graph import Graph, tflite
from edgekit.reference.litert import reference_outputs
from tests.backends import c99_networks
from tests.backends.c99_networks import STRICT, apart, compiled, followed, scheduled
from tests.codegen.frames import noise
from tests.codegen.mcu_chains import all_streamed
from tests.networks.building import RELU
from tests.networks.streaming import KEYWORD
from tests.networks.words import CASES, Words, inputs


def beside(seed: int) -> Graph:
    """All cases in one network."""
    n = Words(seed)
    for make in CASES.values():
        make(n)
    read = {i for o in n.operators for i in o.inputs if i >= 0}
    written = {i for o in n.operators for i in o.outputs}
    return n.all_results(*(i for i in sorted(read - written) if n.tensors[i].data is None))


@pytest.mark.slow
def test_every_operator(tmp_path: Path) -> None:
    graph = beside(0)
    program = scheduled(graph)

    def frames() -> Iterator[list[np.ndarray]]:
        rng = np.random.default_rng(0)
        for _ in range(3):
            yield inputs(graph, rng)

    assert followed(compiled(program, tmp_path, apart(program), STRICT), graph, frames()) > len(CASES)


def layers(seed: int) -> Graph:
    """A row of convolutions of all kinds, and a dense layer."""
    n = Words(seed)
    x = y = n.x(1, 9, 7, 6)
    for kernel, strides in (((3, 3), (1, 1)), ((1, 1), (1, 1)), ((3, 2), (2, 1))):
        y = n.weighted(n.conv(y, 8, kernel, strides=strides, activation=RELU), per_channel=0)
        y = n.weighted(n.depthwise(y, activation=RELU), per_channel=3)
    y = n.weighted(n.dense(n.same(n.reshape(y, 1, n.tensors[y].elements)), 5))
    return n.graph((x,), (y,))


@pytest.mark.parametrize("longest", [0, 1, 24])
def test_layers_in_a_row(longest: int, tmp_path: Path) -> None:
    """Step by step and as streams, in the planned arena: LiteRT's bits."""
    graph = layers(longest)
    x = inputs(graph, np.random.default_rng(0))
    tflite.write(graph, tmp_path / "network.tflite")
    expected = reference_outputs(tmp_path / "network.tflite", [one[None] for one in x])
    program = c99_networks.scheduled(graph)
    if longest:
        program = all_streamed(program, longest)
        assert max(len(step.stages) for step in program.steps) == min(longest, 6)
    network = c99_networks.compiled(program, tmp_path, memory.plan(program), STRICT)
    found, _ = network.run(x, 0xA5)
    np.testing.assert_array_equal(found[0], expected[0][0])
    assert len(np.unique(found[0])) > 2


def test_a_real_keyword_network(tmp_path: Path) -> None:
    """SVDF layers in int8 between ends in int16 and int32."""
    if not KEYWORD.is_file():
        pytest.skip("the shared models are not there")
    graph = tflite.read(KEYWORD)
    followed(compiled(scheduled(graph), tmp_path, flags=STRICT), graph, noise(graph, 60))
