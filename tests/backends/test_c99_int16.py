"""int16 activations in C: what the NumPy backend has, which has LiteRT's bits (``tests/codegen/test_int16.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import Graph, tflite
from tests.backends.c99_networks import STRICT, apart, compiled, followed, scheduled
from tests.codegen.frames import noise
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


def test_a_real_keyword_network(tmp_path: Path) -> None:
    """SVDF layers in int8 between ends in int16 and int32."""
    if not KEYWORD.is_file():
        pytest.skip("the shared models are not there")
    graph = tflite.read(KEYWORD)
    followed(compiled(scheduled(graph), tmp_path, flags=STRICT), graph, noise(graph, 60))
