"""Layers with a memory in float32, in every form that TFLite has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.graph import Graph
from tests.networks.building import Pictures

NONE, RELU, RELU6, TANH = 0, 1, 3, 4
"""Of the schema's ActivationFunctionType."""


@dataclass(frozen=True)
class FloatForm:
    """``outputs`` 0: without a projection."""

    batch: int = 1
    steps: int = 3
    depth: int = 5
    cells: int = 6
    outputs: int = 0
    coupled: bool = False
    peephole: bool = False
    normalized: bool = False
    time_major: bool = False
    cell_clip: float = 0.0
    projection_clip: float = 0.0
    activation: int = TANH
    seed: int = 0


def add_lstm(n: Pictures, x: int, form: FloatForm) -> int:
    """An LSTM after the tensor ``x``, ``[steps, batch, depth]`` if ``time_major``, else ``[batch, steps, depth]``."""
    rng = np.random.default_rng(form.seed)
    count = form.outputs or form.cells

    def weights(*shape: int) -> int:
        return n.constant(rng.normal(scale=0.5, size=shape).astype(np.float32))

    operands = [-1] * 24
    operands[0] = x
    for gate in range(1 if form.coupled else 0, 4):
        operands[1 + gate] = weights(form.cells, form.depth)
        operands[5 + gate] = weights(form.cells, count)
        operands[12 + gate] = weights(form.cells)
        if form.normalized:
            operands[20 + gate] = weights(form.cells)
        if form.peephole and gate != 2:
            operands[9 + min(gate, 2)] = weights(form.cells)
    if form.outputs:
        operands[16] = weights(form.outputs, form.cells)
        operands[17] = weights(form.outputs) if rng.integers(2) else -1
    operands[18] = n.tensor((form.batch, count), is_variable=True)
    operands[19] = n.tensor((form.batch, form.cells), is_variable=True)
    pair = (form.steps, form.batch) if form.time_major else (form.batch, form.steps)
    return n.add(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", tuple(operands), (*pair, count), options="UnidirectionalSequenceLSTM",
        fusedActivationFunction=form.activation, cellClip=form.cell_clip, projClip=form.projection_clip,
        timeMajor=form.time_major,
    )  # fmt: skip


def float_lstm(form: FloatForm) -> Graph:
    n = Pictures()
    pair = (form.steps, form.batch) if form.time_major else (form.batch, form.steps)
    x = n.tensor((*pair, form.depth))
    return n.graph((x,), (add_lstm(n, x, form),))


def add_svdf(n: Pictures, x: int, units: int, rank: int, memory: int, *, bias: bool = True, activation: int = 0) -> int:
    """An SVDF after the tensor ``x``, ``[batch, depth]``."""
    batch, depth = n.tensors[x].shape
    given = (
        x, n.weights(units * rank, depth, fan_in=depth), n.weights(units * rank, memory, fan_in=memory),
        n.bias(units) if bias else -1, n.tensor((batch, units * rank * memory), is_variable=True),
    )  # fmt: skip
    return n.add("SVDF", given, (batch, units), options="SVDF", rank=rank, fusedActivationFunction=activation)


def float_svdf(batch: int, depth: int, units: int, rank: int, memory: int, *, bias: bool, activation: int) -> Graph:
    n = Pictures()
    x = n.tensor((batch, depth))
    return n.graph((x,), (add_svdf(n, x, units, rank, memory, bias=bias, activation=activation),))
