"""Rules that no patient needs: operators that LiteRT computes wrongly, refuses, or that meet a zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.data.dataset import Dataset
from edgekit.diagnosis.diagnose import Diagnosis, diagnose
from edgekit.diagnosis.evidence import Evidence
from edgekit.diagnosis.find import find
from edgekit.diagnosis.local import locals_, tensors
from edgekit.diagnosis.measure import Judge, effects
from edgekit.diagnosis.spread import spreads
from edgekit.diagnosis.versions import Versions
from edgekit.errors import ModelError
from edgekit.graph import Graph, Quantization
from edgekit.passes import PassContext
from edgekit.passes.quantize import Settings, measured
from edgekit.progress import Silent
from tests.networks.loops import loop
from tests.networks.small import Builder, dense


def examined(graph: Graph, data: Dataset, max_drop: float = 0.1) -> Diagnosis:
    return diagnose(graph, Settings(), "int8", data, Judge(graph, data), max_drop=max_drop, progress=Silent())


def named(found: Diagnosis) -> set[tuple[str, int]]:
    return {(f.cause, f.operator) for f in found.findings}


def uniform(*shape: int, low: float = 0.0, high: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, size=shape).astype(np.float32)


def test_a_wrong_kernel_is_told_from_rounding():
    """LiteRT 2.3 computes SUM wrongly in int8 (the pass leaves it in float): quantize it by hand, and it is found."""
    b = Builder()
    x = b.tensor((1, 8), name="x")
    y = b.add("SUM", (x, b.constant(np.array([1], np.int32))), (1, 1), options="Reducer", keepDims=True)
    graph, data = b.graph((x,), (y,)), Dataset([uniform(20, 1, 8)])

    def as_int8(scale: float) -> Quantization:
        return Quantization(np.array([scale], np.float32), np.array([-128], np.int64))

    quantized = [
        replace(t, dtype="int8", quantization=as_int8(s)) for t, s in ((b.tensors[x], 1 / 255), (b.tensors[y], 8 / 255))
    ]
    main = replace(graph.main, tensors=[quantized[0], b.tensors[1], quantized[1]])
    context = PassContext(data=data)
    versions = Versions(graph, Settings(), measured(graph, Settings(), context)[0], context)
    versions.made["int8"] = Graph([main])
    exact = tensors(graph, data)
    effect = effects(versions, Judge(graph, data), "int8", [0])
    spread = spreads(graph, data, Silent())
    evidence = Evidence(versions, "int8", spread, spread, exact, locals_(versions, "int8", exact, data), effect)
    kernel = evidence.local[0].kernel
    assert kernel is not None and kernel > 10
    assert "wrong_kernel" in {f.cause for f in find(evidence, [0])}


def test_operators_left_in_float_are_told_with_the_reason():
    b = Builder()
    x = b.tensor((1, 8), name="x")
    y = b.add("SUM", (x, b.constant(np.array([1], np.int32))), (1, 1), options="Reducer", keepDims=True)
    found = examined(b.graph((x,), (b.add("RELU", (y,), (1, 1)),)), Dataset([uniform(20, 1, 8)]))
    assert found.healthy
    assert found.notes == ["1 of 2 operators are left in float (SUM): LiteRT's integer kernel is wrong"]


def test_a_divisor_that_rounds_to_zero_is_named():
    b = Builder()
    x = b.tensor((1, 8), name="x")
    y = b.add("RSQRT", (x,), (1, 8))
    values = uniform(50, 1, 8, low=1, high=100)
    values[:, :, 0] = uniform(50, 1, low=0.01, high=0.05)
    found = examined(b.graph((x,), (y,)), Dataset([values]))
    assert ("near_zero", 0) in named(found)
    assert next(f for f in found.findings if f.cause == "near_zero").figures["smallest"] < 0.05


def test_a_softmax_of_large_values_and_a_sum_that_cancels_are_named():
    b = Builder()
    x = b.tensor((1, 10), name="x")
    y = b.add("SOFTMAX", (x,), (1, 10), options="Softmax", beta=1.0)
    found = examined(b.graph((x,), (y,)), Dataset([uniform(50, 1, 10, high=200)]))
    assert named(found) == {("coarse_exponential", 0)}

    b = Builder()
    x = b.tensor((1, 8), name="x")
    weights = np.eye(8, dtype=np.float32)
    near = weights + np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32) / 300
    layers = []
    for matrix in (weights, near):
        inputs = (x, b.constant(matrix), b.constant(np.zeros(8, np.float32)))
        layers.append(b.add("FULLY_CONNECTED", inputs, (1, 8), options="FullyConnected"))
    y = b.add("SUB", tuple(layers), (1, 8), options="Sub")
    found = examined(b.graph((x,), (y,)), Dataset([uniform(50, 1, 8, low=50, high=100)]))
    assert ("cancellation", 2) in named(found)


def test_clipping_is_told_from_coarseness():
    """Calibrated on quiet samples of the same kind: what is louder is cut off at the input, and named there."""
    graph = dense(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    quiet, loud = Dataset([uniform(50, 1, 4)]), Dataset([uniform(50, 1, 4, high=3)])
    found = diagnose(graph, Settings(), "int8", quiet, Judge(graph, loud), max_drop=0.1, progress=Silent())
    assert named(found) == {("data_range", -1)}
    assert found.findings[0].figures["tested"][1] > 2.9 and found.findings[0].figures["calibrated"][1] <= 1


def test_an_offset_that_buries_channels_is_named_where_it_comes_in():
    b = Builder()
    x = b.tensor((1, 4), name="x")
    up, down = (b.constant(np.full((4,), s * 1000, np.float32)) for s in (1, -1))
    eye = b.constant(np.eye(4, dtype=np.float32))
    again = b.constant(np.eye(4, dtype=np.float32))
    y = b.add("FULLY_CONNECTED", (x, eye, up), (1, 4), options="FullyConnected")
    y = b.add("FULLY_CONNECTED", (y, again, down), (1, 4), options="FullyConnected")
    found = examined(b.graph((x,), (y,)), Dataset([uniform(50, 1, 4)]))
    assert found.findings[0].operator == 0 and found.findings[0].cause == "buried"


def test_what_cannot_be_quantized_at_all_is_refused():
    with pytest.raises(ModelError, match="no operator of this network can be quantized"):
        examined(loop(0, 5), Dataset([uniform(10, 1, 3)]))


def test_operators_without_plain_kernels_are_diagnosed_all_the_same():
    b = Builder()
    x = b.tensor((1, 8), name="x")
    y = b.add("RELU", (b.add("ELU", (x,), (1, 8)),), (1, 8))
    found = examined(b.graph((x,), (y,)), Dataset([uniform(20, 1, 8)]))
    assert found.healthy and [row.quantized for row in found.operators] == [False, True]
