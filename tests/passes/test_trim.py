"""trim: the same network, fewer bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.data import dataset
from edgekit.errors import UsageError
from edgekit.graph import Graph, Quantization, tflite
from edgekit.graph.ir import Signature
from edgekit.passes import PassContext
from edgekit.passes.trim import Trim, trimmed
from edgekit.reference.litert import reference_outputs
from tests.e2e.command import edgekit
from tests.networks.building import Pictures
from tests.networks.small import Builder

LONG = "functional_1/block_3/conv2d_7/Relu;functional_1/block_3/batch_normalization/FusedBatchNormV3"


def network() -> Graph:
    b = Builder()
    x = b.tensor((1, 8, 8, 3), name="serving_default_input_1:0")
    kernel = b.constant(np.ones((4, 3, 3, 3), np.float32), name="functional_1/block_3/conv2d_7/kernel")
    y = b.add("CONV_2D", (x, kernel, b.constant(np.zeros(4, np.float32))), (1, 6, 6, 4), options="Conv2D",
              strideH=1, strideW=1, padding=1)  # fmt: skip
    b.tensors[y].name = LONG
    z = b.add("RELU", (y,), (1, 6, 6, 4))
    b.tensors[z].name = "StatefulPartitionedCall_1:0"
    graph = b.graph((x,), (z,))
    graph.signatures = [Signature("serving_default", {"image": x}, {"label": z})]
    graph.metadata = {"CONVERSION_METADATA": b"x" * 300, "TFLITE_METADATA": b"labels"}
    graph.description = "MLIR Converted."
    return graph


def test_ends_signatures_and_results_stay(tmp_path: Path) -> None:
    graph = network()
    made = trimmed(graph)
    assert [t.name for t in (*made.inputs, *made.outputs)] == [t.name for t in (*graph.inputs, *graph.outputs)]
    assert made.signatures == graph.signatures
    assert made.metadata == {"TFLITE_METADATA": b"labels"}
    assert [t.name for t in made.tensors if t.data is not None] == ["", ""]
    assert "conv2d_7/Relu" in [t.name for t in made.tensors]
    data = tflite.dumps(made)
    assert len(data) < len(tflite.dumps(graph)) - 400
    inputs = dataset.as_network_inputs(dataset.random(graph, seed=1, samples=2), graph)
    found = []
    for number, one in enumerate((graph, tflite.loads(data))):
        tflite.write(one, tmp_path / f"{number}.tflite")
        found.append(reference_outputs(tmp_path / f"{number}.tflite", inputs)[0])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("mnist_1/max_pooling2d_1/MaxPool2d", "pooling2d_1/MaxPool2d"),  # not ax_pooling2d_1
        ("mnist_1/max_pooling2d_1_2/MaxPool2d", "pooling2d_1_2/MaxPool2d"),
        ("mnist_1/conv2d_1/Relu", "conv2d_1/Relu"),
        ("a/separableconvolution2dlayer/Relu", "econvolution2dlayer/Relu"),  # a long word keeps its end
        ("separableconvolution2dlayerofmine", "convolution2dlayerofmine"),
        ("a/b_" + "x" * 30 + "/", "x" * 24),
    ],
)
def test_a_long_name_keeps_its_end_and_no_scrap_of_a_word(name: str, short: str) -> None:
    graph = network()
    graph.tensors[3].name = name
    assert trimmed(graph).tensors[3].name == short


def test_recorded_ranges_go_and_scales_stay() -> None:
    b = Builder()
    one = np.array([1], np.float32)
    scale = Quantization(np.array([0.5], np.float32), np.array([3]), minimum=one, maximum=one)
    x = b.tensor((1, 4), "int8", name="x", quantization=scale)
    made = trimmed(b.graph((x,), (b.add("RELU", (x,), (1, 4), "int8"),)))
    q = made.tensors[0].quantization
    assert q is not None and q.minimum is None and q.maximum is None and q.scale == 0.5 and q.zero_point == 3


def test_it_can_be_turned_off() -> None:
    graph = network()
    assert Trim().apply(graph, PassContext(params={"enabled": False})).graph is graph
    for params in ({"enabled": 1}, {"names": False}):
        with pytest.raises(UsageError, match="trim: "):
            Trim().apply(graph, PassContext(params=params))


def tiny() -> Graph:
    """Some 8,000 parameters behind names as converters write them."""
    rng = np.random.default_rng(2)
    b = Builder()
    y = x = b.tensor((1, 24), name="serving_default_x:0")
    for layer in range(14):
        name = f"sequential/block_{layer}/dense_{layer}/MatMul;sequential/block_{layer}/dense_{layer}/BiasAdd" * 2
        w = b.constant(rng.normal(size=(24, 24), scale=0.3).astype(np.float32), name=name)
        bias = b.constant(rng.normal(size=24).astype(np.float32), name=f"{name}/bias")
        relu = int(layer < 13)
        y = b.add("FULLY_CONNECTED", (y, w, bias), (1, 24), options="FullyConnected", fusedActivationFunction=relu)
        b.tensors[y].name = f"{name}/Relu"
    return b.graph((x,), (y,))


def test_int8_of_a_tiny_network_is_smaller_than_its_float16(tmp_path: Path) -> None:
    tflite.write(tiny(), tmp_path / "net.tflite")
    sizes = {}
    for recipe in ("int8", "float16", "as-is"):
        arguments = ["--recipe", recipe, "--data", "random", "--target", "host", "--out", tmp_path, "--json"]
        (made,) = edgekit("compile", tmp_path / "net.tflite", *arguments).json["bundles"]
        sizes[recipe] = next(f["bytes"] for f in made["artifact"]["files"] if f["path"] == "model.tflite")
        assert made["parity"]["ok"] and edgekit("verify", made["path"], "--json").json["ok"]
    assert sizes["int8"] < 0.8 * sizes["float16"] < 0.7 * sizes["as-is"], sizes


def test_a_recipe_that_does_not_pay_is_told(tmp_path: Path) -> None:
    b = Builder()
    y = x = b.tensor((1, 2), name="x")
    for _ in range(6):
        y = b.add("FULLY_CONNECTED", (y, b.constant(np.eye(2, dtype=np.float32)), -1), (1, 2), options="FullyConnected")
    tflite.write(b.graph((x,), (y,)), tmp_path / "net.tflite")
    result = edgekit("compile", tmp_path / "net.tflite", "--recipe", "int8", "--data", "random", "--target", "host",
                     "--out", tmp_path)  # fmt: skip
    assert result.code == 0 and "the recipe int8 makes this network larger" in result.err


@pytest.mark.parametrize("slower", [True, False])
def test_a_recipe_that_is_estimated_slower_is_told(slower: bool, tmp_path: Path) -> None:
    """ELU has no integer kernel: each stays in float, between two conversions that additions do not pay for."""
    n = Pictures()
    y = x = n.tensor((1, 16, 16, 16))
    for _ in range(4):
        y = n.add("ELU", (n.add2("ADD", y, y),), (1, 16, 16, 16)) if slower else n.conv(y, 16, (3, 3))
    tflite.write(n.graph((x,), (y,)), tmp_path / "net.tflite")
    arguments = ["--recipe", "int8", "--data", "random", "--target", "jetson-orin-nano-cpu", "--out", tmp_path]
    result = edgekit("compile", tmp_path / "net.tflite", *arguments)
    assert result.code == 0, result.err
    told = "jetson-orin-nano-cpu: the recipe int8 is estimated slower than the network as it is"
    assert (told in result.err) == slower
