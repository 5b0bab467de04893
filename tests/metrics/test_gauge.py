"""Metrics where they have no value: by the samples, by what a recipe makes of a network, and of parts of recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.data.dataset import Dataset
from edgekit.diagnosis.measure import Judge
from edgekit.errors import CheckFailed
from edgekit.metrics.tasks import registry
from edgekit.metrics.tasks.gauge import Gauge, reached
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


def test_texts_are_judged_of_whole_recordings() -> None:
    """Clips of a recording have its index; a part of them says another text."""
    sound = Speech(8000, 2, 2, Features.WAVEFORM, None, (1.0,), (0.0,))
    task = Task("speech-to-text", sound, Transcriber(("_", "a"), 0))
    b = Builder()
    x, shape = b.tensor((1, 2)), b.constant(np.array([1, 1, 2], np.int32))
    graph = b.graph((x,), (b.add("RESHAPE", (x, shape), (1, 1, 2), options="Reshape", newShape=[1, 1, 2]),))
    values = np.float32([[[0, 1]], [[1, 0]], [[0, 1]], [[1, 0]]])
    number = np.array([0, 0, 0, 1])
    samples = Dataset([values], truth=np.array(["aa"] * 3 + ["b"], object), index=number, recordings=number)
    found = reached(task, graph, [values.reshape(4, 1, 1, 2)], samples)
    assert found is not None and found.samples == 2 and found.score.value == 0.5
    judge = Judge(graph, samples, Gauge(registry.get("wer"), task))
    assert judge.on(samples.take(np.array([0, 1, 2]))).gauge is judge.gauge
    assert judge.on(samples.take(np.array([0, 2, 3]))).gauge is None
