"""The oracle for hybrid operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.graph import Graph, Quantization, tflite
from edgekit.reference.hybrid import rounded, with_float_weights
from edgekit.reference.litert import reference_outputs
from tests.networks.small import Builder

rng = np.random.default_rng(3)
WEIGHTS = rng.integers(-127, 128, (6, 16)).astype(np.int8)
SCALE = np.array([0.01], np.float32)


def network() -> Graph:
    b = Builder()
    x = b.tensor((3, 16), name="x")
    w = b.constant(WEIGHTS, quantization=Quantization(SCALE, np.array([0])))
    y = b.add("FULLY_CONNECTED", (x, w, b.constant(np.zeros(6, np.float32))), (3, 6), options="FullyConnected")
    return b.graph((x,), (y,))


def test_float_weights_compute_with_what_is_stored(tmp_path: Path) -> None:
    floats = with_float_weights(network())
    assert floats is not None and len(floats.operators) == 1
    tflite.write(floats, tmp_path / "floats.tflite")
    x = rng.normal(size=(5, 3, 16)).astype(np.float32)
    found = reference_outputs(tmp_path / "floats.tflite", [x])[0]
    np.testing.assert_allclose(found, x @ (WEIGHTS * SCALE).astype(np.float32).T, rtol=1e-4, atol=1e-4)


def test_the_default_kernels_are_as_far_from_float_as_rounded_activations(tmp_path: Path) -> None:
    """What :func:`rounded` says of XNNPACK: float arithmetic on rounded activations is what it computes."""
    graph = network()
    tflite.write(graph, tmp_path / "hybrid.tflite")
    x = rng.normal(size=(5, 3, 16)).astype(np.float32) + 0.5
    found = reference_outputs(tmp_path / "hybrid.tflite", [x], optimized=True)[0]
    real = rounded(graph, {0: x})[0] @ (WEIGHTS * SCALE).astype(np.float32).T
    plain = x @ (WEIGHTS * SCALE).astype(np.float32).T
    assert np.abs(found - real).max() < 0.25 * np.abs(found - plain).max()


@given(hnp.arrays(np.float32, (2, 3, 16), elements=st.floats(-100, 100, width=32)))
def test_rounding_is_within_half_a_step_of_each_row(x: np.ndarray) -> None:
    found = rounded(network(), {0: x})[0]
    low, high = np.minimum(x.min(-1, keepdims=True), 0), np.maximum(x.max(-1, keepdims=True), 0)
    step = (high - low).astype(np.float64) / 255
    assert np.all(np.abs(found - x) <= step * 1.01 + 1e-30), "the zero point moves the ends by half a step more"
    assert np.all(found[x == 0] == 0)


def test_other_operators_read_what_they_did() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    graph = b.graph((x,), (b.add("RELU", (x,), (1, 4)),))
    values = {0: np.array([[[0.1, 0.2, 0.3, 0.77]]], np.float32)}
    assert rounded(graph, values)[0] is values[0]
    assert with_float_weights(graph) is not None
