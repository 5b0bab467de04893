"""Core ML packages: each operator in each precision against LiteRT, what is refused, and bytes that do not change."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import bundle, plugins, resources, target
from edgekit.api.compile import compile
from edgekit.backends import unsupported
from edgekit.backends.coreml import operators
from edgekit.backends.coreml.ends import entered, left
from edgekit.errors import DeviceError, ModelError
from edgekit.graph import Graph, Operator, tflite
from edgekit.graph.ir import Quantization
from edgekit.runners import RunOptions, once
from edgekit.runners import get as get_runner
from tests.networks.small import Builder, convolutional, dense

RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return RNG.normal(size=shape).astype(np.float32)


def everything() -> Graph:
    """One network with most operators, in both layouts: pictures, then rows."""
    b = Builder()
    x = b.tensor((1, 8, 8, 4), name="picture/1")

    def windows(op: str, source: int, out: tuple[int, ...], kind: str, **options: Any) -> int:
        return b.add(op, (source,), out, options=kind, **options)

    y = b.add("PAD", (x, b.constant(np.array([[0, 0], [1, 0], [0, 1], [0, 0]], np.int32))), (1, 9, 9, 4), options="Pad")
    y = b.add(
        "CONV_2D", (y, b.constant(weights(6, 3, 2, 4)), b.constant(weights(6))), (1, 5, 5, 6), options="Conv2D",
        strideH=2, strideW=2, padding=0, fusedActivationFunction=1, dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip
    y = b.add(
        "DEPTHWISE_CONV_2D", (y, b.constant(weights(1, 3, 3, 12)), b.constant(weights(12))), (1, 5, 5, 12),
        options="DepthwiseConv2D", strideH=1, strideW=1, padding=0, depthMultiplier=2, fusedActivationFunction=3,
        dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip
    pooled = {"strideH": 1, "strideW": 1, "filterHeight": 3, "filterWidth": 2, "padding": 0}
    a = windows("AVERAGE_POOL_2D", y, (1, 5, 5, 12), "Pool2D", **pooled)
    m = windows("MAX_POOL_2D", y, (1, 5, 5, 12), "Pool2D", **pooled)
    y = b.add("ADD", (a, b.constant(weights(12))), (1, 5, 5, 12), options="Add", fusedActivationFunction=2)
    y = b.add("MUL", (y, m), (1, 5, 5, 12), options="Mul")
    y = b.add("CONCATENATION", (y, m), (1, 5, 5, 24), options="Concatenation", axis=3)
    y = b.add("LEAKY_RELU", (y,), (1, 5, 5, 24), options="LeakyRelu", alpha=0.25)
    y = b.add(
        "TRANSPOSE_CONV",
        (b.constant(np.array([1, 10, 10, 3], np.int32)), b.constant(weights(3, 3, 3, 24)), y),
        (1, 10, 10, 3), options="TransposeConv", strideH=2, strideW=2, padding=0,
    )  # fmt: skip
    y = b.add("PRELU", (y, b.constant(weights(1, 1, 3))), (1, 10, 10, 3))
    y = b.add(
        "RESIZE_BILINEAR", (y, b.constant(np.array([7, 15], np.int32))), (1, 7, 15, 3), options="ResizeBilinear",
        halfPixelCenters=True, alignCorners=False,
    )  # fmt: skip
    y = b.add(
        "RESIZE_NEAREST_NEIGHBOR", (y, b.constant(np.array([14, 15], np.int32))), (1, 14, 15, 3),
        options="ResizeNearestNeighbor",
    )  # fmt: skip
    y = b.add(
        "STRIDED_SLICE",
        (y, *(b.constant(np.array(v, np.int32)) for v in ([0, 1, 0, 0], [1, 13, -1, 3], [1, 2, 1, 1]))),
        (1, 6, 14, 3), options="StridedSlice",
    )  # fmt: skip
    y = b.add("SPACE_TO_DEPTH", (y,), (1, 3, 7, 12), options="SpaceToDepth", blockSize=2)
    y = b.add("DEPTH_TO_SPACE", (y,), (1, 6, 14, 3), options="DepthToSpace", blockSize=2)
    y = b.add("HARD_SWISH", (y,), (1, 6, 14, 3))
    mean = b.add("MEAN", (y, b.constant(np.array([1, 2], np.int32))), (1, 3), options="Reducer", keepDims=False)
    rows = b.add("RESHAPE", (y,), (6, 42), options="Reshape", newShape=[6, 42])
    rows = b.add("FULLY_CONNECTED", (rows, b.constant(weights(9, 42)), b.constant(weights(9))), (6, 9),
                 options="FullyConnected")  # fmt: skip
    rows = b.add("GELU", (rows,), (6, 9), options="Gelu", approximate=False)
    turned = b.add("TRANSPOSE", (rows, b.constant(np.array([1, 0], np.int32))), (9, 6), options="Transpose")
    square = b.add("BATCH_MATMUL", (rows, turned), (6, 6), options="BatchMatMul")
    square = b.add("TANH", (square,), (6, 6))
    square = b.add("SUM", (square, b.constant(np.array([0], np.int32))), (1, 6), options="Reducer", keepDims=True)
    square = b.add("SOFTMAX", (square,), (1, 6), options="Softmax", beta=1.0)
    return b.graph((x,), (square, mean))


def elements() -> Graph:
    """Every function of one or two values, one after the other on pictures; comparisons and a choice."""
    b = Builder()
    x = y = b.tensor((1, 5, 6, 3), name="x")
    shape = (1, 5, 6, 3)

    def then(op: str, *more: int, kind: str | None = None, **options: Any) -> None:
        nonlocal y
        y = b.add(op, (y, *more), shape, options=kind, **options)

    kernel = b.constant(weights(3, 1, 1, 3))
    then("CONV_2D", kernel, b.constant(weights(3)), kind="Conv2D", strideH=1, strideW=1, padding=1,
         dilationHFactor=1, dilationWFactor=1)  # fmt: skip
    for op in ("TANH", "NEG", "ELU", "SIN", "COS", "ABS", "SQRT", "EXP", "LOG", "SQUARE", "LOGISTIC", "RELU6"):
        then(op)
    then("SUB", b.constant(np.float32(0.25).reshape(())), kind="Sub")
    then("DIV", b.constant(np.abs(weights(1, 1, 6, 3)) + 1), kind="Div")
    then("MAXIMUM", b.constant(weights(1, 1, 1, 3) / 8))
    then("MINIMUM", b.constant(weights(1, 5, 6, 3)))
    then("SQUARED_DIFFERENCE", b.constant(weights(3)))
    then("POW", b.constant(np.full(1, 1.5, np.float32)))
    then("RELU_N1_TO_1")
    then("RELU_0_TO_1")
    then("RSQRT", kind=None)
    zero = b.constant(np.zeros(3, np.float32))
    larger = b.add("GREATER", (x, zero), shape, "bool")
    not_half = b.add("NOT_EQUAL", (y, zero), shape, "bool")
    both = b.add("LOGICAL_AND", (larger, not_half), shape, "bool")
    either = b.add("LOGICAL_OR", (both, b.add("LOGICAL_NOT", (larger,), shape, "bool")), shape, "bool")
    y = b.add("MINIMUM", (y, b.constant(np.full(1, 30, np.float32))), shape)
    y = b.add("SELECT_V2", (both, y, x), shape)
    number = b.add("CAST", (either,), shape, options="Cast", inDataType=6, outDataType=0)
    return b.graph((x,), (y, number))


def moves() -> Graph:
    """What moves values, and reductions; an input and an output of whole numbers."""
    b = Builder()
    x, places = b.tensor((1, 6, 4, 2), name="x"), b.tensor((3,), "int32", name="places")

    def ints(*values: Any) -> int:
        return b.constant(np.array(values, np.int32))

    y = b.add("MIRROR_PAD", (x, ints([0, 0], [1, 2], [1, 0], [0, 0])), (1, 9, 5, 2), options="MirrorPad", mode=0)
    y = b.add("PADV2", (y, ints([0, 0], [0, 1], [0, 1], [1, 0]), b.constant(np.float32(-0.5).reshape(()))),
              (1, 10, 6, 3))  # fmt: skip
    y = b.add("MAX_POOL_2D", (y,), (1, 5, 3, 3), options="Pool2D", strideH=2, strideW=2, filterHeight=2,
              filterWidth=2, padding=1)  # fmt: skip
    y = b.add("SLICE", (y, ints(0, 1, 0, 1), ints(1, 4, 3, 2)), (1, 4, 3, 2), options="Slice")
    halves = [b.tensor((1, 2, 3, 2)), b.tensor((1, 2, 3, 2))]
    b.operators.append(Operator("SPLIT", (b.constant(np.array(1, np.int32)), y), tuple(halves)))
    b.operators[-1].options = tflite.schema().SplitOptionsT()
    b.operators[-1].options.numSplits = 2
    y = b.add("PACK", tuple(halves), (1, 2, 2, 3, 2), options="Pack", axis=1, valuesCount=2)
    rows = [b.tensor((1, 2, 3, 2)), b.tensor((1, 2, 3, 2))]
    options = tflite.schema().UnpackOptionsT()
    options.num, options.axis = 2, 2
    b.operators.append(Operator("UNPACK", (y,), tuple(rows), options))
    y = b.add("TILE", (rows[0], ints(1, 1, 2, 3)), (1, 2, 6, 6), options="Tile")
    y = b.add("SQUEEZE", (y,), (2, 6, 6), options="Squeeze", squeezeDims=[0])
    y = b.add("GATHER", (y, places), (2, 3, 6), options="Gather", axis=1)
    y = b.add("EXPAND_DIMS", (y, ints(0)), (1, 2, 3, 6), options="ExpandDims")
    y = b.add("L2_NORMALIZATION", (y,), (1, 2, 3, 6), options="L2Norm")
    y = b.add("REDUCE_MAX", (y, ints(1)), (1, 3, 6), options="Reducer", keepDims=False)
    y = b.add("LOG_SOFTMAX", (y,), (1, 3, 6))
    low = b.add("REDUCE_MIN", (y, ints(2)), (1, 3, 1), options="Reducer", keepDims=True)
    y = b.add("SUB", (y, low), (1, 3, 6), options="Sub")
    best = b.add("ARG_MAX", (y, b.constant(np.array(2, np.int32))), (1, 3), "int64", options="ArgMax", outputType=4)
    return b.graph((x, places), (y, best, rows[1]))


def made(graph: Graph, folder: Path, recipe: str = "as-is", data: str | None = None) -> bundle.Bundle:
    tflite.write(graph, folder / "net.tflite")
    done = compile(folder / "net.tflite", targets=["ios"], recipe=recipe, data=data, out=folder / "b")[0]
    assert done.parity.ok and done.parity.on == "mil"
    return bundle.load(done.path)


def about(found: bundle.Bundle) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((found.artifact / "network.json").read_text())
    return result


@pytest.mark.parametrize("network", [elements, moves])
def test_functions_and_moves_agree_with_the_reference(network: Callable[[], Graph], tmp_path: Path) -> None:
    found = made(network(), tmp_path)
    inputs, reference = found.golden()
    outputs = once(get_runner("mil"), found, inputs, RunOptions()).outputs
    assert [o.dtype for o in outputs] == [r.dtype for r in reference]
    for ours, theirs in zip(outputs, reference, strict=True):
        assert np.allclose(ours, theirs, 1e-4, 1e-5)


def test_every_rule_is_for_an_operator_that_is_known() -> None:
    """The child's rules, and what is said to be supported without it, are the same."""
    code = "from edgekit.backends.coreml.rules import RULES; print(*RULES)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == operators.KNOWN


