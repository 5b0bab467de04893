"""Metrics where they have no value: by the samples, by what a recipe makes of a network, and of parts of recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.data.dataset import Dataset
from edgekit.errors import CheckFailed
from edgekit.metrics.tasks import registry
from edgekit.metrics.tasks.gauge import reached
from edgekit.metrics.tasks.registry import Results
from edgekit.tasks.embedder import Embedder
from edgekit.tasks.picture import Colors, Fit, Picture
from edgekit.tasks.sound import Features, Speech
from edgekit.tasks.task import Task
from edgekit.tasks.transcriber import Transcriber
from tests.networks.small import Builder
from tests.tasks import embedding_networks


def test_a_task_is_not_judged_where_its_metric_is_not_defined() -> None:
    """Pictures of a class each are asked for, not judged by."""
    graph = embedding_networks.embedder()
    task = Task("embedding", Picture(Fit.STRETCH, Colors.RGB, (1.0,), (0.0,)), Embedder())
    outputs = [np.eye(8, dtype=np.float32)[:3, np.newaxis]]
    asked = Dataset([np.zeros((3, *graph.inputs[0].shape), np.float32)], truth=np.array([0, 1, 2]))
    assert reached(task, graph, outputs, asked) is None
    found = reached(task, graph, outputs, replace(asked, truth=np.array([0, 1, 1])))
    assert found is not None and found.samples == 2


def test_outputs_that_are_not_numbers_are_a_failure_of_the_recipe() -> None:
    truth, good = np.zeros((3, 2)), Results([np.ones((3, 2))])
    bad = Results([np.full((3, 2), np.nan)])
    with pytest.raises(CheckFailed, match="after the recipe, the network has no mae"):
        registry.compare(registry.get("mae"), good, bad, truth)
    with pytest.raises(registry.NotDefined):
        registry.compare(registry.get("mae"), bad, good, truth)


@pytest.mark.parametrize(("step", "index", "whole"), [(0, [2, 4], True), (9, [2, 4], False), (9, [1, 0], True)])
def test_texts_are_judged_of_whole_recordings(step: int, index: list[int], whole: bool) -> None:
    labels = ("_", "a")
    sound = Speech(8000, 9, step, Features.WAVEFORM, None, (1.0,), (0.0,))
    task = Task("speech-to-text", sound, Transcriber(labels, 0))
    b = Builder()
    graph = b.graph((x := b.tensor((1, 9)),), (b.add("RESHAPE", (x,), (1, 1, 2)),))
    samples = Dataset([np.zeros((2, 1, 9), np.float32)], truth=np.array(["a", "a"], object), index=np.array(index))
    samples = replace(samples, recordings=np.array([0, 1]))
    outputs = [np.float32([[[[0, 1]]], [[[1, 0]]]])]
    found = reached(task, graph, outputs, samples)
    assert (found is not None) == whole and (found is None or found.score.value == 0.5)
