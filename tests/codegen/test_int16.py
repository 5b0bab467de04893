"""int16 activations with int8 weights (TFLite's 16x8): LiteRT's bits, and refused by backends without such kernels."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.codegen.kernels import MICROCONTROLLER
from edgekit.codegen.lower import lowered
from tests.codegen.frames import compared
from tests.networks.words import CASES, Words, inputs, network


@pytest.mark.parametrize("name", CASES)
def test_every_operator(name: str) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        graph = network(CASES[name], seed)
        compared(graph, [inputs(graph, rng) for _ in range(2)])


@pytest.mark.parametrize("name", CASES)
def test_other_backends_refuse_it(name: str) -> None:
    found = lowered(network(CASES[name], 0))
    assert isinstance(found, list) and found[0].reason == "there is no kernel for int16"
    assert not isinstance(lowered(network(CASES[name], 0), MICROCONTROLLER), list)


def test_a_bias_of_another_type_than_the_operator_says_is_refused() -> None:
    """LiteRT takes 32-bit biases for 64-bit ones unless the options name their type, and reads beyond them."""
    graph = network(CASES["CONV_2D int32 bias"], 0)
    graph.operators[0].options.quantizedBiasType = 0
    found = lowered(graph, MICROCONTROLLER)
    assert isinstance(found, list) and found[0].reason == "its bias has 32 bits, its options do not say so"


@pytest.mark.parametrize("op", ["ADD", "SUB"])
def test_additions_by_shifts_are_refused(op: str) -> None:
    n = Words(0)
    x, y = n.x(1, 4, scale=2**-10), n.x(1, 4, scale=2**-11)
    n.made(n.add2(op, x, y), 2**-10)
    found = lowered(n.all_results(x, y), MICROCONTROLLER)
    assert isinstance(found, list) and "powers of two" in found[0].reason
