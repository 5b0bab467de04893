from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.data import dataset
from edgekit.graph import Quantization, Tensor
from edgekit.metrics import quality
from edgekit.passes import PassContext
from edgekit.passes.quantize import Quantize
from tests.networks.small import convolutional, dense

REALS = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3, width=32))


@given(REALS, st.floats(1e-3, 1e3))
def test_relative_error_and_sqnr_do_not_depend_on_scale_and_agree(w, factor):
    q = np.rint(w)
    relative, sqnr = quality.relative_error(w, q), quality.sqnr_db(w, q)
    if relative is None:
        assert not w.any() and sqnr is None
        return
    scaled = quality.relative_error(w * factor, q * factor)
    assert scaled is not None and math.isclose(scaled, relative, rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(relative * float(np.linalg.norm(w)), quality.absolute_error(w, q), rel_tol=1e-9, abs_tol=1e-12)
    if sqnr is not None:
        power = float((w**2).sum() / ((w - q) ** 2).sum())
        assert math.isclose(sqnr, 10 * math.log10(power), rel_tol=1e-6, abs_tol=1e-6)


@given(REALS)
def test_nothing_lost_is_no_error_and_no_ratio(w):
    assert quality.absolute_error(w, w) == 0
    assert quality.sqnr_db(w, w) is None
    cosine = quality.cosine_similarity(w, w)
    assert cosine is not None and math.isclose(cosine, 1)
    opposite = quality.cosine_similarity(w, -w)
    assert opposite is not None and math.isclose(opposite, -1 if w.any() else 1)


def test_known_figures():
    w, q = np.array([3.0, 4.0]), np.array([3.0, 3.5])
    assert quality.absolute_error(w, q) == 0.5
    assert quality.relative_error(w, q) == pytest.approx(0.1)
    assert quality.sqnr_db(w, q) == pytest.approx(20.0)
    assert quality.cosine_similarity(np.array([1, 0]), np.array([1, 1])) == pytest.approx(math.sqrt(0.5))
    assert quality.cosine_similarity(np.array([0, 0]), np.array([1, 1])) is None


CASES = hnp.arrays(np.float32, (4, 6), elements=st.floats(-100, 100, width=32))


@given(CASES, st.booleans(), st.sampled_from(["int8", "int16", "uint8"]))
def test_quantize_and_dequantize_are_half_a_step_apart_inside_the_range(w, per_channel, dtype):
    info = np.iinfo(dtype)
    count = 4 if per_channel else 1
    bound = np.abs(w.reshape(count, -1)).max(axis=1) + np.float32(1e-3)
    zero = np.full(count, 0 if info.min < 0 else 128, np.int64)
    steps = min(info.max - zero[0], zero[0] - info.min)
    q = Quantization((bound / steps).astype(np.float32), zero, axis=0)
    integers = q.quantize(w, dtype)
    scale = q.scale.reshape(-1, 1)
    assert integers.dtype == np.dtype(dtype)
    assert (np.abs(q.dequantize(integers) - w) <= scale * 0.501 + 1e-6).all()
    np.testing.assert_array_equal(q.quantize(q.dequantize(integers), dtype), integers)
    tensor = Tensor("w", w.shape, dtype, q, np.ascontiguousarray(integers).reshape(-1).view(np.uint8))
    assert quality.saturated(w.astype(np.float64), tensor) == 0


def test_saturated_is_the_share_outside_the_range():
    q = Quantization(np.array([1.0], np.float32), np.array([0]))
    tensor = Tensor("w", (4,), "int8", q, np.zeros(4, np.uint8))
    assert quality.saturated(np.array([127.4, 127.6, -128.4, -128.6]), tensor) == 0.5
    tensor.dtype = "int4"
    assert quality.saturated(np.array([7.4, 7.6, -8.4, 0.0]), tensor) == 0.25


@pytest.mark.parametrize(
    ("params", "dtypes", "scales"),
    [
        ({"weights": "int8", "activations": "int8"}, ["int8", "int32", "int8", "int32"], [16, 16, 10, 10]),
        ({"weights": "int8", "activations": "int8", "granularity": "tensor"}, ["int8", "int32"] * 2, [1, 1, 1, 1]),
        ({"weights": "int8", "activations": "int16"}, ["int8", "int64", "int8", "int64"], [16, 16, 10, 10]),
        ({"weights": "int4", "activations": "float"}, ["int4", "int4"], [16, 10]),
        ({"weights": "float16", "activations": "float"}, ["float16", "float16"], [0, 0]),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_every_quantized_constant_is_found_by_name_or_by_place(params, dtypes, scales, named):
    graph = convolutional(np.random.default_rng(1).normal(size=(10, 577)).astype(np.float32))
    if not named:
        for tensor in graph.tensors:
            tensor.name = "same"
    data = dataset.random(graph)
    found = quality.measure(graph, Quantize().apply(graph, PassContext(data=data, params=params)).graph, data)
    if params["weights"] == "float16":  # its biases are float16 too or stay: only weights are promised
        found.tensors[:] = [t for t in found.tensors if len(t.shape) > 1]
    assert [t.dtype for t in found.tensors] == dtypes
    assert [t.scales for t in found.tensors] == scales
    for tensor in found.tensors:
        assert tensor.relative_error is not None and 0 < tensor.relative_error < 0.2
        assert tensor.sqnr_db == pytest.approx(-20 * math.log10(tensor.relative_error))
        assert tensor.saturated == 0
    assert found.samples == 32
    assert found.outputs[0].cosine_similarity is not None and found.outputs[0].cosine_similarity > 0.7
    json.dumps(found.json(), allow_nan=False)


def test_finer_scales_lose_less():
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(8, 64)).astype(np.float32) * np.geomspace(0.01, 1, 8, dtype=np.float32)[:, None]
    graph = dense(weights, np.zeros(8, np.float32))
    sqnr = {}
    for granularity in ("channel", "tensor"):
        quantized = (
            Quantize().apply(graph, PassContext(params={"activations": "float", "granularity": granularity})).graph
        )
        sqnr[granularity] = quality.weights(graph, quantized)[0].sqnr_db
    assert sqnr["channel"] > sqnr["tensor"]  # type: ignore[operator]


def test_without_data_only_weights_are_compared():
    graph = dense(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    quantized = Quantize().apply(graph, PassContext(params={"activations": "float"})).graph
    found = quality.measure(graph, quantized)
    assert found.outputs == [] and found.samples == 0 and len(found.tensors) == 1
