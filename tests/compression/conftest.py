"""A digit classifier, samples for its passes and others to search on, and an evaluator that counts its passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgekit import plugins, target
from edgekit.compression.candidates import Evaluator
from edgekit.data.dataset import Dataset
from edgekit.graph import Graph
from edgekit.passes import PassContext
from edgekit.passes.recipe import Step
from tests.networks.small import classifier, digits


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return classifier(tmp_path_factory.mktemp("network"), training=1500)


@pytest.fixture(scope="session")
def calibration() -> Dataset:
    x, y = digits(1700)
    return Dataset([x[1500:].reshape(-1, 1, 28, 28, 1)], y[1500:])


@pytest.fixture(scope="session")
def searched() -> Dataset:
    x, y = digits(2100)
    return Dataset([x[1700:].reshape(-1, 1, 28, 28, 1)], y[1700:], groups=np.arange(400) % 2)


@pytest.fixture
def evaluator(network: Graph, calibration: Dataset, searched: Dataset) -> tuple[Evaluator, list[str]]:
    """An evaluator, and the names of the passes it applied, in order."""
    applied: list[str] = []

    def apply(graph: Graph, step: Step) -> Graph:
        applied.append(step.name)
        context = PassContext(data=calibration, params=step.params)
        return plugins.get("passes", step.name).apply(graph, context).graph

    backend: Callable[[Graph], object] = lambda graph: None  # noqa: E731
    return Evaluator(network, apply, searched, target.load("rpi4"), backend, packed=True), applied
