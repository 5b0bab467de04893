"""Palettes: so many values, the nearest of them, and never worse than evenly spaced ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgekit.errors import ModelError, UsageError
from edgekit.passes import PassContext
from edgekit.passes.palettize import Palettize, Palettized, nearest, palette
from tests.networks.small import convolutional

FLOATS = arrays.arrays(np.float32, st.integers(1, 300), elements=st.floats(-100, 100, width=32))


@given(FLOATS, st.sampled_from([2, 4, 16]))
def test_values_are_the_nearest_of_the_palette(values: Any, count: int) -> None:
    centres = palette(values, count)
    found = nearest(values, centres)
    assert 1 <= len(centres) <= count and (np.diff(centres) > 0).all()
    best = np.abs(values[:, None].astype(np.float64) - centres).min(1)
    assert np.allclose(np.abs(values.astype(np.float64) - found), best, rtol=1e-5, atol=1e-4)


@given(FLOATS)
def test_few_values_are_kept(values: Any) -> None:
    few = np.rint(values / 50) * np.float32(50)
    assert np.array_equal(nearest(few, palette(few, 16)), few)


def test_it_loses_less_than_even_steps() -> None:
    values = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    even = np.linspace(values.min(), values.max(), 16, dtype=np.float32)
    errors = [np.square(nearest(values, c) - values).mean() for c in (palette(values, 16), even)]
    assert errors[0] < 0.6 * errors[1]


def test_only_weights_change_and_the_report_says_how_much() -> None:
    graph = convolutional(np.random.default_rng(1).normal(size=(10, 577)).astype(np.float32))
    context = PassContext(params={"bits": 2})
    passed = Palettize().apply(graph, context)
    changed = passed.graph
    counts = {a.name: len(np.unique(a.array())) for a in changed.constants() if a.dtype == "float32"}
    assert counts["kernel"] == counts["head"] == 4
    assert isinstance(passed.report, Palettized)
    assert passed.report.tensors == 2 and 0.1 < passed.report.relative_error < 0.5


@pytest.mark.parametrize("params", [{"bits": 3}, {"bits": True}, {"bits": "4"}, {"palette": 16}])
def test_wrong_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="palettize"):
        Palettize().apply(convolutional(), PassContext(params=params))


def test_quantized_networks_are_refused() -> None:
    from tests.networks.small import integers

    with pytest.raises(ModelError, match="already quantized"):
        Palettize().apply(integers(), PassContext())
