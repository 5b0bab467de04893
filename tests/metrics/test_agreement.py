"""When numbers count as what the reference network decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.graph import Quantization, tflite
from edgekit.metrics.agreement import agreeing
from edgekit.tasks.anomaly import Score
from edgekit.tasks.classifier import Class
from edgekit.tasks.ranker import Ranked
from edgekit.tasks.regressor import Values
from edgekit.tasks.task import Task, read
from tests.networks import tabular


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    model = tabular.written(tmp_path_factory.mktemp("task"), "regression")
    return read(model.parent / "task.toml", tflite.read(model))


def values(*numbers: float) -> list[Values]:
    return [Values((number,), "EUR") for number in numbers]


@pytest.mark.parametrize(
    ("own", "count"),
    [
        ((0, 100, 200), 3), ((1.9, 98.1, 200), 3), ((2.1, 98.1, 200), 2), ((200, 0, 100), 0),
        ((np.nan, 100, 200), 2), ((np.inf, -np.inf, np.nan), 0),
    ],
)  # fmt: skip
def test_values_agree_within_a_hundredth_of_their_range(task: Task, own: tuple[float, ...], count: int) -> None:
    assert agreeing(task, tabular.one_input(), values(0, 100, 200), values(*own)) == count


def test_a_step_of_the_scale_is_no_disagreement_and_two_are(task: Task) -> None:
    """The task's std is 20, so that a step of 0.5 is worth 10."""
    graph = tabular.one_input()
    index = graph.main.outputs[0]
    scale = Quantization(np.array([0.5], np.float32), np.array([0], np.int64))
    graph.tensors[index] = replace(graph.tensors[index], dtype="int8", quantization=scale)
    reference = values(0, 10, 20)
    assert agreeing(task, graph, reference, values(10, 10, 20)) == 3
    assert agreeing(task, graph, reference, values(20, 10, 20)) == 2
    assert agreeing(task, tabular.one_input(), reference, values(10, 10, 20)) == 2


def test_what_is_no_number_agrees_with_the_same_only(task: Task) -> None:
    assert agreeing(task, tabular.one_input(), values(np.nan, np.inf, 1), values(np.nan, np.inf, 1)) == 3
    assert agreeing(task, tabular.one_input(), values(np.nan, np.inf, 1), values(1, -np.inf, np.nan)) == 0
    assert agreeing(task, tabular.one_input(), values(1), [Values((1, 2), "EUR")]) == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8), st.integers(0, 7))
def test_equal_values_agree_and_one_beyond_the_range_does_not(numbers: list[float], which: int) -> None:
    task = Task("regression", None, None)  # type: ignore[arg-type]  # the decider's std is of quantized outputs
    graph = tabular.one_input()
    assert agreeing(task, graph, values(*numbers), values(*numbers)) == len(numbers)
    moved = list(numbers)
    moved[which % len(numbers)] += 2 * max(map(abs, numbers)) + 1
    assert agreeing(task, graph, values(*numbers), values(*moved)) == len(numbers) - 1


def test_scores_of_anomalies_must_be_near_on_either_side_of_the_threshold(task: Task) -> None:
    reference = [Score(1.0, False), Score(2.0, False), Score(9.0, True)]
    graph = tabular.one_input()
    assert agreeing(task, graph, reference, reference) == 3
    assert agreeing(task, graph, reference, [Score(1.05, False), Score(2.2, False), Score(8.9, False)]) == 1


def test_rankings_agree_on_the_whole_list() -> None:
    def ranked(*numbers: int) -> Ranked:
        return Ranked(tuple(Class(number, str(number), 0.5) for number in numbers))

    assert ranked(3, 1).agrees(ranked(3, 1))
    assert not ranked(3, 1).agrees(ranked(3, 2)) and not ranked(3, 1).agrees(ranked(1, 3))


def test_a_bundle_of_a_regression_says_how_many_agree(tmp_path: Path) -> None:
    from edgekit.api.compile import compile

    (made,) = compile(tabular.written(tmp_path, "regression"), targets=["host"], out=tmp_path / "build")
    assert made.parity.decision is not None and made.parity.decision.agree == made.parity.decision.samples > 1
