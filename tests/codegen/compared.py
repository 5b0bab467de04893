"""Programs of integers beside TFLite's reference."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.divided import parts
from edgekit.codegen.kernels import Network
from edgekit.codegen.lower import lowered
from edgekit.graph import Graph, tflite
from edgekit.reference.litert import reference_outputs


def device_part(graph: Graph, on_host: Collection[int]) -> tuple[Graph, Network]:
    """A network without the operators that are left to the host, and what it is lowered to."""
    part = parts.split(graph, on_host).device
    assert part is not None
    graph = parts.extracted(graph, part)
    network = lowered(graph)
    assert not isinstance(network, list)
    return graph, network


def different(
    graph: Graph, run: Callable[[list[NDArray[Any]]], Sequence[NDArray[Any]]], folder: Path, samples: int
) -> int:
    """Elements of the outputs, of random inputs, that are not the reference's; ``run``: of one sample."""
    rng = np.random.default_rng(5)
    fed = [rng.integers(-128, 128, (samples, *t.shape), dtype=np.int8) for t in graph.inputs]
    tflite.write(graph, folder / "net.tflite")
    expected = reference_outputs(folder / "net.tflite", fed)
    made = [run([x[n] for x in fed]) for n in range(samples)]
    return sum(
        int(np.count_nonzero(made[n][m].reshape(-1) != expected[m][n].reshape(-1)))
        for n in range(samples)
        for m in range(len(expected))
    )
