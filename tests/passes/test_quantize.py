from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import plugins
from edgekit.data import dataset
from edgekit.data.dataset import Dataset
from edgekit.errors import EdgekitError, ModelError, UsageError
from edgekit.graph import Graph, Signature, tflite
from edgekit.metrics import accuracy, quality
from edgekit.passes import PassContext, recipe
from edgekit.passes.quantize import Quantize, Settings, measured
from edgekit.reference.litert import reference_outputs
from tests.e2e.command import edgekit
from tests.networks import tabular
from tests.networks.small import MODELS, Builder, classifier, convolutional, dense, digits, unary

FLOATS = ("ic_resnet8_fp32", "kws_fp32", "ad01_fp32")


def model(name: str) -> Graph:
    path = MODELS / "mlperf_tiny" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("shared/models is not here")
    return tflite.read(path)


def apply(graph: Graph, data: Dataset | None, name: str) -> tuple[Graph, dict[str, Any]]:
    """Apply a recipe that comes with edgekit; return what it makes, and what the pass ``quantize`` tells."""
    report: dict[str, Any] = {}
    for step in recipe.load(name).steps:
        own = PassContext(data=data, params=step.params)
        passed = plugins.get("passes", step.name).apply(graph, own)
        graph = passed.graph
        report = passed.report.json() if step.name == "quantize" else report
    return graph, report


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Graph:
    return classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def unseen() -> Dataset:
    x, y = digits(5000)
    return Dataset([x[3000:].reshape(-1, 1, 28, 28, 1)], y[3000:])


@pytest.mark.parametrize(
    ("name", "points", "sqnr"),
    [("float16", 0.05, 60), ("int8-dynamic", 0.5, 30), ("int8", 0.5, 25), ("int8-w-int16-a", 0.25, 30)],
)
def test_accuracy_on_real_digits_holds(name, points, sqnr, trained, unseen):
    x, _ = digits(3000)
    calibration = Dataset([x[:300].reshape(-1, 1, 28, 28, 1)])
    quantized, report = apply(trained, calibration, name)
    found = accuracy.compare(trained, quantized, unseen)
    assert found is not None and found["samples"] == 2000
    assert found["float"] > 0.9
    assert abs(found["float"] - found["compiled"]) * 100 <= points
    measured = quality.measure(trained, quantized, unseen)
    assert measured.outputs[0].sqnr_db is not None and measured.outputs[0].sqnr_db > sqnr
    assert report["float_operators"] == []


@pytest.mark.parametrize(("name", "dtype"), [("int8", "int8"), ("int8-w-int16-a", "int16")])
def test_integer_recipes_make_integer_networks(name, dtype, trained, unseen):
    quantized, report = apply(trained, unseen, name)
    assert [t.dtype for t in (*quantized.inputs, *quantized.outputs)] == [dtype, dtype]
    assert {quantized.tensors[i].dtype for o in quantized.operators for i in o.outputs} == {dtype}
    assert "QUANTIZE" not in {o.op for o in quantized.operators}
    assert report["samples"] == 200


@pytest.mark.parametrize("name", ["float16", "int8-dynamic"])
def test_float_activations_keep_the_border_and_need_no_data(name, trained):
    quantized, _ = apply(trained, None, name)
    assert [t.dtype for t in (*quantized.inputs, *quantized.outputs)] == ["float32", "float32"]
    assert len(tflite.dumps(quantized)) < 0.6 * len(tflite.dumps(trained))


def test_io_float32_keeps_the_border_of_an_int8_network(trained, unseen):
    quantized = Quantize().apply(trained, PassContext(data=unseen, params={"io": "float32"})).graph
    assert [o.op for o in quantized.operators][:: len(quantized.operators) - 1] == ["QUANTIZE", "DEQUANTIZE"]
    assert quantized.inputs[0].dtype == quantized.outputs[0].dtype == "float32"


def test_int4_weights_are_packed_and_loaded(trained, unseen):
    quantized = Quantize().apply(trained, PassContext(data=unseen, params={"weights": "int4"})).graph
    assert sum(t.dtype == "int4" for t in quantized.constants()) == 2
    found = accuracy.compare(trained, quantized, unseen)
    assert found is not None and found["compiled"] > 0.8


