from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.compression import budget
from edgekit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("latency=5ms", 5), ("latency=250us", 0.25), ("latency=250µs", 0.25), ("latency=1.5s", 1500),
        ("size=200kB", 200_000), ("size=200KB", 200_000), ("size=1MiB", 1 << 20), ("size=96KiB", 96 << 10),
        ("size=512B", 512), ("packed=.5MB", 500_000), ("energy=2mJ", 2), ("energy=1e-3J", 1), ("energy= 300 uJ", 0.3),
        ("accuracy-drop=1", 1), ("accuracy-drop=0", 0), ("class-drop=2.5points", 2.5), ("group-drop=3", 3),
    ],
)  # fmt: skip
def test_units(text, limit):
    (found,) = budget.parse([text])
    assert found.limit == pytest.approx(limit) and found.name == text.partition("=")[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("latency", "latency"), ("latency=", "unit: us, ms, s"), ("latency=5", "unit"), ("latency=5kB", "unit"),
        ("size=-5kB", "is not a size"), ("size=0kB", "above 0"), ("size=nankB", "is not a size"),
        ("size=1e999kB", "above 0"),
        ("speed=3ms", "no budget 'speed'"), ("sise=5kB", "did you mean 'size'"), ("=5kB", "no budget"),
        ("accuracy-drop=1%", "points"), ("accuracy-drop=-1", "points"), ("size=5 k B", "is not a size"),
        ("latency=5ms\n", ""),
    ],
)  # fmt: skip
def test_wrong_budgets_are_one_clear_line(text, words):
    if not words:
        assert budget.parse([text])[0].limit == 5
        return
    with pytest.raises(UsageError) as caught:
        budget.parse([text])
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_each_budget_once():
    with pytest.raises(UsageError, match="twice"):
        budget.parse(["size=5kB", "size=6kB"])


@given(st.floats(1e-6, 1e9), st.floats(0, 1e9))
def test_a_cost_holds_up_to_its_limit(limit, value):
    one = budget.Budget("size", limit, "")
    assert (one.excess(value) <= 0) == (value <= limit)
    assert budget.distance([one], {"size": value}) == max(0.0, one.excess(value))


def test_a_drop_is_exceeded_in_points():
    budgets = budget.parse(["accuracy-drop=1", "size=10kB"])
    figures = {"accuracy-drop": 3.0, "size": 15_000.0}
    assert budget.excesses(budgets, figures) == {"accuracy-drop": 2.0, "size": 0.5}
    assert budget.distance(budgets, figures) == 2.5
    assert budget.distance(budgets, {"accuracy-drop": -5.0, "size": 1.0}) == 0
