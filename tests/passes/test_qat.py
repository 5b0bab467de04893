"""Quantization-aware training: the integers are the trained ones, in any format, in any width."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data import dataset
from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, tflite
from edgekit.graph.check import check
from edgekit.graph.stats import statistics
from edgekit.metrics import accuracy
from edgekit.passes import PassContext, quantize
from edgekit.passes.finetune import Finetune
from edgekit.passes.prune import Prune
from edgekit.passes.qat import QuantizationAwareTraining, plan
from edgekit.readers import load
from edgekit.reference.litert import reference_outputs
from tests.installed import needed
from tests.networks.small import Builder, classifier, digits
from tests.readers.onnx_models import exported

needed("tensorflow", "train")


def samples(count: int, seed: int, *, labels: bool = True) -> dataset.Dataset:
    x, y = digits(count, seed)
    return dataset.Dataset([x.reshape(-1, 1, 28, 28, 1)], y if labels else None, source="digits")


def apply(graph: Graph, data: dataset.Dataset, **params: Any) -> tuple[Graph, dict[str, Any]]:
    before = tflite.dumps(graph)
    context = PassContext(data=data, params=params, source=graph)
    passed = QuantizationAwareTraining().apply(graph, context)
    made = passed.graph
    check(made)
    assert tflite.dumps(graph) == before
    return made, passed.report.json()


def planned(graph: Graph, data: dataset.Dataset, **settings: Any) -> tuple[Any, Graph]:
    static = quantize.Settings(**settings)
    ranges = quantize.measured(graph, static, PassContext(data=data))[0]
    made, _ = quantize.integers(graph, static, ranges)
    return plan(graph, made, ranges), made


def test_the_plan_is_what_the_quantizer_does(models: Path) -> None:
    graph = load(models / "mlperf_tiny" / "ic_resnet8_fp32.tflite")
    found, made = planned(graph, dataset.random(graph, samples=8), weights="int4")
    assert len(found.weights) == 10  # nine convolutions, one dense layer
    assert {w.bits for w in found.weights} == {4}
    assert all(w.axis == 0 and w.symmetric for w in found.weights)
    fixed = [r for r in found.ranges if r.fixed]
    assert len(fixed) == 1  # the softmax
    assert (fixed[0].low, fixed[0].high) == pytest.approx((0, 255 / 256))
    shared = [r for r in found.ranges if len(r.owners) > 1]
    assert [len(r.owners) for r in shared] == [3]  # an average pool and a reshape keep the addition's scale
    assert len(shared[0].tensors) == 2  # the reshape need not round again
    scales = {
        t.name: t.quantization.scale[0]
        for t in made.tensors
        if t.quantization is not None and len(t.quantization.scale)
    }
    for one in found.ranges:
        for index in one.owners:
            assert (one.high - one.low) / 255 == pytest.approx(scales[f"s0t{index}"], rel=1e-5)


def test_what_stays_in_float_has_a_trained_range_for_its_integers(models: Path) -> None:
    """Else the operator behind it stays in float, too: the first one behind a float input, one behind a LEAKY_RELU."""
    graph = load(models / "mlperf_tiny" / "ic_resnet8_fp32.tflite")
    found, made = planned(graph, dataset.random(graph, samples=8), io="float32")
    first = graph.main.inputs[0]
    assert made.inputs[0].dtype == "float32" and first in {i for r in found.ranges for i in r.owners}
    b = Builder()
    x = b.tensor((1, 4), name="x")
    z = y = b.add("FULLY_CONNECTED", (x, b.constant(np.eye(4, dtype=np.float32)), -1), (1, 4), options="FullyConnected")
    z = b.add("LEAKY_RELU", (y,), (1, 4), options="LeakyRelu", alpha=0.1)
    w = b.constant(np.eye(4, dtype=np.float32))
    graph = b.graph((x,), (b.add("FULLY_CONNECTED", (z, w, -1), (1, 4), options="FullyConnected"),))
    found, made = planned(graph, dataset.random(graph, samples=8))
    assert "LEAKY_RELU" in [o.op for o in made.operators] and z in {i for r in found.ranges for i in r.owners}
    _, excluded = quantize.integers(graph, quantize.Settings(), trained_by(found, len(graph.tensors)))
    assert [name for name in excluded if name.startswith("s0t")] == [], excluded


def trained_by(found: Any, tensors: int) -> quantize.Ranges:
    """Ranges as a training leaves them: of the plan's tensors only."""
    low, high = (np.full(tensors, np.nan, np.float32) for _ in range(2))
    for one in found.ranges:
        low[list(one.owners)], high[list(one.owners)] = one.low, one.high
    return low, high


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "params",
    [{}, {"weights": "int4", "ranges": "moving-average"}, {"activations": "int16", "io": "float32"}],
    ids=["w8a8", "w4a8", "w8a16"],
)
def test_what_was_trained_is_what_is_emitted(params: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    """The trained floats and ranges, quantized by nobody else's rules, give the emitted integers and scales."""
    graph = classifier(tmp_path)
    kept: dict[str, Any] = {}
    inner = quantize.integers

    def spy(given: Graph, settings: Any, ranges: Any) -> Any:
        kept["graph"], kept["ranges"] = given, ranges
        kept["made"] = inner(given, settings, ranges)
        return kept["made"]

    monkeypatch.setattr(quantize, "integers", spy)
    made, report = apply(graph, samples(1500, 21), epochs=2, **params)
    bits = 4 if params.get("weights") == "int4" else 8
    trained, (low, high) = kept["graph"], kept["ranges"]
    for tensor in kept["made"][0].tensors:
        if not tensor.name.startswith("s0t") or not tensor.name[3:].isdecimal() or tensor.quantization is None:
            continue
        index = int(tensor.name[3:])
        if tensor.dtype == f"int{bits}" and tensor.data is not None:
            w = trained.tensors[index].array()
            bound = np.abs(w).reshape(len(w), -1).max(1)
            most = 2 ** (bits - 1) - 1
            np.testing.assert_allclose(tensor.quantization.scale, bound / most, rtol=1e-5)
            steps = w / tensor.quantization.scale.reshape(-1, *[1] * (w.ndim - 1))
            assert np.abs(tensor.array() - steps).max() <= 0.5001
        elif tensor.data is None and np.isfinite(low[index]) and tensor.dtype == "int8":
            assert tensor.quantization.scale[0] == pytest.approx((high[index] - low[index]) / 255, rel=1e-5)
        elif tensor.data is None and np.isfinite(low[index]) and tensor.dtype == "int16":
            assert tensor.quantization.scale[0] == pytest.approx(max(-low[index], high[index]) / 32767, rel=1e-4)
    tests = samples(1500, 22)
    float_, plain = accuracy.evaluate(graph, tests), accuracy.evaluate(made, tests)
    assert float_ is not None and plain is not None
    assert plain.value > float_.value - 0.01
    assert report["history"][-1]["epoch"] == 2
    if params.get("weights") == "int4":
        assert {t.dtype for t in made.constants() if len(t.shape) > 1} >= {"int4"}


@pytest.mark.slow
@pytest.mark.tensorflow
def test_four_bits_need_it(tmp_path: Path) -> None:
    graph = classifier(tmp_path)
    data, tests = samples(2000, 21), samples(1500, 22)
    rounded = quantize.Quantize().apply(graph, PassContext(data=data, params={"weights": "int4"})).graph
    trained, _ = apply(graph, data, weights="int4", epochs=3, learning_rate=1e-3)
    before, after, whole = (accuracy.evaluate(g, tests) for g in (rounded, trained, graph))
    assert before is not None and after is not None and whole is not None
    assert after.value >= before.value
    assert after.value > whole.value - 0.01


@pytest.mark.slow
@pytest.mark.tensorflow
def test_three_formats_give_the_same_kind_of_result(models: Path, tmp_path: Path) -> None:
    """Self-labelled: the float network's own outputs on random pictures teach the integer one."""
    folder = models / "mlperf_tiny"
    whole = tflite.read(folder / "ic_resnet8_fp32.tflite")
    files = [folder / "ic_resnet8_fp32.tflite", folder / "ic_resnet8.h5", exported(whole, tmp_path / "resnet8.onnx")]
    agreements, macs = [], []
    for file in files:
        graph = load(file)
        data = pictures(graph, 96, 1)
        made, report = apply(graph, data, epochs=2, learning_rate=2e-4)
        assert report["loss"] == "teacher"
        assert made.is_quantized
        fresh = dataset.as_network_inputs(pictures(graph, 64, 2), graph)
        quantized = dataset.as_network_inputs(pictures(graph, 64, 2), made)
        wanted = outputs(graph, fresh, tmp_path).argmax(-1)
        agreements.append((outputs(made, quantized, tmp_path).argmax(-1) == wanted).mean())
        pruned = Prune().apply(graph, PassContext(data=data, params={"macs": 0.7})).graph
        tuned = Finetune().apply(pruned, PassContext(data=data, params={"epochs": 4}, source=graph)).graph
        macs.append(statistics(tuned).macs / statistics(graph).macs)
        before, after = ((outputs(g, fresh, tmp_path).argmax(-1) == wanted).mean() for g in (pruned, tuned))
        assert after >= before - 0.05
        assert after > 0.7
    assert max(macs) <= 0.7
    assert max(macs) - min(macs) < 0.03
    assert min(agreements) > 0.9
    assert max(agreements) - min(agreements) < 0.08


def pictures(graph: Graph, count: int, seed: int) -> dataset.Dataset:
    """Noise in 0..255, coarse enough to make the network choose many classes; the same for either layout."""
    rng = np.random.default_rng(seed)
    x = 255 * np.kron(rng.random((count, 4, 4, 3)), np.ones((1, 8, 8, 1)))
    x = x.astype(np.float32)[:, None]
    return dataset.Dataset([x if graph.inputs[0].shape[-1] == 3 else x.transpose(0, 1, 4, 2, 3)])


def outputs(graph: Graph, inputs: list[Any], folder: Path) -> Any:
    tflite.write(graph, folder / "one.tflite")
    return reference_outputs(folder / "one.tflite", inputs, optimized=True)[0].reshape(len(inputs[0]), -1)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"weights": "int2"}, "weights"), ({"activations": "float"}, "activations"), ({"io": "int16"}, "io"),
        ({"ranges": "best"}, "ranges"), ({"epochs": 0}, "epochs"), ({"bits": 8}, "bits"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(params: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        apply(classifier(tmp_path), samples(20, 1), **params)


def test_what_cannot_be_trained_is_refused(models: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs samples"):
        QuantizationAwareTraining().apply(classifier(tmp_path), PassContext())
    graph = tflite.read(models / "mlperf_tiny" / "kws_int8.tflite")
    with pytest.raises(ModelError, match="already quantized"):
        QuantizationAwareTraining().apply(graph, PassContext(data=samples(20, 1)))


def test_no_tensorflow_in_this_process() -> None:
    program = "import sys, edgekit.passes.qat, edgekit.passes.distil; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
