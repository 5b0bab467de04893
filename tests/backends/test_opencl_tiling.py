"""Tiles for GPUs divide their picture, shrink as far as they must, and keep every weight."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.backends.gpu import MACHINE
from edgekit.backends.gpu.tiling import WAVES, smaller, tiled
from edgekit.backends.tvm.lowering import lower
from edgekit.backends.tvm.program import Kernel, Program
from tests.backends.tvm_networks import Pictures


@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.sampled_from([1, 2, 3, 4]), st.integers(1, 5000),
    st.data(),
)  # fmt: skip
def test_a_smaller_tile(height: int, width: int, vectors: int, lanes: int, wanted: int, data: Any) -> None:
    pixels = data.draw(st.sampled_from([n for n in range(1, width + 1) if width % n == 0]))
    block = data.draw(st.sampled_from([n for n in range(1, vectors + 1) if vectors % n == 0]))
    tile, shape = (pixels, block * lanes, lanes), (height, width, vectors * lanes)
    p, c, kept = smaller(tile, shape, wanted)
    assert kept == lanes and width % p == 0 and shape[2] % c == 0 and c % lanes == 0 and p <= pixels and c <= tile[1]
    items = height * (width // p) * (shape[2] // c)
    assert items >= wanted or (p, c) == (1, lanes)
    if height * (width // pixels) * (shape[2] // tile[1]) >= wanted:
        assert (p, c) == tile[:2]


def unpacked(program: Program, kernel: Kernel) -> np.ndarray[Any, Any]:
    """A convolution's weights ``[rows, columns, depth, channels]``."""
    data = program.storages[kernel.args[len(kernel.params["in"])].storage].data
    assert data is not None
    return np.moveaxis(data, 0, -2).reshape(*data.shape[1:4], -1)


@pytest.mark.parametrize("multipliers", [1, 64, 256, 100_000])
def test_packed_anew_the_weights_are_the_same(multipliers: int) -> None:
    n = Pictures()
    a, b = n.tensor((1, 16, 16, 8)), n.tensor((1, 48))
    n.conv(n.conv(a, 64), 24, (1, 1))
    n.conv(a, 7)
    n.depthwise(a)
    n.dense(b, 128)
    n.dense(b, 1000)  # tiles that do not divide each other
    program = lower(n.all_results(a, b), MACHINE)
    made = tiled(program, multipliers)
    assert [k.template for k in made.kernels] == [k.template for k in program.kernels]
    cut = 0
    for before, after in zip(program.kernels, made.kernels, strict=True):
        if before.template == "conv":
            assert np.array_equal(unpacked(program, before), unpacked(made, after))
            cut += before.params["tile"] != after.params["tile"]
            blocks = after.args[len(after.params["in"])].shape
            assert blocks[-1] == after.params["tile"][1]
            height, width, count = after.params["shape"]
            items = height * (width // after.params["tile"][0]) * blocks[0]
            assert items >= min(WAVES * multipliers, height * width * math.ceil(count / after.params["tile"][2]))
    assert (cut > 0) == (multipliers > 1)