@pytest.mark.parametrize("recipe", ["as-is", "float16", "int8-dynamic"])
def test_operators_agree_with_the_reference(recipe: str, tmp_path: Path) -> None:
    found = made(everything(), tmp_path, recipe)
    inputs, reference = found.golden()
    outputs = once(get_runner("mil"), found, inputs, RunOptions()).outputs
    assert [o.shape for o in outputs] == [r.shape for r in reference]
    if recipe == "as-is":
        assert max(np.abs(o - r).max() for o, r in zip(outputs, reference, strict=True)) < 2e-5
    said = about(found)
    assert said["ios"] == 16 and [t["name"] for t in said["inputs"]] == ["picture_1"]
    assert ("constexpr_affine_dequantize" in said["operations"]) == (recipe == "int8-dynamic")


def test_eight_bit_networks_run_in_real_numbers(tmp_path: Path) -> None:
    found = made(convolutional(weights(10, 577) / 50), tmp_path, "int8", "random")
    said = about(found)
    assert said["ios"] == 17 and said["specification"] == 8
    assert said["operations"]["quantize"] >= 4 and said["inputs"][0]["dtype"] == "float32"
    inputs, reference = found.golden()
    assert inputs[0].dtype == reference[0].dtype == np.int8
    outputs = once(get_runner("mil"), found, inputs, RunOptions()).outputs
    assert outputs[0].dtype == np.int8 and np.abs(outputs[0].astype(int) - reference[0]).max() <= 2


