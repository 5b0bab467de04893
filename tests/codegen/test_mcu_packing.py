"""Weights as the C kernels take them, and what the generator knows of a layer's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.codegen import fixed_point
from edgekit.codegen.schedule.mcu import packing


def test_pairs_hold_two_channels_in_a_halfword() -> None:
    weights = np.array([[1, 2, 3, 4], [-5, 6, -7, 8], [9, 10, 11, 12], [13, -14, 15, -16]])
    packed, plain = packing.pack(weights, "pairs")
    halves = packed.reshape(-1).view("<i2").reshape(2, 2, 2)  # step, pair, half
    assert plain == 0
    for step, values in enumerate([(0, 2), (1, 3)]):
        for pair in range(2):
            first, second = weights[2 * pair], weights[2 * pair + 1]
            assert halves[step, pair].tolist() == [256 * first[k] + second[k] for k in values]


def test_floats_lie_in_blocks_of_eight_four_and_single_channels() -> None:
    weights = np.arange(14 * 2).reshape(14, 2)
    packed = packing.pack_floats(weights)
    assert packed[:16].reshape(2, 8).tolist() == weights[:8].T.tolist()
    assert packed[16:24].reshape(2, 4).tolist() == weights[8:12].T.tolist()
    assert packed[24:].reshape(2, 2).tolist() == weights[12:].tolist()
    assert np.array_equal(packing.pack_floats(weights, 2)[14:], packing.pack_floats(weights[7:]))


def test_blocks_hold_sixteen_values_of_two_channels() -> None:
    weights = np.arange(3 * 20).reshape(3, 20)
    packed, plain = packing.pack(weights, "blocks")
    rows = packed.reshape(2, 2, 2, 16)  # block, step, channel, value
    assert plain == 0
    for channel in range(3):
        row = rows[channel // 2, :, channel % 2].reshape(-1)
        assert row[:20].tolist() == weights[channel].tolist() and not row[20:].any()
    assert not rows[1, :, 1].any()


def test_groups_begin_with_a_block() -> None:
    weights = np.arange(6 * 4).reshape(6, 1, 1, 4)
    first, _ = packing.pack(weights[:3], "pairs")
    both, _ = packing.pack(weights, "pairs", 2)
    assert np.array_equal(both[: len(first)], first)
    assert np.array_equal(both[len(first) :], packing.pack(weights[3:], "pairs")[0])


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param(np.array([[-128, 0, 0, 0], [-1, 0, 0, 0]]), id="halfword"),
        pytest.param(np.full((2, 600), 127), id="sum"),
    ],
)
def test_weights_that_overflow_pairs_stay_rows(weights: np.ndarray) -> None:
    packed, plain = packing.pack(weights, "pairs")
    assert plain == packing.PLAIN
    assert np.array_equal(packed, weights)


@pytest.mark.parametrize(
    ("factors", "largest", "expected"),
    [
        ([0.1, 0.2], 1 << 20, packing.NARROW),
        ([0.1, 0.7], 1 << 20, packing.NEAR),
        ([0.1, 0.7], 1 << 28, 0),
        ([0.1, 2.5], 1 << 20, 0),
        ([0.1, 0.2], 1 << 30, 0),
        ([0.1, 0.1], 1 << 20, packing.NARROW | packing.PER_TENSOR),
        ([0.1, 0.0], 1 << 20, packing.NEAR),
    ],
)
def test_flags(factors: list[float], largest: int, expected: int) -> None:
    multiplier, shift = fixed_point.quantize_multipliers(factors)
    for limits, saturates in (((-128, 127), packing.SATURATES), ((-128, 126), 0)):
        assert packing.flags(multiplier, shift, limits, np.array([largest, 5])) == expected | saturates


def test_sums_that_need_more_than_32_bits_are_refused() -> None:
    weights = np.full((1, 4), 127)
    assert packing.folded_bias(weights, np.array([1000]), -3).tolist() == [1000 + 3 * 4 * 127]
    with pytest.raises(OverflowError):
        packing.folded_bias(weights, np.array([(1 << 31) - 1]), 0)


def test_outputs_over_inputs() -> None:
    pointwise = packing.ConvShape(4, 5, 8, 4, 5, 8, 1, 1)
    same = packing.ConvShape(4, 5, 8, 4, 5, 8, 3, 3, pad_top=1, pad_left=1)
    assert packing.conv_behind(pointwise) == 0
    assert packing.conv_behind(same) == (5 + 1) * 8  # eleven pixels are written when pixel (2, 1) reads row 1
    assert packing.depthwise_in_place(same) and not packing.depthwise_in_place(same, "blocks")
