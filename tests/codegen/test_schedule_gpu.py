"""Tiles for GPUs divide their picture, shrink as far as they must, and keep every weight."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.codegen import loops
from edgekit.codegen.kernels import Conv2D, MatMul
from edgekit.codegen.lower import lower
from edgekit.codegen.program import Call, Program
from edgekit.codegen.schedule.gpu import WAVES, schedule, smaller
from tests.networks.building import Pictures


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


def unpacked(program: Program, call: Call) -> np.ndarray[Any, Any]:
    """A convolution's weights ``[out, rows, columns, in]``."""
    assert isinstance(call.loops, loops.Conv)
    data = program.buffers[call.args[len(call.loops.inputs)].buffer].data
    assert data is not None
    return np.moveaxis(data, -1, 1).reshape(-1, *data.shape[1:4])


@pytest.mark.parametrize("multipliers", [1, 64, 256, 100_000])
def test_whatever_the_tile_every_weight_is_there(multipliers: int) -> None:
    n = Pictures()
    a, b = n.tensor((1, 16, 16, 8)), n.tensor((1, 48))
    n.conv(n.conv(a, 64), 24, (1, 1))
    n.conv(a, 7)
    n.depthwise(a)
    n.dense(b, 128)
    n.dense(b, 1000)  # tiles that do not divide each other
    network = lower(n.all_results(a, b))
    program, largest = schedule(network, multipliers), schedule(network, 0)
    weights = {k.node: k.weights for k in network.kernels if isinstance(k, Conv2D | MatMul)}
    cut = 0
    for call, whole in zip(program.calls, largest.calls, strict=True):
        nest = call.loops
        if not isinstance(nest, loops.Conv):
            continue
        assert np.array_equal(unpacked(program, call).reshape(-1), weights[call.node].reshape(-1))
        assert isinstance(whole.loops, loops.Conv)
        cut += nest.tile != whole.loops.tile
        blocks = call.args[len(nest.inputs)].shape
        assert blocks[-1] == nest.tile[1]
        height, width, count = nest.shape
        items = height * (width // nest.tile[0]) * blocks[0]
        assert items >= min(WAVES * multipliers, height * width * math.ceil(count / nest.tile[2]))
    assert (cut > 0) == (multipliers > 1)
