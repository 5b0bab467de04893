"""An int8 LSTM in every form that TFLite has."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgekit.graph import Graph
from tests.networks.building import Pictures
from tests.networks.streaming import scaled

TANH = 4
"""Of the schema's ActivationFunctionType."""


@dataclass(frozen=True)
class Form:
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
    cell_shift: int = -11
    seed: int = 0


def network(form: Form) -> Graph:
    """``outputs`` 0: without a projection."""
    rng = np.random.default_rng(form.seed)
    n = Pictures()
    zeros = [int(z) for z in rng.integers(-20, 20, 2)]
    x_scale, y_scale = (2 ** rng.uniform(-7, -5) for _ in range(2))
    pair = (form.steps, form.batch) if form.time_major else (form.batch, form.steps)
    x = n.tensor((*pair, form.depth), "int8", quantization=scaled(x_scale, zeros[0]))
    return n.graph((x,), (add_lstm(n, x, form, rng, y_scale, zeros[1]),))


def add_lstm(n: Pictures, x: int, form: Form, rng: np.random.Generator, y_scale: float, state_zero: int) -> int:
    """An LSTM after the tensor ``x``, ``[steps, batch, depth]`` if ``time_major``, else ``[batch, steps, depth]``."""
    count = form.outputs or form.cells
    pair = (form.steps, form.batch) if form.time_major else (form.batch, form.steps)

    def weights(*shape: int, dtype: str = "int8", scale: float = 0.008) -> int:
        info = np.iinfo(dtype)
        return n.constant(rng.integers(-info.max, info.max + 1, shape).astype(dtype), quantization=scaled(scale))

    def bias(size: int, scale: float) -> int:
        return n.constant(rng.integers(-3000, 3000, size).astype(np.int32), quantization=scaled(scale))

    gates = range(1 if form.coupled else 0, 4)
    operands = [-1] * 24
    operands[0] = x
    for gate in gates:
        operands[1 + gate] = weights(form.cells, form.depth, scale=rng.uniform(0.002, 0.02))
        operands[5 + gate] = weights(form.cells, count, scale=rng.uniform(0.002, 0.02))
        operands[12 + gate] = bias(form.cells, 1e-4)
        if form.normalized:
            operands[20 + gate] = weights(form.cells, dtype="int16", scale=rng.uniform(1e-5, 1e-4))
        if form.peephole and gate != 2:
            operands[9 + min(gate, 2)] = weights(form.cells, dtype="int16", scale=rng.uniform(1e-5, 1e-4))
    if form.outputs:
        operands[16] = weights(form.outputs, form.cells)
        operands[17] = bias(form.outputs, 1e-4) if rng.integers(2) else -1
    operands[18] = n.tensor((form.batch, count), "int8", quantization=scaled(y_scale, state_zero), is_variable=True)
    operands[19] = n.tensor((form.batch, form.cells), "int16", quantization=scaled(2.0**form.cell_shift),
                            is_variable=True)  # fmt: skip
    y = n.add(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", tuple(operands), (*pair, count), "int8", options="UnidirectionalSequenceLSTM",
        fusedActivationFunction=TANH, cellClip=form.cell_clip, projClip=form.projection_clip,
        timeMajor=form.time_major,
    )  # fmt: skip
    n.tensors[y].quantization = scaled(y_scale, state_zero)
    between = [n.tensor((0,), "int16", quantization=scaled(2 ** rng.uniform(-14, -9))) for _ in range(4)]
    hidden = n.tensor((0,), "int8", quantization=scaled(2 ** rng.uniform(-8, -6), int(rng.integers(-9, 9))))
    n.operators[-1] = replace(n.operators[-1], intermediates=(*between, hidden), version=1)
    return y
