from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgekit.errors import CheckFailed, UsageError
from edgekit.metrics import fairness
from edgekit.metrics.bounds import Bounds


@st.composite
def outcomes(draw):
    """Labels and the predictions of two networks that are right now and then."""
    n, classes = draw(st.integers(1, 80)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(0, classes, n)
    one, two = (np.where(rng.random(n) < p, labels, rng.integers(0, classes, n)) for p in rng.random(2))
    return labels, one, two, classes, rng.integers(0, 3, n)


@given(outcomes())
@settings(max_examples=150, deadline=None)
def test_parts_add_up_to_the_whole(case):
    labels, before, after, classes, groups = case
    found = fairness.report(labels, before, after, classes=classes, groups=groups)
    assert found["float"] == (before == labels).mean() and found["compiled"] == (after == labels).mean()
    assert len(found["classes"]) + len(found["missing_classes"]) == classes
    for rows in (found["classes"], found["groups"]):
        assert sum(row["samples"] for row in rows) == len(labels)
        drop = sum(row["drop"]["value"] * row["samples"] for row in rows) / len(labels)
        assert drop == pytest.approx(found["drop"]["value"], abs=1e-9)
        for row in [found, *rows]:
            assert row["drop"]["value"] == pytest.approx(100 * (row["lost"] - row["won"]) / row["samples"])
            assert 0 <= row["low"] <= row["compiled"] + 1e-12 and row["compiled"] - 1e-12 <= row["high"] <= 1
            assert row["drop"]["low"] < row["drop"]["high"]
    worst = found["worst"]
    largest = max(row["drop"]["value"] for row in found["classes"] + found["groups"])
    assert (worst is None) == (largest <= 0)
    assert worst is None or worst["notable"] or worst["drop"]["value"] == largest


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_share_is_wilsons(case):
    right, n = case
    expected = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert fairness.wilson(right, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200), st.integers(0, 200))
@settings(deadline=None)
def test_the_tests_are_those_of_the_textbook(lost, won, stay, others):
    expected = stats.binomtest(lost, lost + won, alternative="greater").pvalue if lost + won else 1.0
    assert fairness.sign_test(lost, won) == pytest.approx(expected, rel=1e-6)
    table = [[lost, stay], [won, others]]  # here: lost by this part and by the rest
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    right, total = lost + stay, lost + stay + won + others
    assert fairness._fisher(lost, right, lost + won, total) == pytest.approx(expected, rel=1e-6)


def predictions(lost: dict[int, int], per_class: int = 100, classes: int = 10):
    """All right before; afterwards so many of each class are not."""
    labels = np.repeat(np.arange(classes), per_class)
    after = labels.copy()
    for label, count in lost.items():
        after[np.flatnonzero(labels == label)[:count]] = (label + 1) % classes
    return labels, labels, after


def test_the_class_that_pays_is_named():
    labels, before, after = predictions(dict.fromkeys(range(10), 1) | {8: 12})
    found = fairness.report(labels, before, after, classes=10)
    assert found["worst"] == {"kind": "class", "name": "8", "samples": 100, "notable": True,
                              "drop": found["classes"][8]["drop"]}  # fmt: skip
    assert [row["notable"] for row in found["classes"]] == [c == 8 for c in range(10)]
    text = fairness.words(found)
    assert "class 8 loses 12 points" in text and "100 samples" in text and "100.00% before, 88.00%" in text


def test_noise_is_not_called_unfair():
    """One of three samples is lost: 33 points, and nothing that chance would not do."""
    labels, before, after = predictions({4: 1}, per_class=3)
    found = fairness.report(labels, before, after, classes=10)
    assert found["worst"]["name"] == "4" and found["worst"]["drop"]["value"] == pytest.approx(100 / 3)
    assert not found["worst"]["notable"] and fairness.words(found) == ""
    low, high = found["worst"]["drop"]["low"], found["worst"]["drop"]["high"]
    assert low < 0 and high > 60


def test_a_loss_that_all_share_is_not_unfair():
    labels, before, after = predictions({c: 20 + c % 2 for c in range(10)})
    found = fairness.report(labels, before, after, classes=10)
    assert found["drop"]["low"] > 15 and not any(row["notable"] for row in found["classes"])


def test_chance_alone_is_rarely_notable():
    """A network that loses 5 % of its answers blindly: at most 5 % of the trials name anything."""
    rng, named = np.random.default_rng(0), 0
    labels = np.repeat(np.arange(10), 60)
    for _ in range(200):
        after = np.where(rng.random(600) < 0.05, (labels + 1) % 10, labels)
        found = fairness.report(labels, labels, after, classes=10)
        named += bool(found["worst"] and found["worst"]["notable"])
    assert named <= 10


def test_groups_are_told_apart():
    labels, before, after = predictions({3: 30})
    groups = np.where(labels == 3, "old", "new")
    found = fairness.report(labels, before, after, classes=10, groups=groups)
    assert [(row["name"], row["samples"], row["compiled"]) for row in found["groups"]] == [
        ("new", 900, 1.0),
        ("old", 100, 0.7),
    ]
    assert found["groups"][1]["notable"]


def test_missing_classes_are_said():
    found = fairness.report(np.array([0, 2]), np.array([0, 2]), np.array([0, 2]), classes=4)
    assert found["missing_classes"] == [1, 3] and found["worst"] is None
    assert fairness.listed(found["missing_classes"]) == "classes 1, 3"
    assert fairness.listed(range(20)) == "classes 0, 1, 2, 3, 4 and 15 more"


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (Bounds(accuracy_drop=2.9), "the network loses 3 points"),
        (Bounds(class_drop=29), "class 3 loses 30 points"),
        (Bounds(class_drop=50, group_drop=20), "group old loses 30 points"),
    ],
)
def test_a_bound_that_does_not_hold(bounds, text):
    labels, before, after = predictions({3: 30})
    found = fairness.report(labels, before, after, classes=10, groups=np.where(labels == 3, "old", "new"))
    with pytest.raises(CheckFailed) as caught:
        fairness.check(bounds, found)
    assert text in caught.value.message and "allows" in caught.value.message
    fairness.check(Bounds(accuracy_drop=3, class_drop=30, group_drop=30), found)
    fairness.check(Bounds(), found)


def test_a_bound_on_a_class_that_the_data_lacks():
    found = fairness.report(np.array([0, 0]), np.array([0, 0]), np.array([0, 0]), classes=2)
    with pytest.raises(UsageError, match="no sample of class 1"):
        fairness.check(Bounds(class_drop=5), found)
    fairness.check(Bounds(accuracy_drop=5), found)
