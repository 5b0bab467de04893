"""The host runner on real networks: the same bits as LiteRT's own interpreter, and clear errors."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
from bundles import MODELS, bundle_of, graph_of, samples_for

from edgekit.bundle import Bundle
from edgekit.errors import DeviceError, ModelError
from edgekit.graph import Graph, tflite
from edgekit.reference.litert import reference_outputs
from edgekit.runners import RunOptions, once
from edgekit.runners.host import HostRunner
from tests.networks.small import Builder

NAMES = sorted(str(path.relative_to(MODELS)) for path in MODELS.glob("*/*.tflite")) or ["none"]


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_those_of_litert_itself(name: str, tmp_path: Path) -> None:
    bundle = bundle_of(graph_of(name), "host", tmp_path / "b")
    inputs = samples_for(bundle.graph, 8)
    outputs = once(HostRunner(), bundle, inputs, RunOptions()).outputs
    for got, expected in zip(outputs, reference_outputs(bundle.model, inputs, optimized=True), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_state_starts_anew_with_each_sample(tmp_path: Path) -> None:
    bundle = bundle_of(graph_of("tflite_micro/keyword_scrambled_8bit.tflite"), "host", tmp_path / "b")
    inputs = samples_for(bundle.graph, 1)
    (y,) = once(HostRunner(), bundle, [np.repeat(inputs[0], 5, axis=0)], RunOptions()).outputs
    assert (y == y[0]).all()


def test_a_profile_names_every_operator(tmp_path: Path) -> None:
    bundle = bundle_of(graph_of("mlperf_tiny/ic_resnet8_int8.tflite"), "host", tmp_path / "b")
    run = once(HostRunner(), bundle, samples_for(bundle.graph, 4), RunOptions(repeat=50, warmup=5, profile=True))
    assert len(run.trace.latency_ms) == 50
    counted = {i for row in run.trace.operators for i in (row.index, *row.fused) if i is not None}
    assert counted >= {i for i, op in enumerate(bundle.graph.operators) if op.op not in ("RESHAPE",)}
    whole = statistics.median(run.trace.latency_ms)
    assert 0.5 * whole < sum(row.latency_ms or 0 for row in run.trace.operators) < 2 * whole
    assert run.trace.peak_ram_bytes is not None and 1 << 20 < run.trace.peak_ram_bytes < 200 << 20
    assert run.conditions["threads"] == 1 and run.conditions["machine"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["mlperf_tiny/kws_int8.tflite", "tflite_micro/keyword_scrambled_8bit.tflite"])
def test_times_of_short_operators_are_known(name: str, threads: int, tmp_path: Path) -> None:
    """LiteRT's profiler gives whole microseconds, which for half of these operators would be 0."""
    bundle = bundle_of(graph_of(name), "host", tmp_path / "b")
    options = RunOptions(repeat=50, warmup=5, threads=threads, profile=True)
    rows = once(HostRunner(), bundle, samples_for(bundle.graph, 2), options).trace.operators
    assert all(row.latency_ms and row.latency_ms > 1e-5 for row in rows)


def test_more_threads_give_the_same_outputs(tmp_path: Path) -> None:
    bundle = bundle_of(graph_of("mlperf_tiny/ic_resnet8_int8.tflite"), "host", tmp_path / "b")
    inputs = samples_for(bundle.graph, 2)
    one, two = (once(HostRunner(), bundle, inputs, RunOptions(threads=n)) for n in (1, 2))
    np.testing.assert_array_equal(one.outputs[0], two.outputs[0])
    assert two.conditions["threads"] == 2


@pytest.mark.emulator
def test_a_bundle_for_a_board_runs_here_too(tmp_path: Path) -> None:
    bundle = bundle_of(graph_of("tflite_micro/hello_world_int8.tflite"), "rpi4", tmp_path / "b")
    inputs = samples_for(bundle.graph, 3)
    (y,) = once(HostRunner(), bundle, inputs, RunOptions()).outputs
    np.testing.assert_array_equal(y, reference_outputs(bundle.model, inputs)[0])


def hello(folder: Path) -> Bundle:
    return bundle_of(graph_of("tflite_micro/hello_world_float.tflite"), "host", folder)


def test_a_model_litert_refuses(tmp_path: Path) -> None:
    bundle = hello(tmp_path / "b")
    graph = bundle.graph
    data = bundle.model.read_bytes()
    bundle.model.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match="refuses the model") as caught:
        once(HostRunner(), bundle, samples_for(graph, 1), RunOptions())
    assert "\n" not in caught.value.message


def test_inputs_of_the_wrong_size(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="8 bytes, 1 samples need 4"):
        once(HostRunner(), hello(tmp_path / "b"), [np.zeros((1, 1, 2), np.float32)], RunOptions())


def test_inputs_in_the_models_order_whatever_the_signature_says(tmp_path: Path) -> None:
    from edgekit.graph import Operator, Signature, Subgraph, Tensor

    tensors = [Tensor(name, (1, 2), "float32") for name in ("first", "second", "difference", "sum")]
    subtract = tflite.schema().SubOptionsT()
    add = tflite.schema().AddOptionsT()
    operators = [Operator("SUB", (0, 1), (2,), subtract), Operator("ADD", (0, 1), (3,), add)]
    signature = Signature("serve", {"z": 0, "a": 1}, {"p": 3, "o": 2})
    graph = Graph([Subgraph("main", tensors, operators, (0, 1), (2, 3))], [signature])
    bundle = bundle_of(graph, "host", tmp_path / "b")
    a, b = np.array([[[5, 7]]], np.float32), np.array([[[1, 2]]], np.float32)
    difference, total = once(HostRunner(), bundle, [a, b], RunOptions()).outputs
    np.testing.assert_array_equal(difference, a - b)
    np.testing.assert_array_equal(total, a + b)


def test_a_run_that_litert_ends_names_the_operator(tmp_path: Path) -> None:
    """Its C interface says "Failed to invoke" only."""
    b = Builder()
    x, index = b.tensor((4, 2)), b.tensor((1, 1), "int32")
    y = b.add("GATHER_ND", (x, index), (1, 2))
    bundle = bundle_of(b.graph((x, index), (y,)), "host", tmp_path / "b")
    values = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
    (good,) = once(HostRunner(), bundle, [values, np.array([[[3]]], np.int32)], RunOptions()).outputs
    np.testing.assert_array_equal(good, [[[6, 7]]])
    with pytest.raises((DeviceError, ModelError), match="GATHER_ND"):
        once(HostRunner(), bundle, [values, np.array([[[-1]]], np.int32)], RunOptions())
