"""A loss is positive where a network got worse, whichever way the metric points."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.compression.yardstick import ByMetric, Measured
from edgekit.metrics.tasks import registry
from edgekit.metrics.tasks.registry import Judged
from edgekit.metrics.tasks.tally import Mean, compare


@pytest.mark.parametrize(("name", "lost"), [("mae", 0.25), ("top1", -0.25)])
def test_a_loss_is_positive_where_it_got_worse(name, lost):
    judge = ByMetric(registry.get(name), lambda graph, part: None, lambda part: None)
    before, after = Mean(np.full(8, 0.5)), Mean(np.full(8, 0.75))
    assert judge.drops(before, after, None, 8) == {"metric-drop": pytest.approx(lost)}
    assert judge.scale(before).point == pytest.approx(0.005)
    assert judge.scale(Mean(np.zeros(8))).point == 0.01


@pytest.mark.parametrize("higher", [True, False])
def test_rows_are_alike_unless_the_difference_is_beyond_chance(higher):
    values = np.random.default_rng(0).normal(1, 0.3, 200)
    worse = values - 0.1 if higher else values + 0.1

    def verdict(rows):
        return Measured(Judged("m", higher, compare(Mean(values), Mean(rows), higher=higher)), Mean(rows))

    top = verdict(values)
    assert top.like(verdict(np.roll(values, 1)), 0.05)
    assert not top.like(verdict(worse), 0.05)
    assert top.goodness > verdict(worse).goodness
