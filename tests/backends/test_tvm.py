"""The TVM backend on boards, folded operators, what it refuses; :mod:`tests.ops` has every operator on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.errors import ModelError
from edgekit.graph import tflite
from tests.installed import needed
from tests.networks.building import (
    check_operators,
    check_whole,
    quantized,
)
from tests.networks.chains import chains
from tests.ops.cases import AS_THEY_COME, family, network

needed("tvm", "tvm")


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("board", ["rpi4", "rpi5"])
def test_large_sums_on_a_board(board: str, tmp_path: Path) -> None:
    check_operators(family("extremes"), tmp_path, board)


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("board", ["rpi4", "rpi5"])
def test_int8_convolutions_on_a_board(board: str, tmp_path: Path) -> None:
    """Without dot products of bytes, and with NEON's."""
    check_operators(quantized(family("convolutions"), tmp_path / "int8"), tmp_path, board)


@pytest.mark.slow
@pytest.mark.emulator
def test_int8_pairs_of_products_on_a_board(tmp_path: Path) -> None:
    check_operators(quantized(family("depthwise"), tmp_path / "int8"), tmp_path, "rpi5")


@pytest.mark.slow
def test_float_chains(tmp_path: Path) -> None:
    check_whole(chains(), tmp_path, 0)


@pytest.mark.slow
def test_int8_chains(tmp_path: Path) -> None:
    graph = quantized(chains(), tmp_path / "int8")
    check_whole(graph, tmp_path, 3)


@pytest.mark.slow
def test_weights_of_four_bits_and_of_half_precision(tmp_path: Path) -> None:
    graph = quantized(family("dense"), tmp_path / "int8")
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
@pytest.mark.emulator
def test_unsigned_bytes_go_in_and_out_on_a_board(tmp_path: Path) -> None:
    """As pictures do: uint8, made int8 by QUANTIZE."""
    images = [case for case in AS_THEY_COME if case.graph.inputs[0].dtype == "uint8"]
    check_operators(network(images).graph, tmp_path, "rpi5")


def test_weights_of_eight_bits_in_a_float_network_are_refused(tmp_path: Path) -> None:
    tflite.write(family("dense"), tmp_path / "net.tflite")
    with pytest.raises(ModelError, match="FULLY_CONNECTED: it quantizes its float input") as caught:
        edgekit.compile(
            tmp_path / "net.tflite", targets=["host"], recipe="int8-dynamic", backend="tvm", out=tmp_path / "b"
        )
    assert "--recipe float32" in caught.value.hint
