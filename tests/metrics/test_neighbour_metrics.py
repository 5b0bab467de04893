"""Recall@1 and verification AUC against scikit-learn, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from edgekit.errors import UsageError
from edgekit.metrics.tasks import neighbours, registry
from edgekit.metrics.tasks.neighbours import recall, verification
from edgekit.metrics.tasks.registry import Results


def samples(seed: int, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), np.arange(classes), generator.integers(0, classes, count)])
    return generator.normal(0, 1, (len(truth), 6)) + np.eye(6)[truth % 6], truth


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.integers(2, 5))
def test_recall_is_that_of_the_nearest_other_sample(seed: int, count: int, classes: int) -> None:
    vectors, truth = samples(seed, count, classes)
    found = recall([vectors], truth)
    for at in range(len(truth)):
        others = np.arange(len(truth)) != at
        nearest = KNeighborsClassifier(1, metric="cosine").fit(vectors[others], truth[others])
        assert found.values[at] == (nearest.predict(vectors[at : at + 1])[0] == truth[at])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.integers(2, 5))
def test_verification_is_the_area_over_all_pairs(seed: int, count: int, classes: int) -> None:
    vectors, truth = samples(seed, count, classes)
    pairs = np.triu_indices(len(truth), 1)
    near = reference.pairwise.cosine_similarity(vectors)[pairs]
    same = truth[pairs[0]] == truth[pairs[1]]
    found = verification([vectors], truth)
    assert found.value(np.ones(len(truth))) == pytest.approx(reference.roc_auc_score(same, near))
    weights = np.random.default_rng(seed).integers(0, 3, len(truth)).astype(float)
    weights[: 2 * classes] += 1
    both = weights[pairs[0]] * weights[pairs[1]]
    assert found.value(weights) == pytest.approx(reference.roc_auc_score(same, near, sample_weight=both))


def test_many_samples_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, truth = samples(1, 60, 4)
    whole = recall([vectors], truth).values
    monkeypatch.setattr(neighbours, "_ROWS", 7)
    assert (recall([vectors], truth).values == whole).all()
    monkeypatch.setattr(neighbours, "MOST_PAIRED", 20)
    assert verification([vectors], truth).samples == 20


def test_a_class_of_one_is_no_query() -> None:
    found = recall([np.eye(3)[[0, 0, 1, 2]]], np.array([4, 4, 5, 6]))
    assert found.values.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["recall@1", "verification-auc"])
@pytest.mark.parametrize(
    ("outputs", "truth", "words"),
    [
        (np.ones((3, 1)), np.array([0, 0, 1]), "one number, not a vector"),
        (np.eye(3), np.array([0.5, 0, 1]), "must be classes"),
        (np.eye(3), np.array([0, 1, 2]), "no class has two samples|is not defined"),
        (np.eye(3)[[0, 0, 0]] * np.nan, np.array([0, 0, 0]), "is not defined|unreachable"),
    ],
)
def test_what_cannot_be_judged_is_refused(name: str, outputs: np.ndarray, truth: np.ndarray, words: str) -> None:
    if name == "recall@1" and np.isnan(outputs).any():
        assert recall([outputs], truth).values.tolist() == [1.0] * 3
        return
    with pytest.raises(UsageError, match=words):
        registry.compare(registry.get(name), Results([outputs]), Results([outputs]), truth)
