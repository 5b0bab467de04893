"""The metrics of tasks against the packages that their fields use, and their intervals."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from typing import Any

import jiwer
import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgekit.metrics.tasks import boxes, choices, ranking, registry, segmentation, values, words
from edgekit.metrics.tasks.boxes import Boxes
from edgekit.metrics.tasks.tally import Mean, Tally, compare

seeds = st.integers(0, 2**32 - 1)


def whole(tally: Tally) -> float:
    return tally.value(np.ones(tally.samples))


def repeated(tally_of: Any, arrays: list[Any], weights: np.ndarray) -> float:
    """The metric of samples that are really repeated as often as they count."""
    return whole(tally_of(*([each[i] for i, n in enumerate(weights) for _ in range(n)] for each in arrays)))


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 6), st.integers(2, 40), st.booleans())
def test_choices_are_scikit_learns(seed: int, classes: int, samples: int, ties: bool) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, samples)
    scores = generator.random((samples, classes))
    scores = np.round(scores, 1) if ties else scores
    predicted = scores.argmax(axis=1)
    assert whole(choices.top(scores, labels)) == pytest.approx(reference.accuracy_score(labels, predicted))
    assert whole(choices.top(scores, labels, classes)) == 1
    expected = reference.f1_score(labels, predicted, average="macro", zero_division=0)
    assert whole(choices.Confusion(predicted, labels)) == pytest.approx(expected)
    expected = reference.f1_score(labels, predicted, labels=[1], average="macro", zero_division=0)
    assert whole(choices.Confusion(predicted, labels, positive=1)) == pytest.approx(expected)
    weights = generator.integers(0, 4, samples)
    if 0 < weights @ (labels == 1) < weights.sum():
        found = choices.RankSum(scores[:, 1], labels).value(weights.astype(float))
        expected = reference.roc_auc_score(labels == 1, scores[:, 1], sample_weight=weights)
        assert found == pytest.approx(expected)


def test_area_of_several_classes_is_their_mean() -> None:
    generator = np.random.default_rng(1)
    scores = generator.dirichlet(np.ones(4), 200)
    labels = generator.integers(0, 4, 200)
    expected = reference.roc_auc_score(labels, scores, multi_class="ovr")
    assert whole(choices.RankSum(scores, labels)) == pytest.approx(expected)


def test_area_without_one_of_the_classes_is_undefined() -> None:
    assert np.isnan(whole(choices.RankSum(np.array([0.1, 0.9]), np.array([1, 1]))))


def test_top_five_of_equal_scores_takes_lower_classes() -> None:
    scores = np.zeros((2, 10))
    assert whole(choices.top(scores, np.array([4, 5]), 5)) == 0.5


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([(5,), (4, 3), (3, 2, 2)]))
def test_values_are_scikit_learns(seed: int, shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(seed)
    predicted, truth = (generator.normal(size=shape) for _ in range(2))
    flat = truth.reshape(len(truth), -1), predicted.reshape(len(truth), -1)
    assert whole(values.absolute(predicted, truth)) == pytest.approx(reference.mean_absolute_error(*flat))
    expected = np.sqrt(reference.mean_squared_error(*flat))
    assert whole(values.root_mean_square(predicted, truth)) == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(2, 4))
def test_mean_iou_is_scikit_learns_jaccard_index(seed: int, samples: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    predicted, truth = (generator.integers(0, classes, (samples, 4, 5)) for _ in range(2))
    truth[generator.random(truth.shape) < 0.2] = segmentation.VOID
    kept = truth != segmentation.VOID
    known = np.union1d(truth[kept], predicted[kept])
    expected = reference.jaccard_score(truth[kept], predicted[kept], average="macro", labels=known) if kept.any() else 0
    assert whole(segmentation.mean_iou(predicted, truth, classes)) == pytest.approx(expected, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(2, 12), st.integers(1, 12))
def test_gain_is_scikit_learns(seed: int, samples: int, items: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    scores = np.array([generator.permutation(items) for _ in range(samples)], float)
    relevance = generator.integers(0, 3, (samples, items))
    expected = reference.ndcg_score(relevance, scores, k=count)
    assert whole(ranking.gain(scores, relevance, count)) == pytest.approx(expected)
    best = np.argsort(-scores, axis=1)[:, :count]
    hit = [any(row[i] > 0 for i in chosen) for row, chosen in zip(relevance, best, strict=True)]
    assert whole(ranking.hits(scores, relevance, count)) == pytest.approx(np.mean(hit))


def test_one_relevant_item_among_many_takes_no_more_memory_than_the_scores() -> None:
    scores = np.random.default_rng(0).random((3, 5000))
    chosen = np.array([scores[0].argmax(), scores[1].argmin(), 7])
    tracemalloc.start()
    assert whole(registry.METRICS["hit-rate"].judge([scores], chosen)) == pytest.approx(1 / 3)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 << 20


texts = st.lists(st.sampled_from(["go", "stop", "left", "right", "up"]), min_size=1, max_size=8).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_word_error_rate_is_jiwers(pairs: list[tuple[str, str]]) -> None:
    written, truth = ([pair[i] for pair in pairs] for i in (0, 1))
    assert whole(words.errors(written, truth)) == pytest.approx(jiwer.wer(truth, written))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_character_error_rate_is_jiwers(pairs: list[tuple[str, str]]) -> None:
    written, truth = ([f" {pair[i]}" for pair in pairs] for i in (0, 1))
    assert whole(words.letter_errors(written, truth)) == pytest.approx(jiwer.cer(truth, written))


def test_nothing_written_is_every_word_wrong() -> None:
    assert whole(words.errors([""], ["turn the light on"])) == 1
    assert whole(words.errors(["on the light"], ["the light"])) == 0.5


def scenes(seed: int, pictures: int, classes: int = 3) -> tuple[list[Boxes], list[Boxes]]:
    """True boxes, some of them crowds, and detections: shifted, missed, invented, some with equal scores."""
    generator = np.random.default_rng(seed)
    detected, truth = [], []
    for _ in range(pictures):
        count = int(generator.integers(0, 7))
        corner = np.round(generator.random((count, 2)) * 80)
        true = np.concatenate([corner, corner + 5 + np.round(generator.random((count, 2)) * 30)], axis=1)
        kinds = generator.integers(0, classes, count)
        crowd = generator.random(count) < 0.1
        truth.append(Boxes(true, kinds, crowd=crowd))
        kept = generator.random(count) < 0.85
        shifted = true[kept] + np.round(generator.normal(0, 2, (int(kept.sum()), 4)))
        shifted[:, 2:] = np.maximum(shifted[:, 2:], shifted[:, :2] + 1)
        extra = int(generator.integers(0, 4))
        corner = np.round(generator.random((extra, 2)) * 80)
        invented = np.concatenate([corner, corner + 10], axis=1)
        scores = np.round(generator.random(len(shifted) + extra), 2)
        all_kinds = np.concatenate([kinds[kept], generator.integers(0, classes, extra)])
        detected.append(Boxes(np.concatenate([shifted, invented]), all_kinds, scores))
    return detected, truth


def coco(detected: list[Boxes], truth: list[Boxes], classes: int = 3) -> tuple[float, float]:
    """AP50-95 and AP50 as pycocotools finds them."""

    def rows(pictures: list[Boxes]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for picture, one in enumerate(pictures):
            for i, (left, top, right, bottom) in enumerate(one.corners.tolist()):
                row = {
                    "id": len(found) + 1, "image_id": picture, "category_id": int(one.classes[i]),
                    "bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top),
                    "iscrowd": int(one.crowd is not None and one.crowd[i]),
                }  # fmt: skip
                found.append(row | ({"score": float(one.scores[i])} if one.scores is not None else {}))
        return found

    with contextlib.redirect_stdout(io.StringIO()):
        base = COCO()
        base.dataset = {
            "images": [{"id": i} for i in range(len(truth))],
            "categories": [{"id": i} for i in range(classes)],
            "annotations": rows(truth),
        }
        base.createIndex()
        judge = COCOeval(base, base.loadRes(rows(detected)), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_pycocotools(seed: int) -> None:
    detected, truth = scenes(seed, 40)
    whole_range, half = coco(detected, truth)
    assert whole(boxes.average_precision(detected, truth)) == pytest.approx(whole_range, abs=1e-6)
    assert whole(boxes.average_precision(detected, truth, (0.5,))) == pytest.approx(half, abs=1e-6)


def test_more_than_a_hundred_detections_of_a_class_do_not_count() -> None:
    truth = [Boxes(np.array([[0.0, 0, 10, 10]]), np.array([0]))]
    others = np.tile([[50.0, 50, 60, 60]], (100, 1))
    found = np.concatenate([others, truth[0].corners])
    detected = [Boxes(found, np.zeros(101, int), np.linspace(1, 0.5, 101))]
    assert whole(boxes.average_precision(detected, truth)) == 0


def test_detections_of_classes_without_true_boxes_say_nothing() -> None:
    truth = [Boxes(np.zeros((0, 4)), np.zeros(0, int))]
    detected = [Boxes(np.array([[0.0, 0, 1, 1]]), np.array([0]), np.array([1.0]))]
    assert np.isnan(whole(boxes.average_precision(detected, truth)))


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_weight_is_as_many_samples(seed: int) -> None:
    """What the bootstrap rests on."""
    generator = np.random.default_rng(seed)
    weights = generator.integers(0, 3, 12)
    weights[0] = 1
    labels, scores = generator.integers(0, 3, 12), generator.random((12, 3))
    real, found = generator.random((12, 2)), generator.random((12, 2))
    pictures = generator.integers(0, 3, (2, 12, 3, 3))
    cases: list[tuple[Any, list[Any]]] = [
        (lambda s, t: choices.top(np.array(s), np.array(t)), [scores, labels]),
        (lambda s, t: choices.Confusion(np.array(s).argmax(1), np.array(t)), [scores, labels]),
        (lambda s, t: choices.RankSum(np.array(s), np.array(t)), [scores, labels]),
        (lambda s, t: values.root_mean_square(np.array(s), np.array(t)), [found, real]),
        (lambda s, t: segmentation.mean_iou(np.array(s), np.array(t), 3), list(pictures)),
        (lambda s, t: words.letter_errors(s, t), [["go", "go left", "stop"] * 4, ["go", "go right", "no stop"] * 4]),
        (lambda s, t: words.errors(s, t), [["go", "go left", "stop"] * 4, ["go", "go right", "no stop"] * 4]),
    ]
    for tally_of, arrays in cases:
        weighed = tally_of(*(list(each) for each in arrays)).value(weights.astype(float))
        assert weighed == pytest.approx(repeated(tally_of, arrays, weights), nan_ok=True)


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_of_no_weight_is_not_there(seed: int) -> None:
    detected, truth = scenes(seed, 16)
    kept = np.random.default_rng(seed).random(16) < 0.6
    some = [[each for each, here in zip(every, kept, strict=True) if here] for every in (detected, truth)]
    weighed = boxes.average_precision(detected, truth).value(kept.astype(float))
    assert weighed == pytest.approx(whole(boxes.average_precision(*some)))
    assert weighed == pytest.approx(boxes.average_precision(detected, truth).value(3.0 * kept))


def test_intervals_contain_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for trial in range(100):
        values_of = Mean(generator.normal(3.0, 1.0, 60))
        found = compare(values_of, values_of, higher=True, seed=trial).before
        held += found.low <= 3.0 <= found.high
    assert 88 <= held <= 99


def test_pairs_narrow_the_interval_of_a_difference() -> None:
    generator = np.random.default_rng(0)
    hard = generator.normal(0, 5, 200)
    before, after = Mean(hard), Mean(hard + generator.normal(0.1, 0.05, 200))
    found = compare(before, after, higher=False)
    assert found.drop.value == pytest.approx(0.1, abs=0.02)
    assert found.drop.high - found.drop.low < 0.03 < found.before.high - found.before.low
    better = compare(before, after, higher=True)
    assert (better.drop.value, better.drop.low, better.drop.high) == pytest.approx(
        (-found.drop.value, -found.drop.high, -found.drop.low)
    )


def test_networks_that_saw_other_samples_are_not_compared() -> None:
    with pytest.raises(ValueError, match="3 samples before, 2 after"):
        compare(Mean(np.zeros(3)), Mean(np.zeros(2)), higher=True)
