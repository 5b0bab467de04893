"""Networks as steps of integers: the reference's bits, whatever the operator, its shapes and its quantization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.backends.da4ml import unsuitable
from edgekit.codegen import fixed_point as fx
from edgekit.codegen.base import Requantization, Scale
from edgekit.codegen.lower import lowered
from edgekit.codegen.schedule.unrolled import Linear, Program, missing, rounding, schedule
from edgekit.codegen.schedule.unrolled.rounding import NoRounding
from edgekit.codegen.schedule.unrolled.steps import Integers
from edgekit.graph import Graph, tflite
from tests.backends.overlay_networks import OPERATORS, random_network
from tests.codegen import compared, unrolled
from tests.networks.logic import classifier
from tests.networks.small import MODELS


def program_of(graph: Graph) -> tuple[Graph, Program]:
    """A network without its operators that have no circuit, as steps."""
    graph, network = compared.device_part(graph, unsuitable(graph).keys())
    return graph, schedule(network)


def different(graph: Graph, folder: Path, samples: int = 3) -> int:
    """Elements of the outputs that are not the reference's."""
    graph, program = program_of(graph)
    return compared.different(graph, lambda fed: unrolled.run(program, fed), folder, samples)


@pytest.mark.parametrize("name", OPERATORS)
def test_random_operators_have_the_references_bits_as_steps(name: str, tmp_path: Path) -> None:
    assert different(random_network(name, 21 + len(name), 8), tmp_path) == 0


def test_a_whole_classifier_has_the_references_bits_as_steps(tmp_path: Path) -> None:
    assert different(classifier(), tmp_path) == 0
    assert list(unsuitable(classifier()).values()) == ["there is no circuit for it"]  # SOFTMAX


def test_a_shared_network_is_counted_and_has_the_references_bits(tmp_path: Path) -> None:
    if not MODELS.is_dir():
        pytest.skip("no ../shared/models")
    graph = tflite.read(MODELS / "tflite_micro" / "hello_world_int8.tflite")
    assert different(graph, tmp_path, samples=20) == 0
    _, program = program_of(graph)
    assert 0 < program.products <= 288  # 1-16-16-1, without weights of 0


scales = st.floats(2.0**-9, 2.0**-3)


@settings(max_examples=25, deadline=None)
@given(
    factor=st.floats(2.0**-14, 0.9), zero=st.integers(-128, 127), low=st.integers(-90_000, 0),
    high=st.integers(1, 90_000), once=st.booleans(), relu=st.booleans(),
)  # fmt: skip
def test_one_multiplication_rounds_as_the_reference(
    factor: float, zero: int, low: int, high: int, once: bool, relu: bool
) -> None:
    limits = (zero if relu else -128, 127)
    made = Requantization(Scale(1.0, 0), np.array([factor]), Scale(1.0, zero), rounds_once=once)

    def exact(sums: Integers) -> Integers:
        return np.clip(made.apply(sums), *limits)

    fit = rounding.of_channels(exact, np.array([low]), np.array([high]), limits, [factor])[0]
    sums = np.arange(low, high + 1, dtype=np.int64)
    total = sums * fit.gains[0]
    got = np.clip((total + np.where(total < 0, fit.below, fit.offset)) >> fit.shift, *limits)
    assert np.array_equal(got, exact(sums[:, None])[:, 0])


@settings(max_examples=10, deadline=None)
@given(first=scales, second=scales, zero=st.integers(-128, 127), sign=st.sampled_from([1, -1]))
def test_sums_of_two_round_as_the_reference_or_are_not_taken(first: float, second: float, zero: int, sign: int) -> None:
    one, other = (fx.quantize_multipliers([s / (2 * max(first, second))]) for s in (first, second))
    last = fx.quantize_multipliers([2 * max(first, second) / ((1 << 20) * 0.03)])

    def exact(a: Integers, b: Integers) -> Integers:
        scaled = [fx.multiply_by_quantized_multiplier(x << 20, *by) for x, by in ((a, one), (b, other))]
        return np.clip(fx.multiply_by_quantized_multiplier(scaled[0] + sign * scaled[1], *last) + zero, -128, 127)

    try:
        fit = rounding.of_pairs(exact, (-128, 127), (first / 0.03, sign * second / 0.03))
    except NoRounding:
        return
    stored = np.arange(-128, 128, dtype=np.int64)
    a, b = np.meshgrid(stored, stored)
    total = a * fit.gains[0] + b * fit.gains[1]
    got = np.clip((total + np.where(total < 0, fit.below, fit.offset)) >> fit.shift, -128, 127)
    assert np.array_equal(got, exact(a.reshape(-1), b.reshape(-1)).reshape(a.shape))


def test_a_staircase_that_no_line_has_is_refused() -> None:
    def exact(sums: Integers) -> Integers:
        return np.clip(np.where(sums < 10, sums, 3 * sums), -128, 127)

    with pytest.raises(NoRounding):
        rounding.of_channels(exact, np.array([-100]), np.array([100]), (-128, 127), [1.0])


def test_what_has_no_circuit_is_named() -> None:
    network = lowered(random_network("pair", 2, 12))
    assert not isinstance(network, list)
    reasons: dict[int, Any] = dict(missing(network))
    assert set(reasons.values()) == {"it multiplies two values that both change"}
    assert len(reasons) < 12


def test_padding_is_left_out_of_sums() -> None:
    _, program = program_of(classifier())
    conv = next(step for step in program.steps if isinstance(step, Linear))
    assert conv.index.shape == (9, 1, 18) and (conv.index == -1).any()
