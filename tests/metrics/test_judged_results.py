"""What metrics judge, by hand: which of them are better when higher, a task's masks, and the JSON of a comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.data.samples import Dataset
from edgekit.errors import UsageError
from edgekit.metrics.tasks import registry, results
from edgekit.metrics.tasks.registry import Results, Subject
from edgekit.tasks import task
from tests.tasks.task_networks import SEGMENTER_TASK, SIDE, segmenter

HIGHER = {
    "top1": True, "top5": True, "f1": True, "auc": True, "miou": True, "ndcg": True, "hit-rate": True,
    "recall@1": True, "verification-auc": True, "ap50": True, "ap50-95": True,
    "mae": False, "rmse": False, "wer": False, "cer": False,
}  # fmt: skip
SUBJECTS = {
    "miou": Subject.MASKS, "ap50": Subject.BOXES, "ap50-95": Subject.BOXES, "wer": Subject.TEXTS, "cer": Subject.TEXTS,
}  # fmt: skip


def test_which_metrics_are_better_when_higher() -> None:
    found = {name: registry.get(name) for name in registry.METRICS}
    assert {name: metric.higher for name, metric in found.items()} == HIGHER
    assert all(metric.subject is SUBJECTS.get(name, Subject.OUTPUTS) for name, metric in found.items())


def test_masks_are_those_of_the_task(tmp_path: Path) -> None:
    """Of two pictures in their own sizes: each cell has a class, and is two pixels or one high and wide."""
    graph = segmenter()
    (tmp_path / "task.toml").write_text(SEGMENTER_TASK.replace('"crop"', '"stretch"'))
    found = task.read(tmp_path / "task.toml", graph)
    classes = np.arange(512).reshape(2, 16, 16) % 4
    outputs = [np.eye(4, dtype=np.float32)[classes][:, np.newaxis]]
    inputs = np.zeros((2, 1, SIDE, SIDE, 3), np.float32)
    tests = Dataset([inputs], sizes=np.array([[16, 16], [32, 16]]))
    made = results.results(graph, outputs, tests, found)
    assert made.masks is not None and made.masks.classes == 4 and made.boxes is None and made.texts is None
    first, second = made.masks
    np.testing.assert_array_equal(first, classes[0])
    np.testing.assert_array_equal(second, np.repeat(classes[1], 2, axis=1))
    assert results.results(graph, outputs, Dataset([inputs]), found).masks is None
    assert results.results(graph, outputs, tests, None).masks is None


def test_a_comparison_in_json() -> None:
    truth, good = np.array([1.0, 2.0, 3.0]), np.array([[1.0], [2.0], [3.0]])
    found = registry.compare(
        registry.get("mae"), Results([good]), Results([good + 0.5]), truth, groups=np.array(["a", "b", "a"])
    )
    told = found.json()
    assert list(told) == ["name", "higher_is_better", "samples", "before", "after", "drop", "groups"]
    assert (told["name"], told["higher_is_better"], told["samples"]) == ("mae", False, 3)
    assert (told["before"]["value"], told["after"]["value"], told["drop"]["value"]) == (0, 0.5, 0.5)
    assert [(one["name"], one["samples"], one["after"]["value"]) for one in told["groups"]] == [
        ("a", 2, 0.5), ("b", 1, 0.5),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["scores", "scores of a batch", "numbers", "numbers of a batch", "channel of one"])
def test_masks_are_outputs_too(form: str) -> None:
    """Without a task: intersection over union is 2/3 of class 0, 4/5 of class 1, 1 of class 2."""
    truth = np.array([[[0, 1], [2, 1]], [[1, 1], [0, 0]]])
    marked = truth.copy()
    marked[1, 1, 1] = 1
    forms = {
        "scores": np.eye(3)[marked], "scores of a batch": np.eye(3)[marked][:, np.newaxis],
        "numbers": marked.astype(float), "numbers of a batch": marked.astype(float)[:, np.newaxis],
    }  # fmt: skip
    if form == "channel of one":
        with pytest.raises(UsageError, match="y must be classes"):
            registry.compare(registry.get("miou"), Results([marked[..., np.newaxis, :]]), Results([marked]), truth)
        return
    found = registry.compare(registry.get("miou"), Results([forms[form]]), Results([forms[form]]), truth).found
    assert found.before.value == pytest.approx((2 / 3 + 4 / 5 + 1) / 3)


@pytest.mark.parametrize(("subject", "words"), [(Subject.BOXES, "for detectors"), (Subject.TEXTS, "for speech")])
def test_what_a_network_does_not_make_is_told(subject: Subject, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Results([np.zeros((1, 2))]).of(subject)
