"""UNIDIRECTIONAL_SEQUENCE_LSTM in int8: LiteRT's bits in every form, over several runs with its state."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from edgekit.codegen.kernels import MICROCONTROLLER
from edgekit.codegen.lower import lowered
from edgekit.graph import Graph, Tensor
from tests.codegen.frames import compared, noise
from tests.codegen.test_state import scaled, svdf
from tests.networks.building import Pictures

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
    count = form.outputs or form.cells
    input_zero, state_zero = (int(z) for z in rng.integers(-20, 20, 2))
    x_scale, y_scale = (2 ** rng.uniform(-7, -5) for _ in range(2))
    pair = (form.steps, form.batch) if form.time_major else (form.batch, form.steps)
    x = n.tensor((*pair, form.depth), "int8", quantization=scaled(x_scale, input_zero))

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
    return n.graph((x,), (y,))


@st.composite
def forms(draw: st.DrawFn) -> Form:
    projected = draw(st.booleans())
    return Form(
        batch=draw(st.integers(1, 3)), steps=draw(st.integers(1, 4)), depth=draw(st.integers(1, 9)),
        cells=draw(st.integers(1, 12)), outputs=draw(st.integers(1, 7)) if projected else 0,
        coupled=draw(st.booleans()), normalized=draw(st.booleans()), time_major=draw(st.booleans()),
        peephole=not projected and draw(st.booleans()), cell_clip=draw(st.sampled_from([0.0, 1.0, 6.0])),
        projection_clip=draw(st.sampled_from([0.0, 0.5])), cell_shift=draw(st.integers(-15, -9)),
        seed=draw(st.integers(0, 1000)),
    )  # fmt: skip


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@example(Form())
@example(Form(batch=2, outputs=4, projection_clip=0.5))
@example(Form(coupled=True, peephole=True, normalized=True, cells=7))
@example(Form(peephole=True, time_major=True, batch=2, cell_clip=1.0))
@given(forms())
def test_every_form(form: Form) -> None:
    graph = network(form)
    compared(graph, noise(graph, 4, form.seed))


@pytest.mark.parametrize(("change", "words"), [
    (lambda g: setattr(g.operators[0], "intermediates", ()), "intermediate tensors are not there"),
    (lambda g: setattr(g.tensors[g.operators[0].inputs[2]], "dtype", "float32"), "weights in float32"),
    (lambda g: setattr(g.tensors[g.operators[0].inputs[19]], "quantization", scaled(0.0007)), "power of two"),
    (lambda g: setattr(g.tensors[g.operators[0].inputs[18]], "is_variable", False), "not a variable"),
    (lambda g: setattr(g.operators[0], "inputs", (*g.operators[0].inputs[:14], -1, *g.operators[0].inputs[15:])),
     "incomplete"),
])  # fmt: skip
def test_what_no_kernel_computes(change: object, words: str) -> None:
    graph = network(Form())
    change(graph)  # type: ignore[operator]
    found = lowered(graph, MICROCONTROLLER)
    assert isinstance(found, list) and words in found[0].reason


DAMAGES = [
    lambda t: setattr(t, "dtype", "float32"), lambda t: setattr(t, "quantization", None),
    lambda t: setattr(t, "data", None), lambda t: setattr(t, "shape", (*t.shape, 1)),
    lambda t: setattr(t, "shape", (3,)), lambda t: setattr(t, "shape", ()), lambda t: setattr(t, "is_variable", False),
]  # fmt: skip


@pytest.mark.parametrize("graph", [
    network(Form(outputs=4, seed=1)), network(Form(peephole=True, normalized=True)), svdf(1, 2, 3, 4, 5, True, 3, 4, 0),
], ids=["projection", "normalized", "svdf"])  # fmt: skip
@pytest.mark.parametrize("damage", DAMAGES, ids=range(len(DAMAGES)))
def test_damaged_tensors_are_refused_or_compiled(graph: Graph, damage: Callable[[Tensor], None]) -> None:
    """Every tensor in turn, whatever a file says of it: never an exception of another kind."""
    for index in range(len(graph.tensors)):
        changed = copy.deepcopy(graph)
        damage(changed.tensors[index])
        try:
            lowered(changed, MICROCONTROLLER)
        except ValueError as error:  # data that do not fill their shape are refused when a file is read
            assert "reshape" in str(error) or "buffer size" in str(error) or "divisible" in str(error), error
