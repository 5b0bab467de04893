"""Palettes: each weight tensor is reduced to a few distinct values that minimize the error.

The values of a tensor are the centres of a one-dimensional k-means (Lloyd 1982; Han et al., "Deep Compression", ICLR
2016), which starts from the quantiles, so that it is the same every time. The weights stay floats and the network as
fast; who stores an index for each weight makes the file smaller: Core ML packages, and every packed file.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.graph import Graph
from edgekit.graph.edit import with_values
from edgekit.graph.floats import refuse_integer, restore
from edgekit.passes import PassContext, Passed, Report

BITS = (1, 2, 4, 6, 8)
"""Core ML's palettes."""
LEAST = 256
"""Elements below which a tensor is left as it is."""
ROUNDS = 100


@dataclass(frozen=True)
class Palettized(Report):
    """The size of the palettes in bits, the tensors and weights that have one, and what rounding to it costs.

    :param relative_error: the error's norm, as part of the weights' norm.
    """

    bits: int
    tensors: int
    weights: int
    relative_error: float


class Palettize:
    """The pass ``palettize``. Parameter: ``bits`` (1, 2, 4, 6 or 8), of which a palette has ``2**bits`` values."""

    name = "palettize"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the Graph with the weights' values replaced.

        :raises UsageError: on wrong parameters; :raises ModelError: if the Graph is quantized.
        """
        bits = _bits(context.params)
        refuse_integer(graph, "given palettes")
        result = copy.deepcopy(restore(graph)[0])
        changed = weights = 0
        noise = power = 0.0
        for subgraph in result.subgraphs:
            for index, tensor in enumerate(subgraph.tensors):
                if tensor.data is None or tensor.dtype != "float32" or tensor.sparsity is not None:
                    continue
                if len(tensor.shape) < 2 or tensor.elements < LEAST:
                    continue
                values = tensor.array().astype(np.float32)
                if not np.isfinite(values).all():
                    continue
                new = nearest(values, palette(values, 1 << bits))
                noise += float(np.sum(np.square(new - values, dtype=np.float64)))
                power += float(np.sum(np.square(values, dtype=np.float64)))
                subgraph.tensors[index] = with_values(tensor, new)
                changed, weights = changed + 1, weights + values.size
        error = (noise / power) ** 0.5 if power else 0.0
        return Passed(result, Palettized(bits, changed, weights, error))


def _bits(params: dict[str, Any]) -> int:
    unknown = sorted(set(params) - {"bits"})
    if unknown:
        raise UsageError(f"the pass palettize has no parameter {unknown[0]!r}", "it has bits")
    bits = params.get("bits", 4)
    if isinstance(bits, bool) or bits not in BITS:
        raise UsageError(f"bits of palettize must be 1, 2, 4, 6 or 8, not {bits!r}")
    return int(bits)


def palette(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """At most ``count`` values, ascending, float32 ``[n]``: a local minimum of the squared error."""
    points = np.sort(values.reshape(-1).astype(np.float64))
    if len(distinct := np.unique(points)) <= count:
        return np.asarray(distinct, np.float32)
    sums = np.concatenate([[0.0], np.cumsum(points)])
    centres = np.unique(np.quantile(points, (np.arange(count) + 0.5) / count))
    for _ in range(ROUNDS):
        ends = np.searchsorted(points, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate([[0], ends, [len(points)]])
        sizes = np.diff(edges)
        moved = np.diff(sums[edges])[sizes > 0] / sizes[sizes > 0]
        if len(moved) == len(centres) and np.allclose(moved, centres, rtol=1e-6, atol=0.0):
            break
        centres = np.unique(moved)
    return np.unique(np.asarray(centres, np.float32))


def nearest(values: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each of ``values`` replaced by the nearest of the ascending ``centres``."""
    return np.asarray(centres[np.searchsorted((centres[1:] + centres[:-1]) / 2, values)], np.float32)