def test_palettes_are_found_and_small(tmp_path: Path) -> None:
    found = made(convolutional(weights(10, 577)), tmp_path, "palette")
    size = sum(p.stat().st_size for p in (found.artifact / "network.mlpackage").rglob("weight.bin"))
    assert about(found)["operations"]["constexpr_lut_to_dense"] == 2
    assert size < 1.2 * (16 * 25 + 10 * 576) / 2 + 2000  # four bits a weight


def test_four_bit_integers_need_ios_18(tmp_path: Path) -> None:
    b = Builder()
    x = b.tensor((1, 64), name="x")
    values = RNG.integers(-7, 8, (8, 64), dtype=np.int8)
    packed = ((values.reshape(-1, 2)[:, 0] & 15) | ((values.reshape(-1, 2)[:, 1] & 15) << 4)).astype(np.uint8)
    scale = Quantization(np.full(8, 0.125, np.float32), np.zeros(8, np.int64), 0)
    w = b.tensor((8, 64), "int4", data=packed, quantization=scale)
    y = b.add("FULLY_CONNECTED", (x, w, b.constant(weights(8))), (1, 8), options="FullyConnected")
    found = made(b.graph((x,), (y,)), tmp_path)
    assert about(found)["ios"] == 18 and "constexpr_blockwise_shift_scale" in about(found)["operations"]


