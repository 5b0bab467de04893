"""Outputs whose channels have unlike ranges: what int8 does to them, and that split_scales keeps all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgekit import sandbox
from edgekit.api.job import transform
from edgekit.data.dataset import Dataset
from edgekit.graph import Graph, tflite
from edgekit.metrics import quality
from edgekit.passes import PassContext, recipe
from edgekit.reference.litert import reference_outputs
from tests.networks.small import Builder

RNG = np.random.default_rng(3)
SAMPLES = 48


def _dense(b: Builder, x: int, width: int, out: int, scale: float | np.ndarray = 1.0, bias: float = 0.0) -> int:
    weights = (RNG.normal(0, 1 / np.sqrt(width), (out, width)) * np.reshape(scale, (-1, 1))).astype(np.float32)
    rank = len(b.tensors[x].shape)
    shape = (*b.tensors[x].shape[:-1], out)
    return b.add(
        "FULLY_CONNECTED", (x, b.constant(weights), b.constant(np.full(out, bias, np.float32))), shape,
        options="FullyConnected", keepNumDims=rank > 2,
    )  # fmt: skip


def _parts(b: Builder, shape: tuple[int, ...] = (1, 24, 8)) -> tuple[int, int, int]:
    """An input, boxes of pixels and scores in 0..1, both computed from it."""
    x = b.tensor(shape, name="x")
    boxes = _dense(b, x, shape[-1], 4, 100.0, 300.0)
    scores = b.add("LOGISTIC", (_dense(b, x, shape[-1], 4),), (*shape[:-1], 4))
    return x, boxes, scores


def _concat(b: Builder, inputs: tuple[int, ...], axis: int, shape: tuple[int, ...]) -> int:
    return b.add("CONCATENATION", inputs, shape, options="Concatenation", axis=axis)


def last_axis() -> Graph:
    b = Builder()
    x, boxes, scores = _parts(b)
    return b.graph((x,), (_concat(b, (boxes, scores), 2, (1, 24, 8)),))


def other_axis() -> Graph:
    b = Builder()
    x, boxes, scores = _parts(b)
    return b.graph((x,), (_concat(b, (boxes, scores), 1, (1, 48, 4)),))


def negative_axis() -> Graph:
    b = Builder()
    x, boxes, scores = _parts(b)
    return b.graph((x,), (_concat(b, (boxes, scores), -1, (1, 24, 8)),))


def packed() -> Graph:
    b = Builder()
    x, boxes, scores = _parts(b)
    y = b.add("PACK", (boxes, scores), (1, 2, 24, 4), options="Pack", axis=1, valuesCount=2)
    return b.graph((x,), (y,))


def transposed() -> Graph:
    b = Builder()
    x, boxes, scores = _parts(b)
    y = _concat(b, (boxes, scores), 2, (1, 24, 8))
    return b.graph((x,), (b.add("TRANSPOSE", (y, b.constant(np.array([0, 2, 1], np.int32))), (1, 8, 24)),))


def flattened() -> Graph:
    b = Builder()
    x, boxes, scores = _parts(b)
    y = _concat(b, (boxes, scores), 2, (1, 24, 8))
    shape = b.constant(np.array([1, 192], np.int32))
    return b.graph((x,), (b.add("RESHAPE", (y, shape), (1, 192), options="Reshape", newShape=[1, 192]),))


def levels() -> Graph:
    """Two levels, each joined, then both."""
    b = Builder()
    x, boxes, scores = _parts(b)
    first = _concat(b, (boxes, scores), 2, (1, 24, 8))
    boxes, scores = _dense(b, x, 8, 4, 100.0, 300.0), b.add("LOGISTIC", (_dense(b, x, 8, 4),), (1, 24, 4))
    second = _concat(b, (boxes, scores), 2, (1, 24, 8))
    return b.graph((x,), (_concat(b, (first, second), 1, (1, 48, 8)),))


def several_outputs() -> Graph:
    """Only one of them joins."""
    b = Builder()
    x, boxes, scores = _parts(b)
    return b.graph((x,), (scores, _concat(b, (boxes, scores), 2, (1, 24, 8)), _dense(b, x, 8, 3)))


def one_layer() -> Graph:
    """No join: one layer's columns are pixels and probabilities."""
    b = Builder()
    x = b.tensor((1, 8), name="x")
    return b.graph((x,), (_dense(b, x, 8, 6, np.array([200, 200, 200, 200, 0.5, 0.5], np.float32)),))


def offset() -> Graph:
    """One layer: a column of 300 to 302 beside one of -300 to 300."""
    b = Builder()
    x = b.tensor((1, 8), name="x")
    weights = RNG.normal(0, 0.3, (2, 8)).astype(np.float32) * np.array([[300], [0.5]], np.float32)
    bias = np.array([0, 301], np.float32)
    y = b.add("FULLY_CONNECTED", (x, b.constant(weights), b.constant(bias)), (1, 2), options="FullyConnected")
    return b.graph((x,), (y,))


