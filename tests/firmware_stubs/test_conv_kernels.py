"""The kernels of convolutions compute what TFLite's reference kernels compute, bit for bit."""

from __future__ import annotations

import ctypes
import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.codegen import fixed_point
from edgekit.codegen.schedule.mcu import packing
from tests.firmware_stubs import kernel_library as kernels

Library = tuple[ctypes.CDLL, packing.Packing]


@pytest.fixture(scope="module", params=kernels.PACKINGS)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return kernels.build(tmp_path_factory.mktemp("kernels"), request.param), request.param


@st.composite
def layers(draw: st.DrawFn, weights: tuple[int, ...], channels: int, fan_in: int) -> kernels.Layer:
    """A layer with weights of that shape, whose results fill the range more or less."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spread = draw(st.sampled_from([0.02, 0.5, 2.0, 30.0, 2000.0]))
    factors = np.exp(rng.uniform(-1, 1, channels)) * spread / np.sqrt(fan_in) / 64
    if draw(st.booleans()):
        factors[:] = factors[0]
    if draw(st.integers(0, 4)) == 0:
        factors[rng.integers(channels)] = draw(st.sampled_from([0.0, 1.0, 0.5, 0.25, 3.0, 2.0**-30]))
    pairs = [fixed_point.quantize_multiplier(factor) for factor in factors]
    bias = rng.integers(-(2 ** draw(st.sampled_from([4, 14, 29]))), 2**14, channels) if draw(st.booleans()) else None
    low = draw(st.sampled_from([-128, -128, -100, 3]))
    high = draw(st.sampled_from([127, 127, 99, 3]))
    least, most = draw(st.sampled_from([(-128, 127), (-127, 127), (-8, 7), (-7, 7)]))
    return kernels.Layer(
        rng.integers(least, most, weights, endpoint=True),
        bias,
        np.array([m for m, _ in pairs]),
        np.array([s for _, s in pairs]),
        draw(st.sampled_from([-128, 0, 127, 5])),
        draw(st.sampled_from([-128, 0, 127, -7])),
        (low, high),
    )


def values(shape: tuple[int, ...], seed: int) -> Any:
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


@st.composite
def convolutions(draw: st.DrawFn, depthwise: bool = False) -> packing.ConvShape:
    small = st.integers(1, 3)
    groups = 1 if depthwise else draw(st.sampled_from([1, 1, 1, 2, 3]))
    depth = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 12, 16, 19]))
    units = draw(st.integers(1, 3) if depthwise else st.sampled_from([1, 2, 3, 4, 5, 8, 13]))
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (3, 3), (5, 5), (1, 4), (2, 3), (4, 1), (7, 2)]))
    strides, dilations = (draw(small), draw(small)), (draw(small), draw(small))
    if draw(st.booleans()):
        strides = draw(st.sampled_from([(1, 1), (2, 2)]))
        dilations = (1, 1)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = [draw(st.integers(0, span - 1)) for span in spans]
    ends = [draw(st.integers(0, span - 1)) for span in spans]
    outs = [draw(st.integers(1, 9)) for _ in spans]
    ins = [
        max(1, (out - 1) * stride + span - pad - end + draw(st.integers(0, stride - 1)))
        for out, stride, span, pad, end in zip(outs, strides, spans, pads, ends, strict=True)
    ]
    channels = depth * units if depthwise else units * groups
    strip = draw(st.sampled_from([0, 0, 1, 2, 4])) if depthwise else 0
    return packing.ConvShape(
        *ins, depth * groups, *outs, channels, *kernel, *strides, *dilations, *pads, groups, min(strip, outs[0])
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_conv2d(library: Library, data: st.DataObject) -> None:
    shape = data.draw(convolutions())
    weights = (shape.out_c, shape.k_h, shape.k_w, shape.in_c // shape.groups)
    layer = data.draw(layers(weights, shape.out_c, int(np.prod(weights[1:]))))
    x = values((shape.in_h, shape.in_w, shape.in_c), data.draw(st.integers(0, 99)))
    overlap = shape.groups == 1 and data.draw(st.booleans())
    assert np.array_equal(kernels.conv(*library, shape, layer, x, overlap), kernels.expected_conv(shape, layer, x))


@pytest.mark.parametrize("channels", [(16, 16), (64, 64), (32, 8), (16, 33)], ids=str)
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 5, 1), (4, 7, 2)], ids=str)
@pytest.mark.parametrize("most", [127, 7])
def test_conv2d_of_pixels_lies_over_its_input(
    library: Library, channels: tuple[int, int], size: tuple[int, int, int], most: int
) -> None:
    """Some kernels read such pixels where they are."""
    (depth, units), (height, width, stride) = channels, size
    outs = -(-height // stride), -(-width // stride)
    shape = packing.ConvShape(height, width, depth, *outs, units, 1, 1, stride, stride)
    rng = np.random.default_rng(7)
    layer = kernels.Layer(
        rng.integers(-most, most, (units, 1, 1, depth), np.int8, endpoint=True), rng.integers(-999, 999, units),
        rng.integers(1 << 30, 1 << 31, units), np.full(units, -9), 3, -5, (-128, 127),
    )  # fmt: skip
    x = values((height, width, depth), 1)
    assert np.array_equal(kernels.conv(*library, shape, layer, x, True), kernels.expected_conv(shape, layer, x))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_depthwise(library: Library, data: st.DataObject) -> None:
    shape = data.draw(convolutions(depthwise=True))
    layer = data.draw(layers((shape.k_h, shape.k_w, shape.out_c), shape.out_c, shape.k_h * shape.k_w))
    x = values((shape.in_h, shape.in_w, shape.in_c), data.draw(st.integers(0, 99)))
    made = kernels.depthwise(*library, shape, layer, x, data.draw(st.booleans()))
    assert np.array_equal(made, kernels.expected_depthwise(shape, layer, x))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_dense(library: Library, data: st.DataObject) -> None:
    rows, units = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 11))
    depth = data.draw(st.sampled_from([1, 2, 3, 4, 7, 16, 33, 64, 130]))
    layer = data.draw(layers((units, depth), units, depth))
    x = values((rows, depth), data.draw(st.integers(0, 99)))
    assert np.array_equal(kernels.dense(*library, layer, x), kernels.expected_dense(layer, x))


@settings(max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.parametrize("library", ["rows"], indirect=True)
def test_floats(library: Library, data: st.DataObject) -> None:
    """Convolutions, depthwise ones and dense layers of float32, with and without limits."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kind = data.draw(st.sampled_from(["conv2d_f32", "depthwise_f32", "dense_f32"]))
    limits = data.draw(st.sampled_from([(-np.inf, np.inf), (0.0, 1.5)]))
    if kind == "dense_f32":
        rows, depth, units = (data.draw(st.integers(1, most)) for most in (3, 70, 30))
        x, weights, bias = (rng.normal(size=size) for size in ((rows, depth), (units, depth), units))
        shape: packing.ConvShape | packing.DenseShape = packing.DenseShape(rows, depth, units)
        packed, expected = packing.pack_floats(weights), x @ weights.T
    else:
        depthwise = kind == "depthwise_f32"
        shape = data.draw(convolutions(depthwise=depthwise))
        x, bias = rng.normal(size=(shape.in_h, shape.in_w, shape.in_c)), rng.normal(size=shape.out_c)
        if depthwise:
            packed = weights = rng.normal(size=(shape.k_h, shape.k_w, shape.out_c))
            expected = kernels.depthwise_sums(shape, weights, x)
        else:
            weights = rng.normal(size=(shape.out_c, shape.k_h, shape.k_w, shape.in_c // shape.groups))
            packed, expected = packing.pack_floats(weights, shape.groups), kernels.conv_sums(shape, weights, x)
    found = kernels.floats(getattr(library[0], kind), shape, packed, bias, x, expected.shape, limits)
    np.testing.assert_allclose(found, np.clip(expected + bias, *limits), rtol=1e-4, atol=1e-4)


@st.composite
def word_layers(draw: st.DrawFn) -> kernels.Words:
    """Layers of int16 of every kind, some with more products than 32 bits hold."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["conv2d", "conv2d", "depthwise", "dense"]))
    if kind == "dense":
        rows, units = draw(st.integers(1, 4)), draw(st.integers(1, 7))
        depth = draw(st.sampled_from([1, 2, 3, 7, 8, 16, 33, 495, 496, 497, 1100]))
        shape: packing.ConvShape | packing.DenseShape = packing.DenseShape(rows, depth, units)
        weights: tuple[int, ...] = (units, depth)
    else:
        shape = draw(convolutions(depthwise=kind == "depthwise"))
        if kind == "depthwise":
            shape = dataclasses.replace(shape, out_c=shape.in_c, strip=0)
        units = shape.out_c
        weights = (units, shape.k_h, shape.k_w, shape.in_c // shape.groups)
        weights = (shape.k_h, shape.k_w, units) if kind == "depthwise" else weights
    pairs = [fixed_point.quantize_multiplier(factor) for factor in np.exp(rng.uniform(-14, -2, units))]
    least, most = draw(st.sampled_from([(-127, 127), (-128, -128), (-8, 7)]))
    return kernels.Words(
        kind, shape, rng.integers(least, most, weights, endpoint=True), rng.integers(-(1 << 30), 1 << 30, units),
        np.array([m for m, _ in pairs]), np.array([s for _, s in pairs]), draw(st.integers(0, 3)),
        draw(st.sampled_from([(-32768, 32767), (0, 20000)])),
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_words(library: Library, data: st.DataObject) -> None:
    """int16 with int8 weights: random values, or the most that sums may reach."""
    layer = data.draw(word_layers())
    s = layer.shape
    size = (s.rows, s.inputs) if isinstance(s, packing.DenseShape) else (s.in_h, s.in_w, s.in_c)
    low = data.draw(st.sampled_from([-32768, -32768, 32767]))
    high = data.draw(st.sampled_from([32767, low]))
    x = np.random.default_rng(1).integers(min(low, high), max(low, high), size, np.int16, endpoint=True)
    overlap = getattr(s, "groups", 0) == 1 and data.draw(st.booleans())
    assert np.array_equal(kernels.word_kernel(*library, layer, x, overlap), layer.expected(x))


def test_rescale_rounds_ties_as_the_reference(library: Library) -> None:
    rng = np.random.default_rng(1)
    shift = rng.integers(-31, 9, 100_000)
    multiplier = np.where(rng.random(shift.size) < 0.3, 1 << 30, rng.integers(1 << 30, 1 << 31, shift.size))
    # Small numbers and multiples of halves: ties of both roundings, of both signs.
    largest = np.maximum(1, (1 << 30) >> np.maximum(shift, 0))
    x = rng.integers(-largest, largest)
    ties = rng.integers(-9, 9, x.size) << rng.integers(0, np.clip(-shift, 1, 20))
    x = np.where(rng.random(x.size) < 0.5, ties, x)
    twice, once = np.zeros(x.size, np.int32), np.zeros(x.size, np.int64)
    arrays = [array.astype(np.int32) for array in (x, multiplier, shift)]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in [*arrays, twice, once]]
    library[0].rescale(*pointers[:3], x.size, *pointers[3:])
    assert np.array_equal(twice, fixed_point.multiply_by_quantized_multiplier(x, multiplier, shift))
    assert np.array_equal(once, fixed_point.multiply_rounding_once(x, multiplier, shift))
