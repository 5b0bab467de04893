"""Every pass, through every recipe, keeps the contract: deterministic, and the Graph it is given stays as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit import plugins
from edgekit.data import dataset
from edgekit.graph import Graph, tflite
from edgekit.graph.check import check
from edgekit.passes import Pass, PassContext, recipe
from tests.networks.small import convolutional


def transformed(name: str, graph: Graph, seed: int = 0) -> Graph:
    samples, source = replace(dataset.random(graph, seed=1, samples=20), labels=np.arange(20) % 10), graph
    for step in recipe.load(name).steps:
        one: Pass = plugins.get("passes", step.name)
        graph = one.apply(graph, PassContext(data=samples, params=step.params, seed=seed, source=source)).graph
    return graph


def trains(name: str) -> bool:
    steps = recipe.load(name).steps
    return any(step.name in ("finetune", "qat", "distil") or "epochs" in step.params for step in steps)


RECIPES = [
    pytest.param(n, marks=[pytest.mark.slow, pytest.mark.tensorflow] if trains(n) else []) for n in recipe.names()
]


@pytest.mark.parametrize("name", RECIPES)
def test_contract(name: str) -> None:
    graph = convolutional(np.random.default_rng(0).normal(size=(10, 577)).astype(np.float32))
    before = tflite.dumps(graph)
    once, again = transformed(name, graph), transformed(name, graph)
    assert tflite.dumps(graph) == before
    assert tflite.dumps(once) == tflite.dumps(again)
    check(once)
    assert [t.shape for t in once.inputs] == [t.shape for t in graph.inputs]
    assert [t.shape for t in once.outputs] == [t.shape for t in graph.outputs]


def test_every_pass_serves_a_recipe() -> None:
    used = {step.name for name in recipe.names() for step in recipe.load(name).steps}
    assert used == set(plugins.names("passes"))


SHARES = {"as-is": 1.0, "float32": 1.0, "float16": 0.5, "int8-dynamic": 0.25, "int8": 0.25, "int8-w-int16-a": 0.25}


@pytest.mark.parametrize("name", SHARES)
def test_constants_shrink_as_the_recipe_says(name: str) -> None:
    graph = convolutional()

    def weights(g: Graph) -> int:
        return sum(t.data.size for t in g.constants() if t.data is not None and len(t.shape) > 1)

    assert weights(transformed(name, graph)) == pytest.approx(SHARES[name] * weights(graph), rel=0.02)
