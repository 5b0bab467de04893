"""Streams compute what their steps compute one by one; and no kernel reads an input after it may be overwritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.codegen.schedule.mcu import memory
from tests.backends import c99_networks, c99_random
from tests.codegen.mcu_chains import CHAINS, all_streamed, chains


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


@pytest.mark.slow
@pytest.mark.parametrize("family", ["convolutions", "elements", "windows"])
def test_every_operator_alone_is_a_stream(family: str, tmp_path: Path) -> None:
    """Row by row, whatever types its rows have: the results are those of the whole feature map."""
    graph = c99_random.mixture(family, 11, 40)
    inputs = [x[0] for x in c99_random.samples(graph, 11, 1)]
    program = c99_networks.scheduled(graph)
    expected, _ = c99_networks.compiled(program, tmp_path).run(inputs)
    made = all_streamed(program, 1)
    assert sum(bool(step.stages) for step in made.steps) >= 5
    outputs, writers = c99_networks.compiled(made, tmp_path).guarded_run(inputs)
    assert not writers
    for number, (found, wanted) in enumerate(zip(outputs, expected, strict=True)):
        np.testing.assert_array_equal(found, wanted, f"output {number}: {graph.outputs[number].name}")
