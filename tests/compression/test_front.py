from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.compression import front

POINTS = hnp.arrays(np.float64, st.tuples(st.integers(1, 14), st.integers(1, 3)), elements=st.integers(0, 5))


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


@given(POINTS)
def test_ranks_are_their_definition(values):
    found = front.ranks(values)
    for i, one in enumerate(values):
        above = [found[j] for j, other in enumerate(values) if dominates(other, one)]
        assert found[i] == (max(above) + 1 if above else 0)


@given(POINTS, st.integers(1, 14), st.data())
def test_what_holds_the_budgets_comes_first(values, count, data):
    far = data.draw(st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=len(values), max_size=len(values)))
    order = front.chosen(values, far, count)
    assert len(order) == len(set(order)) == min(count, len(values))
    assert [far[i] for i in order] == sorted(far)[: len(order)]
    holding = [i for i in order if far[i] == 0]
    kept = np.flatnonzero(np.array(far) == 0)
    ranks = dict(zip(kept, front.ranks(values[kept]), strict=True)) if len(kept) else {}
    assert [ranks[i] for i in holding] == sorted(ranks[i] for i in holding)


def test_few_of_a_front_still_span_it():
    values = np.array([[0.0, 10], [1, 5], [1.1, 4.9], [1.2, 4.8], [6, 1]])
    assert set(front.chosen(values, [0.0] * 5, 3)) == {0, 4, 1} or set(front.chosen(values, [0.0] * 5, 3)) == {0, 4, 3}
    assert set(front.chosen(values, [0.0] * 5, 2)) == {0, 4}


def test_nothing_chosen_from_nothing():
    assert front.chosen(np.zeros((0, 2)), [], 3) == []