def test_one_scale_a_tensor_or_one_a_channel(trained, unseen):
    for granularity, scales in (("tensor", 1), ("channel", 16)):
        quantized = Quantize().apply(trained, PassContext(data=unseen, params={"granularity": granularity})).graph
        kernel = next(t for t in quantized.constants() if t.name == "kernel")
        assert kernel.quantization is not None and len(kernel.quantization.scale) == scales


def test_same_data_and_seed_give_the_same_bytes_and_the_graph_is_left_alone(trained, unseen):
    before = tflite.dumps(trained)
    first, second = (tflite.dumps(apply(trained, unseen, "int8")[0]) for _ in range(2))
    assert first == second
    assert tflite.dumps(trained) == before


def test_ranges_are_the_minimum_and_maximum_over_the_samples():
    graph = unary("RELU", (1, 4))
    values = np.array([[-3, 0.5, 1, 2], [-1, 0, 0, 5]], np.float32)[:, None]
    quantized = Quantize().apply(graph, PassContext(data=Dataset([values]))).graph
    q = quantized.inputs[0].quantization
    assert q is not None
    np.testing.assert_allclose(q.scale, 8 / 255, rtol=1e-6)
    assert q.zero_point[0] == round(-128 + 3 / (8 / 255))


def test_ranges_of_what_a_resource_variable_holds_are_those_of_samples_alone():
    """The sum of all samples would be 7, and depend on their order."""
    graph, values = tabular.adding_up(), np.array([1, 4, 2], np.float32)[:, None, None] * np.ones((1, 5), np.float32)
    found = [measured(graph, Settings(), PassContext(data=Dataset([x])))[0] for x in (values, values[::-1])]
    np.testing.assert_array_equal(found[0], found[1])
    summed = next(o for o in graph.main.operators if o.op == "ADD").outputs[0]
    assert [float(bound[summed]) for bound in found[0]] == [1, 4]
    quantized = [tflite.dumps(apply(graph, Dataset([x]), "int8")[0]) for x in (values, values[::-1])]
    assert quantized[0] == quantized[1]


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("chosen", ["float16", "int8-dynamic", "int8", "int8-w-int16-a"])
def test_real_networks_quantize_and_run_in_both_kinds_of_kernels(name, chosen, tmp_path):
    graph = model(name)
    data = dataset.random(graph, samples=16)
    quantized, report = apply(graph, data, chosen)
    assert report["float_operators"] == []
    tflite.write(quantized, tmp_path / "q.tflite")
    inputs = [x[:4] for x in dataset.as_network_inputs(data, quantized)]
    plain, optimized = (reference_outputs(tmp_path / "q.tflite", inputs, optimized=o)[0] for o in (False, True))
    assert plain.shape == optimized.shape
    cosine = quality.measure(graph, quantized, data).outputs[0].cosine_similarity
    # noise pushes ResNet-8 far from its training data, to soft decisions where every step of rounding shows
    assert cosine is not None and cosine > (0.97 if name == "ic_resnet8_fp32" else 0.999)
    assert quantized.outputs[0].name.startswith(graph.outputs[0].name)


@pytest.mark.parametrize(
    ("op", "options", "activations"),
    [
        ("SUM", "Reducer", "int8"),
        ("SUM", "Reducer", "int16"),
        ("SPACE_TO_DEPTH", "SpaceToDepth", "int16"),
    ],
)
def test_operators_without_right_integer_kernels_stay_float_and_are_reported(op, options, activations, tmp_path):
    b = Builder()
    x = b.tensor((1, 8, 8, 4), name="x")
    y = b.add("TANH", (x,), (1, 8, 8, 4))
    if op == "SUM":
        z = b.add("SUM", (y, b.constant(np.array([1, 2], np.int32))), (1, 4), options=options)
    else:
        z = b.add(op, (y,), (1, 4, 4, 16), options=options, blockSize=2)
    graph = b.graph((x,), (z,))
    data = dataset.random(graph)
    context = PassContext(data=data, params={"activations": activations})
    passed = Quantize().apply(graph, context)
    quantized, report = passed.graph, passed.report.json()
    assert [entry["op"] for entry in report["float_operators"]] == [op]
    assert report["float_operators"][0]["reason"]
    tflite.write(graph, tmp_path / "f.tflite")
    tflite.write(quantized, tmp_path / "q.tflite")
    inputs = [v[:4] for v in dataset.as_network_inputs(data, quantized)]
    real = reference_outputs(tmp_path / "f.tflite", [v[:4] for v in data.inputs])[0]
    for optimized in (False, True):
        integers = reference_outputs(tmp_path / "q.tflite", inputs, optimized=optimized)[0]
        q = quantized.outputs[0].quantization
        assert q is not None
        assert (quality.sqnr_db(real, q.dequantize(integers)) or 99) > 25


