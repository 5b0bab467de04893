"""A network put together from its quantizations: each part computes what it computes in the whole it comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.data import dataset
from edgekit.data.dataset import Dataset, as_network_inputs
from edgekit.errors import ModelError
from edgekit.graph import Graph, Signature, tflite
from edgekit.graph.check import check
from edgekit.graph.floats import restore
from edgekit.graph.mixture import Mixture, counterparts, mix
from edgekit.passes import PassContext
from edgekit.passes.quantize import Quantize
from edgekit.reference.litert import reference_outputs, reference_tensors
from tests.networks.small import MODELS, Builder, convolutional, unary
from tests.training.networks import NETWORKS

PRECISIONS = ("int8", "int16", "float32")


def versions(graph: Graph, data: Dataset) -> dict[str, Graph]:
    return {
        name: Quantize().apply(graph, PassContext(data=data, params={"activations": name})).graph
        for name in ("int8", "int16")
    }


def outputs(graph: Graph, data: Dataset, folder: Path) -> list[np.ndarray]:
    tflite.write(graph, folder / "model.tflite")
    return reference_outputs(folder / "model.tflite", as_network_inputs(data, graph))


@pytest.fixture(scope="module")
def network() -> tuple[Graph, Dataset, dict[str, Graph]]:
    graph = convolutional(np.random.default_rng(0).normal(size=(10, 577)).astype(np.float32) / 100)
    data = dataset.random(graph, samples=8)
    return graph, data, versions(graph, data)


@pytest.mark.parametrize("name", ["ic_resnet8_fp32", "kws_fp32", "ad01_fp32"])
@pytest.mark.parametrize("precision", ["int8", "int16"])
def test_all_of_one_version_is_that_version(name, precision, tmp_path):
    path = MODELS / "mlperf_tiny" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("shared/models is not here")
    graph = restore(tflite.read(path))[0]
    data = dataset.random(graph, samples=4)
    made = versions(graph, data)
    mixed = mix(graph, made, [precision] * len(graph.operators)).graph
    check(mixed)
    for a, b in zip(outputs(mixed, data, tmp_path), outputs(made[precision], data, tmp_path), strict=True):
        np.testing.assert_array_equal(a, b)


OPERATORS = ["MUL of activations", "LESS SELECT", "TRANSPOSE_CONV", "dilated", "GATHER by an input", "BATCH_MATMUL",
             "PADV2", "joined", "SPLIT", "UNPACK", "ARG_MAX", "PRELU"]  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_of_every_kind_keep_their_constants_and_their_forms(name, tmp_path):
    graph = NETWORKS[name]
    data = dataset.random(graph, samples=4)
    int8 = Quantize().apply(graph, PassContext(data=data, params={"io": "float32"})).graph
    mixed = mix(graph, {"int8": int8}, ["int8"] * len(graph.operators), io="float32").graph
    check(mixed)
    for a, b in zip(outputs(mixed, data, tmp_path), outputs(int8, data, tmp_path), strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_float_is_the_float_network(network):
    graph, _, made = network
    assert tflite.dumps(mix(graph, made, ["float32"] * len(graph.operators)).graph) == tflite.dumps(graph)


@settings(deadline=None, max_examples=25)
@given(choice=st.lists(st.sampled_from(PRECISIONS), min_size=5, max_size=5), io=st.sampled_from(["", "float32"]))
def test_any_mixture_runs_and_stays_near_the_float_network(network, tmp_path_factory, choice, io):
    graph, data, made = network
    folder = tmp_path_factory.mktemp("mixture")
    before = {name: tflite.dumps(g) for name, g in [*made.items(), ("float32", graph)]}
    mixed = mix(graph, made, choice, io=io)
    check(mixed.graph)
    assert {name: tflite.dumps(g) for name, g in [*made.items(), ("float32", graph)]} == before
    wanted = ["float32", "float32"] if io else [choice[0], choice[-1]]
    assert [mixed.graph.inputs[0].dtype, mixed.graph.outputs[0].dtype] == wanted
    assert [mixed.graph.operators[i].op for i, o in enumerate(mixed.origin) if o >= 0] == [
        o.op for o in graph.operators
    ]
    found, tensor = outputs(mixed.graph, data, folder)[0], mixed.graph.outputs[0]
    real = tensor.quantization.dequantize(found) if tensor.quantization and found.dtype.kind == "i" else found
    np.testing.assert_allclose(real, outputs(graph, data, folder)[0], atol=0.1)


def test_a_part_computes_what_it_computes_in_its_whole(network, tmp_path):
    """Integer operators at the beginning give the same integers, whatever follows."""
    graph, data, made = network
    mixed = mix(graph, made, ["int8", "int8", "int8", "float32", "int16"])
    names = {tensor.name: i for i, tensor in enumerate(made["int8"].tensors)}
    tflite.write(mixed.graph, tmp_path / "mixed.tflite")
    tflite.write(made["int8"], tmp_path / "int8.tflite")
    ours = reference_tensors(tmp_path / "mixed.tflite", as_network_inputs(data, mixed.graph))
    theirs = reference_tensors(tmp_path / "int8.tflite", as_network_inputs(data, made["int8"]))
    for number in range(3):
        (index,) = mixed.outputs_of(number)
        np.testing.assert_array_equal(ours[index], theirs[names[mixed.graph.tensors[index].name]])


def test_conversions_are_made_once_and_only_where_forms_differ(network):
    graph, _, made = network

    def borders(mixture: Mixture) -> list[str]:
        return [o.op for o, n in zip(mixture.graph.operators, mixture.origin, strict=True) if n < 0]

    assert borders(mix(graph, made, ["int8"] * 5)) == []
    assert borders(mix(graph, made, ["int8", "int8", "float32", "float32", "float32"])) == ["DEQUANTIZE"]
    assert borders(mix(graph, made, ["int8", "int16", "int16", "int8", "int8"])) == ["QUANTIZE", "QUANTIZE"]
    b = Builder()
    x = b.tensor((1, 4), name="x")
    y = b.add("RELU", (x,), (1, 4))
    z = b.add("ADD", (y, b.add("TANH", (y,), (1, 4))), (1, 4), options="Add")
    twice = b.graph((x,), (z,))
    data = dataset.random(twice, samples=4)
    assert borders(mix(twice, versions(twice, data), ["float32", "int8", "int8"])) == ["QUANTIZE"]


def test_signatures_follow(network):
    graph, data, _ = network
    named = Graph(
        graph.subgraphs, [Signature("serve", {"picture": graph.main.inputs[0]}, {"p": graph.main.outputs[0]})]
    )
    mixed = mix(named, versions(named, data), ["float32", "int8", "int8", "int8", "float32"]).graph
    (signature,) = mixed.signatures
    assert (signature.inputs, signature.outputs) == (
        {"picture": mixed.main.inputs[0]}, {"p": mixed.main.outputs[0]},
    )  # fmt: skip


def test_another_network_is_refused(network):
    _, _, made = network
    with pytest.raises(ModelError, match="operators differ"):
        counterparts(unary("RELU", (1, 4)), made["int8"])
