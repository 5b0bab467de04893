from __future__ import annotations

import numpy as np
import pytest

from edgekit.data import dataset
from edgekit.errors import ModelError, UsageError
from edgekit.graph import tflite
from edgekit.passes import PassContext
from edgekit.passes.float32 import Float32
from edgekit.passes.quantize import Quantize
from edgekit.reference.litert import reference_outputs
from tests.networks.small import MODELS, convolutional, dense

HEAD = np.random.default_rng(5).normal(size=(10, 577)).astype(np.float32)


def test_a_float_network_comes_back_as_it_is():
    graph = convolutional(HEAD)
    assert Float32().apply(graph, PassContext()).graph is graph


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_weights_of_reduced_precision_become_float32_with_the_same_values(weights, tmp_path):
    original = convolutional(HEAD)
    reduced = Quantize().apply(original, PassContext(params={"weights": weights, "activations": "float"})).graph
    before = tflite.dumps(reduced)

    context = PassContext()
    passed = Float32().apply(reduced, context)
    restored = passed.graph

    assert tflite.dumps(reduced) == before, "the pass changed the Graph it was given"
    assert passed.report.json()["restored_tensors"] > 0
    assert [o.op for o in restored.operators] == [o.op for o in original.operators]
    constants = {t.name: t for t in restored.constants()}
    assert {t.dtype for t in constants.values()} == {"float32", "int32"}
    if weights == "float16":
        source = next(t for t in original.constants() if t.name == "kernel").array()
        kernel = next(t for name, t in constants.items() if name.startswith("kernel"))
        np.testing.assert_array_equal(kernel.array(), source.astype(np.float16).astype(np.float32))
        x = dataset.random(original, samples=4).inputs
        for name, graph in (("reduced", reduced), ("restored", restored)):
            tflite.write(graph, tmp_path / f"{name}.tflite")
        outputs = [reference_outputs(tmp_path / f"{n}.tflite", x)[0] for n in ("reduced", "restored")]
        np.testing.assert_array_equal(*outputs)


def test_a_hybrid_network_loses_its_int8_weights():
    path = MODELS / "mlperf_tiny" / "kws_fp32.tflite"
    if not path.is_file():
        pytest.skip("shared/models is not here")
    graph = tflite.read(path)
    assert sum(t.dtype == "int8" for t in graph.constants()) == 5  # "fp32" by name only
    restored = Float32().apply(graph, PassContext()).graph
    assert not any(t.dtype == "int8" for t in restored.tensors)
    kernel = next(t for t in graph.constants() if t.dtype == "int8")
    float_kernel = next(t for t in restored.constants() if t.name == kernel.name)
    assert kernel.quantization is not None
    np.testing.assert_array_equal(float_kernel.array(), kernel.quantization.dequantize(kernel.array()))


def test_integer_networks_are_refused():
    graph = dense(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    quantized = Quantize().apply(graph, PassContext(data=dataset.random(graph))).graph
    with pytest.raises(ModelError) as caught:
        Float32().apply(quantized, PassContext())
    assert "--recipe as-is" in caught.value.hint


def test_parameters_are_refused():
    with pytest.raises(UsageError, match="takes no parameters"):
        Float32().apply(convolutional(), PassContext(params={"bits": 16}))
