"""The values of a network's tensors on real samples, for passes that weigh their decisions by them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.graph import Graph, tflite
from edgekit.passes import PassContext
from edgekit.passes.decompose import Moments, patches

SAMPLES = 200
"""Samples whose activations are looked at; all of them are held in memory."""


def activations(graph: Graph, context: PassContext) -> dict[int, NDArray[Any]]:
    """Return the main subgraph's float tensors over some samples, ``[n, *tensor shape]``; nothing without data."""
    from edgekit.data.dataset import as_network_inputs
    from edgekit.reference.litert import reference_tensors

    if context.data is None:
        return {}
    samples = as_network_inputs(context.data.subset(SAMPLES, context.seed), graph)
    with sandbox.scratch() as folder:
        tflite.write(graph, folder / "model.tflite")
        values = reference_tensors(folder / "model.tflite", samples)
    return {
        i: v for i, v in (values | dict(zip(graph.main.inputs, samples, strict=True))).items() if v.dtype == np.float32
    }


def moments(graph: Graph, number: int, values: dict[int, NDArray[Any]]) -> Moments | None:
    """Return the moments of a convolution's or dense layer's inputs; None without samples, or for other operators."""
    operator = graph.operators[number]
    x = values.get(operator.inputs[0])
    if x is None or operator.op not in ("CONV_2D", "FULLY_CONNECTED"):
        return None
    weights = graph.tensors[operator.inputs[1]].array()
    rows = patches(x, weights, operator.options) if operator.op == "CONV_2D" else x.reshape(-1, weights.shape[-1])
    wide = rows.astype(np.float64)
    mean = wide.mean(axis=0)
    return Moments(mean, (wide - mean).T @ (wide - mean) / len(wide))