def test_a_kernel_that_litert_lacks_is_found_by_running_and_left_in_float():
    b = Builder()
    x = b.tensor((1, 2, 4), name="x")
    part = b.add("UNPACK", (x,), (1, 4), options="Unpack", num=2, axis=1)
    unused = b.tensor((1, 4))  # the quantizer leaves it float32, and LiteRT then refuses the operator
    b.operators[0].outputs = (part, unused)
    graph = b.graph((x,), (b.add("TANH", (part,), (1, 4)),))
    context = PassContext(data=dataset.random(graph))
    passed = Quantize().apply(graph, context)
    quantized, report = passed.graph, passed.report.json()
    assert [(e["op"], e["reason"]) for e in report["float_operators"]] == [("UNPACK", "LiteRT has no integer kernel")]
    assert any(t.dtype == "int8" for t in quantized.tensors)


def test_an_operator_that_the_quantizer_fails_on_is_left_in_float():
    b = Builder()
    x = b.tensor((1, 2, 4), name="x")
    floor = b.constant(np.array([0.1], np.float32))  # of another rank than x: ai-edge-quantizer 0.10 raises
    y = b.add("MAXIMUM", (floor, b.add("TANH", (x,), (1, 2, 4))), (1, 2, 4), options="MaximumMinimum")
    graph = b.graph((x,), (y,))
    context = PassContext(data=dataset.random(graph))
    passed = Quantize().apply(graph, context)
    quantized, report = passed.graph, passed.report.json()
    assert [(e["op"], e["reason"]) for e in report["float_operators"]] == [("MAXIMUM", "ai-edge-quantizer fails on it")]
    assert (quality.measure(graph, quantized, context.data).outputs[0].sqnr_db or 0) > 25


def test_batch_matmul_with_constant_weights_is_not_zeroed(tmp_path):
    b = Builder()
    rng = np.random.default_rng(0)
    x = b.tensor((1, 4, 8), name="x")
    weights = b.constant(rng.normal(size=(1, 8, 4)).astype(np.float32))
    graph = b.graph((x,), (b.add("BATCH_MATMUL", (x, weights), (1, 4, 4), options="BatchMatMul"),))
    for activations in ("int8", "int16"):
        data = dataset.random(graph)
        quantized = Quantize().apply(graph, PassContext(data=data, params={"activations": activations})).graph
        assert (quality.measure(graph, quantized, data).outputs[0].sqnr_db or 0) > 25


def test_tensors_of_one_name_keep_their_own_ranges():
    graph = convolutional(np.random.default_rng(1).normal(size=(10, 577)).astype(np.float32))
    for tensor in graph.tensors:
        tensor.name = "same"
    data = dataset.random(graph)
    quantized = Quantize().apply(graph, PassContext(data=data)).graph
    assert {t.name for t in quantized.tensors} == {"same"}
    assert (quality.measure(graph, quantized, data).outputs[0].cosine_similarity or 0) > 0.98


@pytest.mark.parametrize("inner", ["FULLY_CONNECTED", "ADD"])
@pytest.mark.parametrize("params", [{"io": "int8"}, {"io": "float32"}, {"activations": "int16", "io": "float32"}])
def test_an_output_that_feeds_an_operator_in_float_stays_an_output(inner, params, tmp_path):
    """The quantizer makes the DEQUANTIZE before SQUARE the output, and leaves the signature behind."""
    b = Builder()
    rng = np.random.default_rng(0)
    x = b.tensor((1, 8), name="x")
    if inner == "ADD":
        y = b.add("ADD", (x, x), (1, 8), options="Add")
    else:
        weights = b.constant(rng.normal(size=(8, 8)).astype(np.float32))
        y = b.add(
            "FULLY_CONNECTED", (x, weights, b.constant(np.zeros(8, np.float32))), (1, 8), options="FullyConnected"
        )
    graph = b.graph((x,), (y, b.add("SQUARE", (y,), (1, 8), options="Square")))
    graph.signatures = [Signature("serving_default", {"x": x}, {"inner": y, "last": graph.main.outputs[1]})]
    data = dataset.random(graph)
    quantized = Quantize().apply(graph, PassContext(data=data, params=params)).graph
    (signature,) = quantized.signatures
    assert tuple(signature.outputs.values()) == quantized.main.outputs
    assert tuple(signature.inputs.values()) == quantized.main.inputs
    assert [t.dtype for t in (*quantized.inputs, *quantized.outputs)] == [params["io"]] * 3
    tflite.write(quantized, tmp_path / "m.tflite")
    done = edgekit("compile", "m.tflite", "--target", "host", cwd=tmp_path)
    assert done.code == 0, done.err


