"""What a network's tensors hold on real samples, for passes that weigh their work by it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.graph import Graph, tflite
from edgekit.passes import PassContext

SAMPLES = 200
"""Samples whose activations are looked at; all of them are held in memory."""


def activations(graph: Graph, context: PassContext) -> dict[int, NDArray[Any]]:
    """Return the main subgraph's float tensors over some samples, ``[n, *tensor shape]``; nothing without data."""
    from edgekit.dataset import as_network_inputs
    from edgekit.runners.reference import reference_tensors

    if context.data is None:
        return {}
    samples = as_network_inputs(context.data.subset(SAMPLES, context.seed), graph)
    with sandbox.scratch() as folder:
        tflite.write(graph, folder / "model.tflite")
        values = reference_tensors(folder / "model.tflite", samples)
    return {
        i: v for i, v in (values | dict(zip(graph.main.inputs, samples, strict=True))).items() if v.dtype == np.float32
    }
