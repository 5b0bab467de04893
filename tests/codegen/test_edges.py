"""Lowering and schedules at their edges: what is just refused, what just fits, which operator a kernel stands for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.codegen import fixed_point as fx
from edgekit.codegen.kernels import Conv2D, MatMul
from edgekit.codegen.loops import Conv
from edgekit.codegen.lower import lower, unsupported_reason
from edgekit.codegen.rules.convolutions import apart_unsupported, weights_unsupported
from edgekit.codegen.rules.padding import MOST_MOVES, batches_unsupported
from edgekit.codegen.schedule import cpu
from edgekit.codegen.schedule.machine import Machine
from edgekit.codegen.schedule.tiles import divisors, tile
from edgekit.errors import ModelError
from edgekit.graph import Quantization, tflite
from edgekit.reference.litert import reference_outputs
from tests.codegen.interpreter import run
from tests.networks.building import Pictures, as_integers, given
from tests.networks.small import Builder


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(2.0**-32, (1 << 30, -31)), (2.0**-33, (0, 0)), (0.75, (3 << 29, 0)), (3.0, (3 << 29, 2)), (1.0, (1 << 30, 1))],
)
def test_the_smallest_multiplier(factor: float, expected: tuple[int, int]) -> None:
    assert fx.quantize_multiplier(factor) == expected


def test_lanes_are_powers_of_two() -> None:
    for channels, lanes in ((1, 1), (6, 2), (12, 4), (9, 1), (40, 8), (48, 16)):
        assert tile(12, channels, Machine(16, 32))[2] == lanes
    assert tile(12, 48, Machine(8, 32))[2] == 8
    assert divisors(12, 5) == [1, 2, 3, 4] and divisors(12, 12) == [1, 2, 3, 4, 6, 12] and divisors(7, 3) == [1]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_what_a_padded_convolution_reads_has_a_halo(padding: str) -> None:
    """3x3 on 8x8: a row and a column of zeros on each side, written by the convolution before it."""
    n = Pictures()
    x = n.tensor((1, 8, 8, 8))
    y = n.conv(x, 8, (1, 1))
    n.conv(y, 8, (3, 3), valid=padding == "VALID")
    program = cpu.schedule(lower(n.all_results(x)), Machine(8, 16))
    halos = [buffer.halo for buffer in program.buffers if buffer.halo is not None]
    if padding == "VALID":
        assert halos == []
        return
    assert [(halo.outer, halo.inner, halo.value) for halo in halos] == [((10, 10, 8), (1, 1, 8, 8), 0)]


@pytest.mark.parametrize(("op", "good"), [("QUANTIZE", True), ("RELU", False)])
def test_unsigned_bytes_come_in_through_quantize_only(op: str, good: bool) -> None:
    b = Builder()
    scale = Quantization(np.array([0.5], np.float32), np.array([3]))
    x = b.tensor((1, 4), "uint8", name="x", quantization=scale)
    y = b.add(op, (x,), (1, 4), "int8")
    b.tensors[y].quantization = scale
    graph = b.graph((x,), (y,))
    assert unsupported_reason(graph, graph.operators[0]) == ("" if good else "there is no kernel for uint8")


@pytest.mark.parametrize(("inputs", "outputs"), [((2, 7), (2, 3)), ((2, 8), (2, 4)), ((2, 8), (3, 3))])
def test_a_dense_layer_whose_shapes_do_not_fit(inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    b = Builder()
    x = b.tensor(inputs, name="x")
    weights = b.constant(np.ones((3, 4), np.float32))
    y = b.add("FULLY_CONNECTED", (x, weights, -1), outputs, options="FullyConnected", fusedActivationFunction=0)
    with pytest.raises(ModelError, match="do not fit"):
        lower(b.graph((x,), (y,)))


def test_weights_that_no_kernel_takes() -> None:
    n = Pictures()
    x = n.tensor((1, 8, 8, 8))
    n.depthwise(x)
    graph = n.all_results(x)
    operator = graph.operators[0]
    assert weights_unsupported(graph, operator) == ""
    graph.tensors[x].shape = (1, 8, 8, 4)
    assert apart_unsupported(graph, operator) == "it has a channel multiplier"
    operator.op = "CONV_2D"
    assert apart_unsupported(graph, operator) == "it is a grouped convolution"
    graph.tensors[operator.inputs[2]].data = None
    assert weights_unsupported(graph, operator) == "its bias is not constant"
    graph.tensors[x].dtype = "int8"
    assert weights_unsupported(graph, operator) == "its weights are float32, its input is int8"
    graph.tensors[operator.inputs[1]].data = None
    assert weights_unsupported(graph, operator) == "its weights are not constant"


@pytest.mark.parametrize(
    ("op", "able"),
    [("CONV_2D", ("int8", "int16")), ("FULLY_CONNECTED", ("int8", "int16")), ("DEPTHWISE_CONV_2D", ("int8",)),
     ("TRANSPOSE_CONV", ())],
)  # fmt: skip
def test_weights_of_four_bits_where_litert_takes_them(op: str, able: tuple[str, ...]) -> None:
    for dtype in ("int8", "int16"):
        n = Pictures()
        x = n.tensor((1, 8, 8, 8), dtype)
        n.conv(x, 8)
        operator = n.operators[0]
        operator.op = op
        weights = n.tensors[operator.inputs[1]]
        weights.dtype, weights.data = "int4", np.zeros(weights.elements // 2, np.uint8)
        n.tensors[operator.inputs[2]].dtype = "int64" if dtype == "int16" else "int32"
        if op == "TRANSPOSE_CONV":
            operator.inputs = (x, operator.inputs[1], x, operator.inputs[2])
        expected = "" if dtype in able else f"its weights are int4, its input is {dtype}"
        assert weights_unsupported(n.all_results(x), operator) == expected


@pytest.mark.parametrize(("sizes", "reason"), [
    ((1, MOST_MOVES), ""), ((1, MOST_MOVES + 1), f"it is more than {MOST_MOVES} pieces"),
    ((0, 1), "its blocks have no size"),
])  # fmt: skip
def test_blocks_of_batches(sizes: tuple[int, int], reason: str) -> None:
    b = Builder()
    x = b.tensor((1, 4, 4, 1), name="x")
    shape, pads = b.constant(np.array(sizes, np.int32)), b.constant(np.zeros((2, 2), np.int32))
    graph = b.graph((x,), (b.add("SPACE_TO_BATCH_ND", (x, shape, pads), (4, 2, 2, 1)),))
    assert batches_unsupported(graph, graph.operators[0]) == reason


def test_blocks_of_unlike_axes(tmp_path: Path) -> None:
    """[1, 4, 9, 2] in blocks of 2 by 3, and back, with padding that differs by axis and side."""
    b = Builder()
    x = b.tensor((1, 4, 9, 2), name="x")
    sizes = b.constant(np.array([2, 3], np.int32))
    y = b.add("SPACE_TO_BATCH_ND", (x, sizes, b.constant(np.array([[1, 1], [0, 3]], np.int32))), (6, 3, 4, 2))
    z = b.add("BATCH_TO_SPACE_ND", (y, sizes, b.constant(np.array([[1, 0], [2, 1]], np.int32))), (1, 5, 9, 2))
    graph = b.graph((x,), (y, z))
    tflite.write(graph, tmp_path / "n.tflite")
    inputs = given(graph)
    expected = reference_outputs(tmp_path / "n.tflite", inputs)
    for found, wanted in zip(run(lower(graph), [inputs[0][0]]), expected, strict=True):
        np.testing.assert_array_equal(found, wanted[0].reshape(found.shape))


def test_kernels_name_the_operators_that_they_stand_for() -> None:
    """The DEQUANTIZE of float16 weights is an operator of the graph, but no kernel; later ones keep their numbers."""
    b = Builder()
    x = b.tensor((1, 4), name="x")
    layers = []
    for _ in range(2):
        real = b.add("DEQUANTIZE", (b.constant(np.ones((4, 4), np.float16)),), (4, 4))
        x = b.add("FULLY_CONNECTED", (x, real, -1), (1, 4), options="FullyConnected", fusedActivationFunction=0)
        layers.append(len(b.operators) - 1)
    kernels = lower(b.graph((0,), (x,))).kernels
    assert [type(kernel) for kernel in kernels] == [MatMul, MatMul] and [kernel.node for kernel in kernels] == layers


def test_several_feature_maps_are_taken_apart() -> None:
    n = Pictures()
    x = n.tensor((3, 5, 5, 4))
    weights, bias = n.weights(8, 1, 1, 4, fan_in=4), n.bias(8)
    n.add("CONV_2D", (x, weights, bias), (3, 5, 5, 8), options="Conv2D", strideH=1, strideW=1, dilationHFactor=1,
          dilationWFactor=1, padding=1, fusedActivationFunction=0)  # fmt: skip
    kernels = lower(n.all_results(x)).kernels
    assert len([kernel for kernel in kernels if isinstance(kernel, Conv2D)]) == 3


@pytest.mark.parametrize(("depth", "integers", "outer"), [(28, False, False), (32, False, True), (32, True, False)])
def test_weights_that_the_first_cache_does_not_hold(depth: int, integers: bool, outer: bool) -> None:
    """32 outputs of 3 x 3 x 32 floats are 36 KiB, of 28 31.5 KiB, and integers take a quarter: 32 KiB stay there."""
    n = Pictures()
    x = n.tensor((1, 8, 8, depth))
    n.conv(x, 32, (3, 3))
    graph = n.all_results(x)
    graph = as_integers(graph, np.random.default_rng(0)) if integers else graph
    (nest,) = [call.loops for call in cpu.schedule(lower(graph), Machine(8, 16)).calls if isinstance(call.loops, Conv)]
    assert nest.outer is outer