def test_a_dead_network_has_a_scale():
    graph = dense(np.zeros((4, 8), np.float32), np.zeros(4, np.float32))
    quantized = Quantize().apply(graph, PassContext(data=dataset.random(graph))).graph
    assert all((t.quantization.scale > 0).all() for t in quantized.tensors if t.quantization is not None)


def test_a_network_that_computes_nan_is_refused():
    graph = unary("SQRT", (1, 4))
    data = Dataset([np.full((2, 1, 4), -1, np.float32)])
    with pytest.raises(ModelError, match="NaN or infinity on sample 0"):
        Quantize().apply(graph, PassContext(data=data))


def test_a_constant_that_nothing_uses_may_share_the_bytes_of_weights():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(16, 16)).astype(np.float32)
    b = Builder()
    x = b.tensor((1, 16), name="x")
    y = b.add("FULLY_CONNECTED", (x, b.constant(weights), -1), (1, 16), options="FullyConnected")
    b.constant(weights)
    data = Dataset([rng.normal(size=(8, 1, 16)).astype(np.float32)])
    quantized = Quantize().apply(b.graph((x,), (y,)), PassContext(data=data)).graph
    assert {tensor.dtype for tensor in quantized.constants()} == {"int8"}


def test_a_network_with_nothing_to_quantize_is_refused():
    with pytest.raises(ModelError, match="no operator of this network can be quantized"):
        Quantize().apply(unary("RELU", (1, 4)), PassContext(params={"activations": "float"}))


def test_a_quantized_network_is_refused_with_a_way_out(trained, unseen):
    quantized, _ = apply(trained, unseen, "int8")
    with pytest.raises(ModelError) as caught:
        apply(quantized, unseen, "int8")
    assert "--recipe as-is" in caught.value.hint


def test_samples_are_asked_for(trained):
    with pytest.raises(UsageError, match="need samples") as caught:
        apply(trained, None, "int8")
    assert "--data" in caught.value.hint


@pytest.mark.parametrize(
    "params",
    [
        {"weights": "int3"}, {"activations": "int4"}, {"granularity": "block"}, {"samples": 0}, {"samples": "all"},
        {"io": "int16"}, {"weights": "float16", "activations": "int8"}, {"bits": 8},
        {"samples": True}, {"activations": "float", "io": "int8"},
    ],
)  # fmt: skip
def test_wrong_parameters_are_one_clear_line(params, trained, unseen):
    with pytest.raises(UsageError, match=r"^quantize: "):
        Quantize().apply(trained, PassContext(data=unseen, params=params))


def test_progress_names_the_steps(trained, unseen):
    class Log:
        def __init__(self) -> None:
            self.steps: list[str] = []
            self.last = (0, 0)

        def step(self, name: str) -> None:
            self.steps.append(name)

        def advance(self, done: int, total: int) -> None:
            assert self.last[0] < done <= total
            self.last = (done, total)

        def warn(self, message: str) -> None: ...

    log = Log()
    Quantize().apply(trained, PassContext(data=unseen, progress=log))
    assert log.steps == ["calibrating on 200 samples", "quantizing"]
    assert log.last == (200, 200)


def test_every_error_is_edgekits_own(tmp_path):
    """A custom operator inside: calibration cannot run it, and says so."""
    graph = unary("RELU", (1, 4))
    graph.operators[0].custom, graph.operators[0].op = True, "Mystery"
    with pytest.raises(EdgekitError, match="LiteRT"):
        Quantize().apply(graph, PassContext(data=dataset.random(graph)))
    assert not list(Path(tmp_path).iterdir())
