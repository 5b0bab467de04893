"""XNNPACK's table is what LiteRT does: each operator is run here, and its profiler says who computed it."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import delegates
from edgekit.backends import runner_build
from edgekit.backends.litert import library
from edgekit.errors import ToolMissing
from edgekit.graph import Graph, tflite
from edgekit.graph.ir import Quantization
from tests.networks.small import Builder

SHAPE = (1, 4, 4, 8)
REAL = Quantization(np.array([0.5], np.float32), np.array([0]))
BIAS = Quantization(np.array([0.25], np.float32), np.array([0]))
OPERATOR = 0b10
"""The profiler's type for an operator that LiteRT's own kernels computed."""


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return runner_build.get(platform.machine()).path
    except ToolMissing as error:
        pytest.skip(error.message)


def left_by_litert(program: Path, graph: Graph, folder: Path) -> set[int] | None:
    """Operators that XNNPACK did not take; None where LiteRT has no kernel for them at all."""
    tflite.write(graph, folder / "m.tflite")
    (folder / "in.bin").write_bytes(bytes(sum(t.nbytes for t in graph.inputs)))
    command = [program, "--library", library.installed(), "--model", "m.tflite", "--inputs", "in.bin", "--samples", "1"]
    done = subprocess.run([*command, "--trace", "t.json", "--profile"], cwd=folder, capture_output=True, check=False)
    if done.returncode:
        return None
    events = json.loads((folder / "t.json").read_text())["events"]
    return {e["node"] for e in events if e["type"] == OPERATOR and 0 <= e["node"] < len(graph.operators)}


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def case(
    op: str,
    dtype: str,
    out: tuple[int, ...] = SHAPE,
    constants: Sequence[np.ndarray] = (),
    shape: tuple[int, ...] = SHAPE,
    count: int = 1,
    kind: str | None = None,
    **options: Any,
) -> Graph:
    """One operator of ``count`` inputs and constants; 8-bit tensors have a scale, and an int32 bias has its own."""
    b = Builder()
    real = {"quantization": REAL} if dtype == "int8" else {}
    inputs = [b.tensor(shape, dtype, name=f"x{i}", **real) for i in range(count)]
    weighted = op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    for number, values in enumerate(constants):
        scale = REAL if values.dtype == np.int8 else BIAS if weighted and number == 1 and dtype == "int8" else None
        inputs.append(b.constant(values, **({"quantization": scale} if scale else {})))
    y = b.add(op, tuple(inputs), out, dtype, options=kind, **options)
    b.tensors[y].quantization = REAL if dtype == "int8" else None
    return b.graph(tuple(inputs[:count]), (y,))


def cases(dtype: str) -> Iterator[Graph]:
    weights = np.float32 if dtype == "float32" else np.int8
    bias = np.ones(8, np.float32 if dtype == "float32" else np.int32)
    unary = "ABS CEIL ELU FLOOR HARD_SWISH LOGISTIC NEG RELU RELU6 RELU_N1_TO_1 ROUND SQRT SQUARE TANH EXP LOG SIN COS"
    for op in (*unary.split(), "RSQRT", "GELU", "SIGN"):
        yield case(op, dtype)
    yield case("LEAKY_RELU", dtype, kind="LeakyRelu", alpha=0.5)
    binary = {"ADD": "Add", "MUL": "Mul", "SUB": "Sub", "DIV": "Div", "POW": "Pow", "FLOOR_DIV": None}
    binary |= {"MAXIMUM": "MaximumMinimum", "MINIMUM": "MaximumMinimum", "SQUARED_DIFFERENCE": "SquaredDifference"}
    for op, kind in binary.items():
        yield case(op, dtype, count=2, kind=kind)
    window = {"strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2, "padding": 1}
    for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        yield case(op, dtype, (1, 2, 2, 8), kind="Pool2D", **window)
    for count in (2, 5, 6):
        yield case("CONCATENATION", dtype, (1, 4, 4, 8 * count), count=count, kind="Concatenation", axis=3)
    square, deep = np.ones((8, 1, 1, 8), weights), np.ones((1, 1, 1, 8), weights)
    for constants in ([square, bias], [square]):
        yield case("CONV_2D", dtype, constants=constants, kind="Conv2D", strideH=1, strideW=1)
    tanh = {"fusedActivationFunction": 4}
    yield case("CONV_2D", dtype, constants=[square, bias], kind="Conv2D", strideH=1, strideW=1, **tanh)
    for constants in ([deep, bias], [deep]):
        steps = {"strideH": 1, "strideW": 1, "depthMultiplier": 1}
        yield case("DEPTHWISE_CONV_2D", dtype, constants=constants, kind="DepthwiseConv2D", **steps)
    for constants in ([np.ones((8, 8), weights), bias], [np.ones((8, 8), weights)]):
        yield case("FULLY_CONNECTED", dtype, (1, 8), constants, (1, 8), kind="FullyConnected")
    yield case("DEPTH_TO_SPACE", dtype, (1, 8, 8, 2), kind="DepthToSpace", blockSize=2)
    yield case("SPACE_TO_DEPTH", dtype, (1, 2, 2, 32), kind="SpaceToDepth", blockSize=2)
    for op in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"):
        yield case(op, dtype, (1, 8), [ints(1, 2)], kind="Reducer")
    yield case("MEAN", dtype, (1, 4, 4), [ints(3)], kind="Reducer")
    yield case("MEAN", dtype, (8,), [ints(0)], (4, 8), kind="Reducer")
    borders = ints(0, 0, 1, 1, 1, 1, 0, 0).reshape(4, 2)
    yield case("PAD", dtype, (1, 6, 6, 8), [borders])
    yield case("PADV2", dtype, (1, 6, 6, 8), [borders, np.zeros(1, weights)])
    yield case("PRELU", dtype, constants=[np.ones((1, 1, 8), weights)])
    yield case("RESHAPE", dtype, (1, 128), [ints(1, 128)], kind="Reshape", newShape=[1, 128])
    yield case("SQUEEZE", dtype, (4, 4, 8), kind="Squeeze", squeezeDims=[0])
    yield case("EXPAND_DIMS", dtype, (1, *SHAPE), [ints(0)])
    yield case("RESIZE_BILINEAR", dtype, (1, 8, 8, 8), [ints(8, 8)], kind="ResizeBilinear")
    yield case("RESIZE_NEAREST_NEIGHBOR", dtype, (1, 8, 8, 8), [ints(8, 8)], kind="ResizeNearestNeighbor")
    yield case("SLICE", dtype, (1, 2, 4, 8), [ints(0, 1, 0, 0), ints(1, 2, 4, 8)], kind="Slice")
    yield case("SOFTMAX", dtype, kind="Softmax", beta=1.0)
    for end, step in ((2, 1), (4, 2)):
        bounds = [ints(0, 0, 0, 0), ints(1, end, 4, 8), ints(1, step, 1, 1)]
        yield case("STRIDED_SLICE", dtype, (1, 2, 4, 8), bounds, kind="StridedSlice")
    yield case("TRANSPOSE", dtype, (1, 8, 4, 4), [ints(0, 3, 1, 2)])
    yield case("BATCH_MATMUL", dtype, (1, 4, 4), shape=(1, 4, 4), count=2, kind="BatchMatMul")
    yield case("L2_NORMALIZATION", dtype, kind="L2Norm")
    yield case("TILE", dtype, (1, 8, 4, 8), [ints(1, 2, 1, 1)])
    yield case("PACK", dtype, (2, *SHAPE), count=2, kind="Pack", valuesCount=2)
    yield case("GATHER", dtype, (1, 2, 4, 8), [ints(0, 1)], kind="Gather", axis=1)
    yield case("CUMSUM", dtype, constants=[ints(1)], kind="Cumsum")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_each_operator_is_judged_as_litert_does(program: Path, tmp_path: Path, dtype: str) -> None:
    asked, wrong = 0, []
    for graph in cases(dtype):
        really = left_by_litert(program, graph, tmp_path)
        if really is None:
            continue
        asked += 1
        (said,) = delegates.advise(graph, delegates.load("xnnpack")).verdicts
        if said.taken != (0 not in really):
            wrong.append((said.operator, f"taken: {said.taken}", said.reason))
    assert not wrong
    assert asked > 45


@pytest.mark.parametrize("name", ["ic_resnet8_int8", "kws_int8", "kws_fp32", "ad01_fp32"])
def test_whole_networks(program: Path, tmp_path: Path, models: Path, name: str) -> None:
    graph = tflite.read(models / "mlperf_tiny" / f"{name}.tflite")
    advice = delegates.advise(graph, delegates.load("xnnpack"))
    assert {v.index for v in advice.left} == left_by_litert(program, graph, tmp_path)
