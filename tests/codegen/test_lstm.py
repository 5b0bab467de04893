"""UNIDIRECTIONAL_SEQUENCE_LSTM in int8: LiteRT's bits in every form, over several runs with its state."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from edgekit.codegen.kernels import MICROCONTROLLER
from edgekit.codegen.lower import lowered
from edgekit.graph import Graph, Tensor
from tests.codegen.frames import compared, noise
from tests.networks.lstm import Form, network
from tests.networks.streaming import scaled, svdf


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
