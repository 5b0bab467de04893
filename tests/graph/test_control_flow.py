"""Loops and branches are counted with what runs inside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit import target
from edgekit.graph import Operator, Subgraph, stats, tflite
from edgekit.graph.control_flow import bodies
from edgekit.profiling import registry
from edgekit.profiling.roofline import LOOPS
from edgekit.reference.litert import reference_outputs
from tests.networks.loops import loop


@pytest.mark.parametrize(("start", "end", "turns"), [(0, 5, 5), (2, 5, 3), (5, 5, 0), (9, 5, 0)])
def test_turns_are_what_the_runtime_makes(tmp_path: Path, start: int, end: int, turns: int) -> None:
    graph = tflite.loads(tflite.dumps(loop(start, end)))
    found = stats.statistics(graph).operators[0]
    assert found.macs == 9 * turns
    assert found.counted
    assert found.executions == 1 + 2 * turns + turns + 1
    tflite.write(graph, tmp_path / "m.tflite")
    out = reference_outputs(tmp_path / "m.tflite", [np.ones((1, 1, 3), np.float32)])[0]
    np.testing.assert_array_equal(out, 2.0**turns)


def test_an_unknown_number_of_turns_is_said() -> None:
    graph = loop(None, 5)
    assert [body.turns for body in bodies(graph, graph.main, graph.operators[0])] == [None, None]
    found = stats.statistics(graph).operators[0]
    assert found.macs == 9
    assert not found.counted
    board = target.load("rpi4")
    assert LOOPS in registry.estimate(graph, board, {}).basis
    assert LOOPS not in registry.estimate(loop(0, 5), board, {}).basis


def test_a_loop_into_itself_ends() -> None:
    """A hostile file: a body that holds itself, a thousand times."""
    graph = loop(0, 3)
    graph.subgraphs[2].operators += graph.operators * 1000
    graph.subgraphs[2].tensors += graph.tensors
    assert stats.statistics(graph).macs > 0


def test_a_deep_chain_of_bodies_ends() -> None:
    graph = loop(0, 2)
    for depth in range(3, 3000):
        inner = graph.subgraphs[2]
        options = tflite.schema().WhileOptionsT(condSubgraphIndex=1, bodySubgraphIndex=depth)
        graph.subgraphs.append(Subgraph("deeper", inner.tensors, [*inner.operators], inner.inputs, inner.outputs))
        graph.subgraphs[depth - 1].operators.append(Operator("WHILE", (0, 1), (0, 1), options))
    assert stats.statistics(graph).macs > 0
