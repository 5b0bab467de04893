"""What an operator amounts to, and how costs are fitted: levels, families, and what more threads shorten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.profiling.calibrated import features
from edgekit.profiling.calibrated.features import Array
from edgekit.profiling.calibrated.fit import (
    COST,
    DISPATCH,
    FAMILY,
    NOISE,
    OWN_DISPATCH,
    PARTS,
    SCALE,
    TOGETHER,
    Samples,
    fit,
)
from edgekit.profiling.calibrated.quantities import ALONE, FIXED, NAMES, RELATED
from edgekit.profiling.calibrated.work import Kind, Work, conv

PRIOR = features.prior(integer=False)


@pytest.mark.parametrize(
    ("filters", "depth", "taps", "stride", "groups", "expected"),
    [
        (32, 3, 9, 2, 1, "narrow_mac"),
        (32, 32, 9, 1, 1, "winograd_mac"),
        (32, 32, 9, 2, 1, "conv_mac"),
        (32, 32, 25, 1, 1, "conv_mac"),
        (8, 32, 9, 1, 1, "conv_mac"),
        (32, 8, 9, 1, 4, "grouped_mac"),
        (32, 32, 1, 1, 1, "pointwise_mac"),
    ],
)
def test_products_by_kernel(filters: int, depth: int, taps: int, stride: int, groups: int, expected: str) -> None:
    count = 64 * filters * depth * taps
    work = conv(64 * depth * groups, 64 * filters, 64, filters, depth, taps, stride, groups, count, count // 64)
    found = features.amounts(work)
    assert [name for name in found if name.endswith("_mac")] == [expected]
    assert found[expected] == count


def test_what_other_threads_wait_for_is_not_shortened_by_them() -> None:
    work = [Work(Kind.ERROR_FUNCTION, 1000, 1000), Work(Kind.MATMUL, 100, 100, macs=5000), Work(Kind.BINARY, 90, 90)]
    table = features.features(work, integer=False)
    one, four = (features.on_threads(table, threads).sum(0) for threads in (1, 4))
    place = NAMES.index
    assert all(one[place(name)] == four[place(name)] > 0 for name in ALONE)
    assert four[place("binary_element")] == one[place("binary_element")] / 4
    assert features.usual_speedup(4)[place("error_function")] == 1


def simulated(seed: int, count: int) -> Array:
    """Amounts of random networks ``[count, features]``."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(0, 1.5, (count, len(NAMES)))) / np.exp(PRIOR) / len(NAMES)


def spread(depth: int) -> Array:
    deviations = [SCALE[depth]]
    deviations += [(DISPATCH if set(group) <= set(FIXED) else TOGETHER)[depth] for group in RELATED]
    deviations += [(OWN_DISPATCH if name in FIXED else COST)[depth] for name in NAMES]
    return (PARTS * np.array(deviations) ** 2) @ PARTS.T  # type: ignore[no-any-return]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_a_fit_is_the_most_probable_of_all_sets_together(seed: int) -> None:
    """At the maximum, what the rows pull is what the levels' joint covariance holds, without a tree."""
    levels = [("r", "a", "1"), ("r", "a", "2"), ("r", "b", "3")]
    tables = [simulated(seed + i, count) for i, count in enumerate((4, 3, 5))]
    truth = [table @ np.exp(PRIOR + 0.02 * i) for i, table in enumerate(tables)]
    found = fit([Samples(t, y, own) for t, y, own in zip(tables, truth, levels, strict=True)], PRIOR)
    joint = np.block(
        [[sum(spread(d) for d in range(3) if a[: d + 1] == b[: d + 1]) + np.zeros((len(NAMES),) * 2) for b in levels]
         for a in levels]
    )  # fmt: skip
    pulls = []
    for table, measured, one in zip(tables, truth, found, strict=True):
        parts = table * np.exp(one.log)
        share = parts / parts.sum(1)[:, None]
        pulls.append(share.T @ np.log(measured / parts.sum(1)) / (NOISE**2 + FAMILY**2))
    values = np.concatenate([one.log - PRIOR for one in found])
    assert np.abs(values - joint @ np.concatenate(pulls)).max() < 2e-3 * max(1.0, np.abs(values).max())


def test_many_networks_of_one_family_count_little_more_than_few() -> None:
    """Twenty networks of a family say one thing, three of others another: rows alone would outvote these."""
    table = np.repeat(simulated(3, 1), 23, 0)
    latency = table @ np.exp(PRIOR) * np.array([1.25] * 20 + [1.0] * 3)
    alike = ["one"] * 20 + ["two", "three", "four"]
    together = fit([Samples(table, latency, ("r", "a", "a"), None, alike)], PRIOR)[0].predict(table[:1])[0][0]
    apart = fit([Samples(table, latency, ("r", "a", "a"))], PRIOR)[0].predict(table[:1])[0][0]
    least, most = latency[-1], latency[0]
    assert np.log(together / least) / np.log(most / least) < 0.5 < np.log(apart / least) / np.log(most / least)


def test_what_is_known_of_a_processor_is_where_its_fit_begins() -> None:
    """A set without rows gets its relative's costs, and its own instructions."""
    table = simulated(5, 8)
    first = Samples(table, table @ np.exp(PRIOR), ("r", "a", "a"))
    none = Samples(table[:0], np.zeros(0), ("r", "b", "b"), offset=features.dot_products())
    plain, fast = fit([first, none], PRIOR)
    faster = np.exp(fast.log - plain.log)
    assert faster[NAMES.index("conv_mac")] / faster[NAMES.index("depthwise_mac")] == pytest.approx(0.5, rel=0.05)