def convolution() -> Graph:
    b = Builder()
    x = b.tensor((1, 6, 6, 3), name="x")
    scale = np.array([200, 200, 0.4, 0.4], np.float32).reshape(-1, 1, 1, 1)
    weights = (RNG.normal(0, 0.5, (4, 1, 1, 3)) * scale).astype(np.float32)
    bias = b.constant(np.zeros(4, np.float32))
    y = b.add("CONV_2D", (x, b.constant(weights), bias), (1, 6, 6, 4), options="Conv2D", strideW=1, strideH=1)
    return b.graph((x,), (y,))


def multiplied() -> Graph:
    """Probabilities, of which some are turned into pixels by a constant."""
    b = Builder()
    x = b.tensor((1, 24, 8), name="x")
    scores = b.add("LOGISTIC", (_dense(b, x, 8, 6),), (1, 24, 6))
    factors = b.constant(np.array([640, 640, 640, 640, 1, 1], np.float32))
    return b.graph((x,), (b.add("MUL", (scores, factors), (1, 24, 6), options="Mul"),))


def added() -> Graph:
    """Corrections of a few pixels, added to a grid of pixels."""
    b = Builder()
    x, _, scores = _parts(b)
    grid = b.constant(np.linspace(0, 640, 24 * 4, dtype=np.float32).reshape(1, 24, 4))
    return b.graph((x,), (b.add("ADD", (scores, grid), (1, 24, 4), options="Add"),))


NETWORKS: tuple[Callable[[], Graph], ...] = (
    last_axis, other_axis, negative_axis, packed, transposed, flattened, levels, several_outputs, one_layer, offset,
    convolution, multiplied, added,
)  # fmt: skip


def samples(graph: Graph) -> Dataset:
    shape = graph.inputs[0].shape
    return Dataset([np.random.default_rng(1).uniform(-2, 2, (SAMPLES, *shape)).astype(np.float32)])


def without_the_pass(plan: recipe.Recipe) -> recipe.Recipe:
    return replace(plan, steps=tuple(step for step in plan.steps if step.name != "split_scales"))


def outputs(graph: Graph, data: Dataset) -> list[np.ndarray]:
    from edgekit.data.dataset import as_network_inputs

    with sandbox.scratch() as folder:
        tflite.write(graph, folder / "model.tflite")
        values = reference_outputs(folder / "model.tflite", as_network_inputs(data, graph))
    return [
        t.quantization.dequantize(v) if t.has_scale and t.quantization else v
        for t, v in zip(graph.outputs, values, strict=True)
    ]


def worst_channel(real: np.ndarray, rounded: np.ndarray) -> float:
    """Share of a channel's variation from sample to sample that is noise, of the worst channel of any axis."""
    real, rounded = real - real.mean(axis=0), rounded - real.mean(axis=0)
    worst = 0.0
    for axis in range(1, real.ndim):
        a, b = (np.moveaxis(v.astype(np.float64), axis, 0).reshape(v.shape[axis], -1) for v in (real, rounded))
        varies = np.ptp(a, axis=1) > 1e-6 * np.abs(a).max()
        noise = ((a - b) ** 2).mean(axis=1) / np.maximum(a.var(axis=1), 1e-30)
        worst = max(worst, float(noise[varies].max(initial=0)))
    return worst


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_the_recipe_int8_loses_no_channel(make: Callable[[], Graph]) -> None:
    graph = make()
    data = samples(graph)
    plan = recipe.load("int8")
    plain = without_the_pass(plan)
    context = PassContext(data=data, source=graph)
    before = outputs(transform(graph, plain, context)[0], data)
    made, reports = transform(graph, plan, context)
    real, after = outputs(graph, data), outputs(made, data)
    lossy = max(worst_channel(a, b) for a, b in zip(real, before, strict=True))
    kept = max(worst_channel(a, b) for a, b in zip(real, after, strict=True))
    assert [t.shape for t in made.outputs] == [t.shape for t in graph.outputs]
    report = reports[0].json()
    assert report["split"] and not report["not_split"]
    assert kept < 0.02 and (lossy > 5 * kept)


@pytest.mark.parametrize("make", [n for n in NETWORKS if n is not added], ids=lambda make: make.__name__)
def test_without_the_pass_the_loss_is_said(make: Callable[[], Graph]) -> None:
    graph = make()
    plan = recipe.load("int8")
    made = transform(graph, without_the_pass(plan), PassContext(data=samples(graph), source=graph))[0]
    found = quality.measure(graph, made, samples(graph))
    assert any("span less than 4 steps" in output.lost for output in found.outputs)


@pytest.mark.parametrize("make", [last_axis, one_layer, several_outputs], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", ["mixed", pytest.param("qat", marks=[pytest.mark.slow, pytest.mark.tensorflow])])
def test_other_recipes_lose_none_either(make: Callable[[], Graph], name: str) -> None:
    graph = make()
    data = samples(graph)
    made, _ = transform(graph, recipe.load(name), PassContext(data=data, source=graph))
    pairs = zip(outputs(graph, data), outputs(made, data), strict=True)
    assert max(worst_channel(a, b) for a, b in pairs) < 0.02
    assert [t.dtype for t in made.outputs].count("float32") == 1