def test_most_networks_keep_their_channels_first_throughout(models: Path, tmp_path: Path) -> None:
    done = compile(models / "mlperf_tiny" / "ic_resnet8_fp32.tflite", targets=["ios"], out=tmp_path)[0]
    assert about(bundle.load(done.path))["operations"]["transpose"] == 2
    assert done.parity.by == "network" and done.parity.max_relative < 1e-5


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    tflite.write(everything(), tmp_path / "net.tflite")
    folders = []
    for seed in ("1", "2"):  # processes of their own: Python's sets have another order in each
        out = tmp_path / seed
        command = [sys.executable, "-m", "edgekit", "compile", str(tmp_path / "net.tflite"), "--target", "ios",
                   "--recipe", "float16", "--out", str(out)]  # fmt: skip
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
        folders.append(out / "net.float16.ios")
    files = [{str(p.relative_to(f)): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders]
    assert files[0] == files[1]


def test_refusals_name_the_operator() -> None:
    ios, backend = target.load("ios"), plugins.get("backends", "coreml")
    b = Builder()
    x = b.tensor((1, 4), name="x")
    graph = b.graph((x,), (b.add("CUMSUM", (x, b.constant(np.array(1, np.int32))), (1, 4), options="Cumsum"),))
    assert [(u.operator, u.reason) for u in unsupported(backend, graph, ios)] == [
        ("CUMSUM", "edgekit's Core ML backend has no rule for it")
    ]
    b = Builder()
    x = b.tensor((1, 1, 2, 1, 1, 2), name="x")
    assert "at most 5" in unsupported(backend, b.graph((x,), (b.add("RELU", (x,), (1, 1, 2, 1, 1, 2)),)), ios)[0].reason
    b = Builder()
    x, w = b.tensor((1, 4, 4, 1), name="x"), b.tensor((1, 3, 3, 1), name="w")
    y = b.add("CONV_2D", (x, w, b.constant(weights(1))), (1, 2, 2, 1), options="Conv2D", padding=1)
    assert "input 1 is computed" in unsupported(backend, b.graph((x, w), (y,)), ios)[0].reason


def test_what_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    half = b.constant(np.ones((4, 4), np.float16))
    wide = b.add("DEQUANTIZE", (half,), (4, 4))
    y = b.add("FULLY_CONNECTED", (x, wide, b.constant(np.full(4, 1e6, np.float32))), (1, 4), options="FullyConnected")
    graph = b.graph((x,), (y,))
    tflite.write(graph, tmp_path / "net.tflite")
    assert operators.precision(graph) == "float16"
    named = r"a bias of operator 1 FULLY_CONNECTED \(.+\) is too large for float16: its values reach 1e\+06"
    with pytest.raises(ModelError, match=named):
        compile(tmp_path / "net.tflite", targets=["ios"], out=tmp_path / "b")


def test_a_weight_that_float16_cannot_hold_is_named_by_its_operator(tmp_path: Path) -> None:
    """The recipe leaves it in float32, and drops the names of constants."""
    b = Builder()
    y = x = b.tensor((1, 16), name="x")
    for factor in (1, 4e5):
        w = b.constant(np.full((16, 16), factor, np.float32), name="weights")
        y = b.add("FULLY_CONNECTED", (y, w, -1), (1, 16), options="FullyConnected")
    tflite.write(b.graph((x,), (y,)), tmp_path / "net.tflite")
    with pytest.raises(ModelError, match=r"a constant of operator \d FULLY_CONNECTED .* reach 4e\+05") as caught:
        compile(tmp_path / "net.tflite", targets=["ios"], recipe="float16", out=tmp_path / "b")
    assert "--recipe float32" in caught.value.hint
    (bundle_,) = compile(tmp_path / "net.tflite", targets=["ios"], recipe="float32", out=tmp_path / "b")
    assert bundle_.parity.ok


def test_a_damaged_package_is_told(tmp_path: Path) -> None:
    found = made(convolutional(), tmp_path)
    inputs, _ = found.golden()
    specification = next(found.artifact.glob("network.mlpackage/Data/*/model.mlmodel"))
    good = specification.read_bytes()
    for damaged in (b"", good[: len(good) // 2], good.replace(b"conv", b"cons")):
        specification.write_bytes(damaged)
        with pytest.raises(ModelError):
            once(get_runner("mil"), found, inputs, RunOptions())
    specification.write_bytes(good)
    blob = next(found.artifact.glob("network.mlpackage/Data/*/weights/weight.bin"))
    blob.write_bytes(blob.read_bytes()[:64])
    with pytest.raises(ModelError, match=r"lies outside|no Core ML package"):
        once(get_runner("mil"), found, inputs, RunOptions())
    (found.artifact / "network.json").unlink()
    with pytest.raises(DeviceError, match=r"network\.json"):
        once(get_runner("mil"), found, inputs, RunOptions())
    with pytest.raises(DeviceError, match="on a Mac"):
        once(get_runner("host"), found, inputs, RunOptions())


def test_wrong_weights_fail_parity(tmp_path: Path) -> None:
    from edgekit.api.verify import verify

    found = made(dense(weights(8, 64), weights(8)), tmp_path)
    blob = next(found.artifact.glob("network.mlpackage/Data/*/weights/weight.bin"))
    data = bytearray(blob.read_bytes())
    values = np.frombuffer(bytes(data[-8 * 64 * 4 :]), "<f4") * np.float32(1.01)
    data[-8 * 64 * 4 :] = values.tobytes()
    blob.write_bytes(bytes(data))
    inputs, reference = found.golden()
    outputs = once(get_runner("mil"), found, inputs, RunOptions()).outputs
    assert np.abs(outputs[0] - reference[0]).max() > 1e-4 * np.abs(reference[0]).max()
    assert not verify(found.path).ok


def test_the_app_and_the_check_fit_the_package(tmp_path: Path) -> None:
    found = made(convolutional(weights(10, 577)), tmp_path, "int8", "random")
    app, said = found.artifact / "app", about(found)
    swift = (app / "Sources/EdgekitNetwork/Tensors.swift").read_text()
    for tensor in (*said["inputs"], *said["outputs"]):
        assert f'Tensor(name: "{tensor["name"]}", type: .float32, shape: {tensor["shape"]})' in swift
    assert ".iOS(.v17), .macOS(.v14)" in (app / "Package.swift").read_text()
    inside = app / "Sources/EdgekitNetwork/Resources"
    for path in (found.artifact / "network.mlpackage").rglob("*"):
        if path.is_file():
            assert (inside / path.relative_to(found.artifact)).read_bytes() == path.read_bytes()
    inputs, reference = found.golden()
    sample = np.frombuffer((inside / "input0.bin").read_bytes(), "<f4")
    assert np.array_equal(sample, entered(inputs[0][0], said["inputs"][0]).reshape(-1))

    spec = importlib.util.spec_from_file_location("verify_on_mac", found.artifact / "verify_on_mac.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    golden = {"input0": inputs[0], "output0": reference[0]}
    output = said["outputs"][0]

    def predict(one: dict[str, Any]) -> dict[str, Any]:
        """What Core ML does, as the evaluation of the package does it."""
        steps = left(one[said["inputs"][0]["name"]], said["inputs"][0])
        run = once(get_runner("mil"), found, [steps[None]], RunOptions())
        return {output["name"]: entered(run.outputs[0][0], output)}

    lines, good = script.check(predict, said, golden, found.manifest["parity"])
    assert good and "steps on" in lines[0]
    lines, good = script.check(lambda one: {output["name"]: np.zeros(output["shape"])}, said, golden, {})
    assert not good and "too far" in lines[0]
    lines, good = script.check(lambda one: {output["name"]: np.full(output["shape"], np.nan)}, said, golden, {})
    assert not good and "too far" in lines[0]


@pytest.mark.skipif(sys.platform == "darwin", reason="there it runs")
def test_the_check_says_where_it_belongs(tmp_path: Path) -> None:
    script = resources.folder("firmware_stubs") / "ios" / "verify_on_mac.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "copy the bundle to one" in done.stderr
    done = subprocess.run([sys.executable, "-S", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "pip install coremltools numpy" in done.stderr


@given(st.floats(1e-4, 10.0), st.integers(-128, 127), st.lists(st.integers(-128, 127), min_size=1, max_size=9))
def test_integers_come_back_from_real_numbers(scale: float, zero: int, values: list[int]) -> None:
    tensor = {"scale": scale, "zero_point": zero, "dtype": "float32", "tensor_dtype": "int8"}
    steps = np.array(values, np.int8)
    assert np.array_equal(left(entered(steps, tensor), tensor), steps)


def test_the_neural_engine_takes_no_float32(tmp_path: Path) -> None:
    found = made(convolutional(weights(10, 577)), tmp_path)
    engine = next(d for d in found.manifest["delegates"] if d["name"] == "neural-engine")
    assert engine["share"] == 0 and "--recipe float16" in engine["operators"][0]["reason"]
    half = made(convolutional(weights(10, 577)), tmp_path, "float16")
    engine = next(d for d in half.manifest["delegates"] if d["name"] == "neural-engine")
    assert engine["share"] == 1
