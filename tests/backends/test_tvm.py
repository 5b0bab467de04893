"""The TVM backend computes what LiteRT's reference kernels compute: operators of all shapes, folded and alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.codegen.lower import RULES
from edgekit.errors import ModelError
from edgekit.graph import Graph, Quantization, tflite
from tests.networks.building import (
    check_operators,
    check_whole,
    quantized,
)
from tests.networks.operators import NETWORKS, TYPES, chains, convolutions, dense, depthwise
from tests.networks.small import Builder
from tests.networks.typed import bytes_, extremes

pytest.importorskip("tvm", reason="needs the extra 'tvm'")


def test_every_operator_is_among_the_networks() -> None:
    used = {o.op for make in (*NETWORKS.values(), *TYPES.values(), chains) for o in make().operators}
    missing = {name for name in RULES if not name.startswith("edgekit.")} - used
    assert missing <= {"QUANTIZE", "DEQUANTIZE"}  # those come with int8


def test_the_docs_name_every_operator() -> None:
    text = (Path(__file__).parents[2] / "docs" / "tvm.md").read_text()
    table = set(re.findall(r"`([A-Z0-9_]{2,})`", text.split("## What is covered")[1].split("All in float32")[0]))
    assert table - {"TRANSPOSE_CONV", "LOG_SOFTMAX", "L2_NORMALIZATION"} == {
        name for name in RULES if not name.startswith("edgekit.")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NETWORKS, *TYPES])
def test_float_operators(name: str, tmp_path: Path) -> None:
    check_whole((NETWORKS | TYPES)[name](), tmp_path, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_int8_operators(name: str, tmp_path: Path) -> None:
    check_operators(quantized(NETWORKS[name](), tmp_path / "int8"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("make", [bytes_, extremes])
def test_bytes_as_they_come(make: Callable[[], Graph], tmp_path: Path) -> None:
    check_operators(make(), tmp_path)


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("board", ["rpi4", "rpi5"])
def test_large_sums_on_a_board(board: str, tmp_path: Path) -> None:
    check_operators(extremes(), tmp_path, board)


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("board", ["rpi4", "rpi5"])
def test_int8_convolutions_on_a_board(board: str, tmp_path: Path) -> None:
    """Without dot products of bytes, and with NEON's."""
    check_operators(quantized(convolutions(), tmp_path / "int8"), tmp_path, board)


@pytest.mark.slow
@pytest.mark.emulator
def test_int8_pairs_of_products_on_a_board(tmp_path: Path) -> None:
    check_operators(quantized(depthwise(), tmp_path / "int8"), tmp_path, "rpi5")


@pytest.mark.slow
def test_float_chains(tmp_path: Path) -> None:
    check_whole(chains(), tmp_path, 0)


@pytest.mark.slow
def test_int8_chains(tmp_path: Path) -> None:
    graph = quantized(chains(), tmp_path / "int8")
    check_whole(graph, tmp_path, 3)


@pytest.mark.slow
def test_weights_of_four_bits_and_of_half_precision(tmp_path: Path) -> None:
    graph = quantized(dense(), tmp_path / "int8")
    for operator in graph.operators:
        tensor = graph.tensors[operator.inputs[1]] if operator.op == "FULLY_CONNECTED" else None
        if tensor is not None and tensor.dtype == "int8" and tensor.elements % 2 == 0:
            small = np.clip(tensor.array() // 16, -7, 7).reshape(-1)
            tensor.data = ((small[0::2] & 15) | (small[1::2] << 4)).astype(np.int8).view(np.uint8)
            tensor.dtype = "int4"
    assert any(t.dtype == "int4" for t in graph.tensors)
    check_operators(graph, tmp_path)
    (tmp_path / "half").mkdir()
    tflite.write(chains(), tmp_path / "half" / "net.tflite")
    made = edgekit.compile(
        tmp_path / "half" / "net.tflite", targets=["host"], recipe="float16", backend="tvm", out=tmp_path / "half"
    )[0]
    assert made.parity.ok and made.parity.by == "network"


@pytest.mark.slow
@pytest.mark.parametrize("board", ["host", "rpi5"])
def test_unsigned_bytes_go_in_and_out(board: str, tmp_path: Path) -> None:
    """As pictures do: uint8, made int8 by QUANTIZE."""
    b = Builder()
    bytes_ = Quantization(np.array([1 / 255], np.float32), np.array([0], np.int64), 0)
    inner = Quantization(np.array([1 / 200], np.float32), np.array([-117], np.int64), 0)
    x = b.tensor((1, 5, 7, 3), "uint8", quantization=bytes_)
    y = b.add("QUANTIZE", (x,), (1, 5, 7, 3), "int8", options="Quantize")
    z = b.add("MAX_POOL_2D", (y,), (1, 2, 3, 3), "int8", options="Pool2D", strideH=2, strideW=2, filterHeight=2,
              filterWidth=2, padding=1)  # fmt: skip
    out = b.add("QUANTIZE", (z,), (1, 2, 3, 3), "uint8", options="Quantize")
    b.tensors[y].quantization = b.tensors[z].quantization = inner
    b.tensors[out].quantization = bytes_
    check_operators(b.graph((x,), (out,)), tmp_path, board)


def test_weights_of_eight_bits_in_a_float_network_are_refused(tmp_path: Path) -> None:
    tflite.write(dense(), tmp_path / "net.tflite")
    with pytest.raises(ModelError, match="FULLY_CONNECTED: it quantizes its float input") as caught:
        edgekit.compile(
            tmp_path / "net.tflite", targets=["host"], recipe="int8-dynamic", backend="tvm", out=tmp_path / "b"
        )
    assert "--recipe float32" in caught.value.hint
